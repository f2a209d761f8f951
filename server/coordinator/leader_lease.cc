#include "server/coordinator/leader_lease.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"

namespace meridian {

LeaderLease::LeaderLease(LeaderLeaseOptions options, const Clock& clock, Executor& executor,
                         LeaseStore& store, Listener listener)
    : options_(std::move(options)),
      clock_(clock),
      executor_(executor),
      store_(store),
      listener_(std::move(listener)) {
  assert(options_.margin * 2 < options_.ttl);
}

void LeaderLease::Start(std::string address) {
  executor_.Post([this, address = std::move(address)] {
    address_ = address;
    Ask();
  });
}

void LeaderLease::Stop(std::function<void()> done) {
  executor_.Post([this, done = std::move(done)] {
    stopped_ = true;
    StepDown("stopping");
    // Also when not leading: a question on its way may still win the lease.
    store_.Release(options_.name, options_.holder,
                   [executor = &executor_, done](const absl::Status&) { executor->Post(done); });
  });
}

void LeaderLease::Ask() {
  if (stopped_) return;
  // A question that the store has not answered is not waited for: the next one goes out all the
  // same.
  const uint64_t generation = ++generation_;
  const absl::Duration asked_at = clock_.Monotonic();
  store_.TryAcquire(
      options_.name, options_.holder, address_, options_.ttl,
      [this, executor = &executor_, generation, asked_at](absl::StatusOr<LeaseState> answer) {
        executor->Post([this, generation, asked_at, answer = std::move(answer)] {
          HandleAnswer(generation, asked_at, answer);
        });
      });
  AskAfter(options_.ttl / 3);
}

void LeaderLease::AskAfter(absl::Duration delay) {
  executor_.PostAfter(delay, [this, generation = generation_] {
    if (generation == generation_) Ask();
  });
}

void LeaderLease::HandleAnswer(uint64_t generation, absl::Duration asked_at,
                               const absl::StatusOr<LeaseState>& answer) {
  if (stopped_ || generation < last_heard_) return;
  last_heard_ = generation;
  // Not knowing is not losing: CheckExpiry ends the lease in time. But whom to follow is forgotten.
  if (!answer.ok()) {
    if (generation == generation_) AskAfter(options_.ttl / 10);
    absl::MutexLock lock(&mu_);
    if (!view_.leading) view_.address.clear();
    view_.problem = std::string(answer.status().message());
    return;
  }
  if (!answer->held) {
    StepDown(absl::StrCat("the lease is held by ", answer->holder));
    absl::MutexLock lock(&mu_);
    view_ = {false, answer->token, answer->address, ""};
    return;
  }
  const absl::Duration valid_until = asked_at + options_.ttl - options_.margin;
  if (clock_.Monotonic() >= valid_until) return;  // Too late to be worth anything.
  bool elected = false;
  bool replaced = false;
  {
    absl::MutexLock lock(&mu_);
    replaced = view_.leading && view_.token != answer->token;
    elected = !view_.leading || replaced;
    view_ = {true, answer->token, address_, ""};
    valid_until_ = valid_until;
  }
  executor_.PostAfter(valid_until - clock_.Monotonic(), [this] { CheckExpiry(); });
  // A new token means that the lease was free in between: another leader may have been there.
  if (replaced) listener_.on_lost("the lease had run out");
  if (elected) listener_.on_elected(answer->token);
}

void LeaderLease::CheckExpiry() {
  {
    absl::MutexLock lock(&mu_);
    if (!view_.leading || clock_.Monotonic() < valid_until_) return;
  }
  StepDown("the lease could not be renewed in time");
}

void LeaderLease::StepDown(const std::string& why) {
  {
    absl::MutexLock lock(&mu_);
    if (!view_.leading) return;
    view_.leading = false;
    view_.address.clear();
  }
  listener_.on_lost(why);
}

bool LeaderLease::is_leader() const {
  const absl::Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mu_);
  return view_.leading && now < valid_until_;
}

LeaderView LeaderLease::view() const {
  const absl::Duration now = clock_.Monotonic();
  absl::MutexLock lock(&mu_);
  LeaderView view = view_;
  if (view.leading && now >= valid_until_) {
    view.leading = false;
    view.address.clear();
  }
  return view;
}

}  // namespace meridian
