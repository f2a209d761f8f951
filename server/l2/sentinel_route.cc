#include "server/l2/sentinel_route.h"

#include <string>
#include <utility>

namespace meridian {

SentinelRoute::SentinelRoute(EventLoop& loop, const RedisClientOptions& options,
                             std::unique_ptr<TlsContext> tls, const Clock& clock,
                             L2Observer* observer)
    : loop_(loop), options_(options), tls_(std::move(tls)), clock_(clock), observer_(observer) {
  loop_.Post([this] {
    waiting_ = std::make_unique<WaitingCalls>(loop_, clock_);
    watch_ = std::make_unique<SentinelWatch>(
        loop_, clock_, options_.url, SentinelOptions(), tls_.get(),
        SentinelWatch::Events{[this](const RedisAddress& address) { OnFound(address); },
                              [this](const absl::Status& why) { OnLost(why); }});
  });
}

SentinelRoute::~SentinelRoute() {
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
  }
  // After everything that was submitted: Submit posts under mu_.
  loop_.PostAndWait([this] {
    watch_.reset();
    waiting_.reset();
    absl::MutexLock lock(&mu_);
    if (primary_ != nullptr) primary_->Close();
  });
  loop_.PostAndWait([] {});
}

void SentinelRoute::Submit(RedisLane lane, std::vector<RedisCommand> commands, absl::Time deadline,
                           RedisDone done) {
  std::shared_ptr<RedisClient> primary;
  absl::Status refusal;
  {
    absl::MutexLock lock(&mu_);
    primary = primary_;
    if (closed_) {
      refusal = absl::UnavailableError("L2_UNAVAILABLE: the store is closing");
    } else if (primary == nullptr && !problem_.ok()) {
      refusal = problem_;
    } else if (primary == nullptr) {
      loop_.Post(
          [this, call = WaitingCalls::Call{lane, std::move(commands), deadline,
                                           std::move(done)}]() mutable { Wait(std::move(call)); });
      return;
    }
  }
  if (refusal.ok()) {
    primary->Submit(lane, std::move(commands), deadline, std::move(done));
  } else {
    done(RedisReplies(commands.size(), refusal));
  }
}

void SentinelRoute::Wait(WaitingCalls::Call call) {
  std::shared_ptr<RedisClient> primary;
  absl::Status problem;
  {
    absl::MutexLock lock(&mu_);
    primary = primary_;
    problem = problem_;
  }
  if (primary != nullptr) {
    primary->Submit(call.lane, std::move(call.commands), call.deadline, std::move(call.done));
  } else if (!problem.ok()) {
    call.done(RedisReplies(call.commands.size(), problem));
  } else {
    waiting_->Add(std::move(call));
  }
}

void SentinelRoute::OnFound(const RedisAddress& address) {
  std::shared_ptr<RedisClient> old;
  {
    absl::MutexLock lock(&mu_);
    problem_ = absl::OkStatus();
    if (primary_ != nullptr && primary_->address() == address) return;
    old = primary_;
  }
  const uint64_t generation = ++generation_;
  RedisClient::Hooks hooks;
  hooks.must_be_primary = true;
  hooks.on_event = [this, generation](RedisClient::Event event) {
    const bool current = generation == generation_ && watch_ != nullptr;
    if (current && event != RedisClient::Event::kReady) watch_->Hurry();
  };
  std::shared_ptr<RedisClient> primary =
      RedisClient::Open(loop_, address, options_, tls_.get(), clock_, observer_, std::move(hooks));
  {
    absl::MutexLock lock(&mu_);
    primary_ = primary;
  }
  if (old != nullptr) {
    if (observer_ != nullptr) observer_->PrimaryChanged(old->address().text(), address.text());
    old->Close();
  }
  waiting_->Release([&](WaitingCalls::Call call) {
    primary->Submit(call.lane, std::move(call.commands), call.deadline, std::move(call.done));
  });
}

// The primary that is known stays in use: sentinels may be away while it is well.
void SentinelRoute::OnLost(const absl::Status& why) {
  {
    absl::MutexLock lock(&mu_);
    problem_ = why;
  }
  waiting_->Fail(why);
}

L2Health SentinelRoute::Health() const {
  std::shared_ptr<RedisClient> primary;
  absl::Status problem;
  {
    absl::MutexLock lock(&mu_);
    primary = primary_;
    problem = problem_;
  }
  L2Health health;
  if (primary != nullptr) {
    health = primary->Health();
  } else {
    health.problem = "the sentinels have not answered yet";
  }
  health.address = options_.url.address();
  if (primary != nullptr) health.address += " -> " + primary->address().text();
  if (!problem.ok()) health.problem = std::string(problem.message());
  return health;
}

}  // namespace meridian
