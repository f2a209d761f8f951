#include "server/membership/rollout_ticket.h"

#include <algorithm>
#include <utility>

namespace meridian {
namespace {

constexpr absl::Duration kAnswerTime = absl::Seconds(1);
constexpr absl::Duration kLeastPause = absl::Milliseconds(50);

}  // namespace

RolloutTicket::RolloutTicket(std::string id, const CoordinatorClient& client,
                             CoordinatorTransport& transport, const Clock& clock,
                             Executor& executor)
    : id_(std::move(id)),
      client_(client),
      transport_(transport),
      clock_(clock),
      executor_(executor) {}

void RolloutTicket::Await(absl::Duration at_most, std::function<bool()> wanted,
                          std::function<void(std::string)> done) {
  {
    absl::MutexLock lock(&mu_);
    ++wanted_by_;
  }
  Ask(std::make_shared<Wait>(
      Wait{clock_.Monotonic() + at_most, std::move(wanted), std::move(done)}));
}

void RolloutTicket::Ask(const std::shared_ptr<Wait>& wait) {
  if (!wait->wanted()) return GiveBack();
  const CoordinatorClientStatus status = client_.status();
  if (!status.connected) {
    if (!wait->refused) return wait->done("");
    return AskLater(wait, kLeastPause, "no coordinator answers");
  }
  if (IsGivingBack()) return AskLater(wait, kLeastPause, "its last ticket is being given back");
  transport_.AcquireTicket(
      status.coordinator, id_, kAnswerTime,
      [this, wait](const absl::StatusOr<TicketAnswer>& answer) { Take(wait, answer); });
}

void RolloutTicket::Take(const std::shared_ptr<Wait>& wait,
                         const absl::StatusOr<TicketAnswer>& answer) {
  if (answer.ok() ? answer->granted : !absl::IsUnimplemented(answer.status())) {
    absl::MutexLock lock(&mu_);
    may_have_it_ = true;
  }
  if (!wait->wanted()) return GiveBack();
  // An older coordinator does not pace.
  if (absl::IsUnimplemented(answer.status())) return wait->done("");
  if (answer.ok() && answer->granted) return wait->done("");
  wait->refused = true;
  if (answer.ok()) return AskLater(wait, answer->retry_after, answer->why);
  AskLater(wait, kLeastPause, std::string(answer.status().message()));
}

void RolloutTicket::AskLater(const std::shared_ptr<Wait>& wait, absl::Duration pause,
                             std::string why) {
  const absl::Duration left = wait->until - clock_.Monotonic();
  if (left <= absl::ZeroDuration()) {
    GiveBack();
    return wait->done(std::move(why));
  }
  executor_.PostAfter(std::clamp(pause, kLeastPause, std::max(kLeastPause, left)),
                      [this, wait] { Ask(wait); });
}

void RolloutTicket::GiveBack() {
  const CoordinatorClientStatus status = client_.status();
  {
    absl::MutexLock lock(&mu_);
    if (--wanted_by_ > 0 || !may_have_it_) return;
    may_have_it_ = false;
    if (!status.connected) return;
    giving_back_ = true;
  }
  transport_.GiveTicketBack(status.coordinator, id_, kAnswerTime, [this](const absl::Status&) {
    absl::MutexLock lock(&mu_);
    giving_back_ = false;
  });
}

bool RolloutTicket::IsGivingBack() const {
  absl::MutexLock lock(&mu_);
  return giving_back_;
}

}  // namespace meridian
