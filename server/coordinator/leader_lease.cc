#include "server/coordinator/leader_lease.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace meridian {

LeaderLease::LeaderLease(LeaderLeaseOptions options, const Clock& clock, Executor& executor,
                         LeaseStore& store, Listener listener)
    : options_(std::move(options)),
      clock_(clock),
      executor_(executor),
      store_(store),
      listener_(std::move(listener)),
      clocks_(clock) {
  assert(options_.margin * 2 < options_.ttl);
}

void LeaderLease::Start(std::string address, std::string http_address) {
  executor_.Post([this, address = std::move(address), http = std::move(http_address)] {
    address_ = address;
    http_address_ = http;
    Ask();
  });
}

void LeaderLease::Stop(std::function<void()> done) {
  executor_.Post([this, done = std::move(done)] {
    stopped_ = true;
    const bool led = is_leader();
    StepDown("stopping");
    // Also when not leading: a question on its way may still win the lease.
    const auto release = [store = &store_, name = options_.name, holder = options_.holder,
                          executor = &executor_, done] {
      store->Release(name, holder, [executor, done](const absl::Status&) { executor->Post(done); });
    };
    if (led) return release();
    store_.TryAcquire(
        options_.name,
        {options_.holder, address_, http_address_, kGoodbye, known_token_, LeaseClaim::kLooks},
        options_.ttl, [executor = &executor_, release](const absl::StatusOr<LeaseState>&) {
          executor->Post(release);
        });
  });
}

void LeaderLease::Ask() {
  if (stopped_) return;
  // A question that the store has not answered is not waited for: the next one goes out all the
  // same.
  const uint64_t generation = ++generation_;
  const absl::Duration asked_at = clock_.Monotonic();
  store_.TryAcquire(
      options_.name, {options_.holder, address_, http_address_, note_, known_token_, Claim()},
      options_.ttl,
      [this, executor = &executor_, generation, asked_at](absl::StatusOr<LeaseState> answer) {
        executor->Post([this, generation, asked_at, answer = std::move(answer)] {
          HandleAnswer(generation, asked_at, answer);
        });
      });
  AskAfter(options_.ttl / 3);
}

LeaseClaim LeaderLease::Claim() {
  if (!clocks_.Problem().empty()) return LeaseClaim::kLooks;
  if (is_leader()) return LeaseClaim::kLeads;
  if (free_since_.has_value() && clock_.Monotonic() - *free_since_ >= options_.ttl) {
    return LeaseClaim::kInsists;  // Whoever is to be before us is not there.
  }
  // Whoever knows what the store had may reach it a moment later, and comes before us.
  if (store_was_away_ && known_token_ == 0) return LeaseClaim::kLooks;
  const bool led_last = known_token_ != 0 && own_token_ == known_token_;
  return led_last ? LeaseClaim::kInsists : LeaseClaim::kTakes;
}

void LeaderLease::Hear(const LeaseState& answer) {
  known_token_ = std::max(known_token_, answer.token);
  if (answer.held) own_token_ = answer.token;
  if (!answer.holder.empty()) {
    free_since_.reset();
  } else if (!free_since_.has_value()) {
    free_since_ = clock_.Monotonic();
  }
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
    store_was_away_ = true;
    free_since_.reset();  // Nobody knows.
    if (generation == generation_) AskAfter(options_.ttl / 10);
    absl::MutexLock lock(&mu_);
    if (!view_.leading) ForgetLeader();
    view_.problem = std::string(answer.status().message());
    return;
  }
  Hear(*answer);
  if (answer->now.has_value()) clocks_.StoreSaid(*answer->now, asked_at, clock_.Monotonic());
  const std::string problem = clocks_.Problem();
  if (answer->held && !problem.empty()) return Renounce(problem);
  if (!answer->held) {
    StepDown(absl::StrCat("the lease is held by ", answer->holder));
    absl::MutexLock lock(&mu_);
    view_ = {false, answer->token, answer->address, "", answer->http_address, problem};
    return;
  }
  TakeNotes(*answer);
  const absl::Duration valid_until = asked_at + options_.ttl - options_.margin;
  if (clock_.Monotonic() >= valid_until) return;  // Too late to be worth anything.
  bool elected = false;
  bool replaced = false;
  {
    absl::MutexLock lock(&mu_);
    replaced = view_.leading && view_.token != answer->token;
    elected = !view_.leading || replaced;
    view_ = {true, answer->token, address_, "", http_address_};
    valid_until_ = valid_until;
  }
  executor_.PostAfter(valid_until - clock_.Monotonic(), [this] { CheckExpiry(); });
  // A new token means that the lease was free in between: another leader may have been there.
  if (replaced) listener_.on_lost("the lease had run out");
  if (answer->lost_data && listener_.on_data_lost) listener_.on_data_lost();
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
    ForgetLeader();
  }
  notes_.clear();
  listener_.on_lost(why);
}

void LeaderLease::NodeSaid(const std::string& node, absl::Time its_time) {
  clocks_.NodeSaid(node, its_time);
  if (!is_leader()) return;
  if (const std::string problem = clocks_.Problem(); !problem.empty()) Renounce(problem);
}

void LeaderLease::Renounce(const std::string& problem) {
  StepDown(problem);
  last_heard_ = generation_ + 1;  // An answer on its way is of the lease that is given back.
  {
    absl::MutexLock lock(&mu_);
    view_.clock_problem = problem;
  }
  store_.Release(options_.name, options_.holder, [](const absl::Status&) {});
}

void LeaderLease::ForgetLeader() {
  view_.address.clear();
  view_.http_address.clear();
}

void LeaderLease::TakeNotes(const LeaseState& answer) {
  const absl::Duration now = clock_.Monotonic();
  for (auto it = notes_.begin(); it != notes_.end();) {
    it = now - it->second.at < options_.ttl ? std::next(it) : notes_.erase(it);
  }
  for (const auto& [holder, note] : answer.notes) {
    if (notes_.size() < LeaseStore::kMaxNotes || notes_.count(holder) > 0) {
      notes_[holder] = {note, now};
    }
  }
}

std::map<std::string, std::string> LeaderLease::Notes() const {
  std::map<std::string, std::string> notes;
  const absl::Duration now = clock_.Monotonic();
  for (const auto& [holder, note] : notes_) {
    if (now - note.at < options_.ttl) notes[holder] = note.text;
  }
  return notes;
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
    view.http_address.clear();
  }
  return view;
}

}  // namespace meridian
