#include "server/l2/waiting_calls.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

constexpr size_t kMaxCalls = 512;

}  // namespace

WaitingCalls::~WaitingCalls() {
  Fail(absl::UnavailableError("L2_UNAVAILABLE: the store is closing"));
}

void WaitingCalls::Answer(Call& call, const absl::Status& why) {
  call.done(RedisReplies(call.commands.size(), why));
}

void WaitingCalls::Add(Call call) {
  const absl::Time now = clock_.Now();
  if (call.deadline <= now) {
    Answer(call, absl::DeadlineExceededError("the deadline passed before the command was sent"));
    return;
  }
  if (calls_.size() >= kMaxCalls) {
    Answer(call, absl::ResourceExhaustedError(
                     absl::StrCat("L2_OVERLOADED: ", kMaxCalls, " calls wait for Redis")));
    return;
  }
  const bool first = std::all_of(calls_.begin(), calls_.end(),
                                 [&](const Call& other) { return call.deadline < other.deadline; });
  if (first) timer_.Start(call.deadline - now);
  calls_.push_back(std::move(call));
}

void WaitingCalls::Release(const std::function<void(Call)>& send) {
  std::vector<Call> calls;
  calls.swap(calls_);
  for (Call& call : calls) send(std::move(call));
}

void WaitingCalls::Fail(const absl::Status& why) {
  std::vector<Call> calls;
  calls.swap(calls_);
  for (Call& call : calls) Answer(call, why);
}

void WaitingCalls::Expire() {
  const absl::Time now = clock_.Now();
  std::vector<Call> late;
  std::vector<Call> waiting;
  absl::Time next = absl::InfiniteFuture();
  for (Call& call : calls_) {
    if (call.deadline > now) next = std::min(next, call.deadline);
    (call.deadline > now ? waiting : late).push_back(std::move(call));
  }
  calls_ = std::move(waiting);
  // A millisecond later than due: libevent's clock is coarser than ours.
  if (!calls_.empty()) timer_.Start(next - now + absl::Milliseconds(1));
  for (Call& call : late) {
    Answer(call, absl::DeadlineExceededError("no Redis was found in time"));
  }
}

}  // namespace meridian
