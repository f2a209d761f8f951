#include "server/l2/sentinel_route.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

// After a replica's connection was lost: reads that nobody else can answer wait for it.
constexpr absl::Duration kReplicaComesBack = absl::Milliseconds(500);
constexpr size_t kMaxReads = 8192;  // That wait for a replica.
constexpr int kMaxTries = 3;        // Of a read at replicas.

bool AnyUnreachable(const RedisReplies& replies) {
  return std::any_of(replies.begin(), replies.end(),
                     [](const auto& reply) { return IsUnreachable(reply.status()); });
}

}  // namespace

SentinelRoute::SentinelRoute(EventLoop& loop, const RedisClientOptions& options,
                             std::unique_ptr<TlsContext> tls, const Clock& clock,
                             L2Observer* observer)
    : loop_(loop), options_(options), tls_(std::move(tls)), clock_(clock), observer_(observer) {
  loop_.Post([this] {
    waiting_ = std::make_unique<WaitingCalls>(loop_, clock_);
    reads_timer_ = std::make_unique<LoopTimer>(loop_, [this] { FailReads(clock_.Monotonic()); });
    watch_ = std::make_unique<SentinelWatch>(
        loop_, clock_, options_.url, SentinelOptions(), tls_.get(),
        SentinelWatch::Events{
            [this](const RedisAddress& primary, uint64_t epoch,
                   const std::vector<RedisAddress>& replicas) {
              OnFound(primary, epoch);
              if (options_.url.replica_reads) OnReplicas(replicas);
            },
            [this](const absl::Status& why) { OnLost(why); },
            [this](const std::vector<L2Sentinel>& sentinels) { OnAsked(sentinels); }});
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
    FailReads(absl::InfiniteDuration());
    reads_timer_.reset();
    absl::MutexLock lock(&mu_);
    if (primary_ != nullptr) primary_->Close();
    for (const std::shared_ptr<RedisClient>& replica : replicas_) replica->Close();
  });
  // Closing fails reads, which may go on to a replica, and fail there.
  loop_.PostAndWait([] {});
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
  if (refusal.ok() && lane == RedisLane::kRead && options_.url.replica_reads) {
    SubmitRead(std::move(primary), std::move(commands), deadline, std::move(done));
  } else if (refusal.ok()) {
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

void SentinelRoute::OnFound(const RedisAddress& address, uint64_t epoch) {
  std::shared_ptr<RedisClient> old;
  uint64_t generation;
  {
    absl::MutexLock lock(&mu_);
    problem_ = absl::OkStatus();
    const bool new_epoch = std::exchange(epoch_, epoch) != epoch;
    if (primary_ != nullptr && primary_->address() == address) {
      if (new_epoch) generations_.Raise();  // Another one was the primary between two rounds.
      return;
    }
    old = primary_;
    generation = generation_ + 1;
  }
  RedisClient::Hooks hooks;
  hooks.must_be_primary = true;
  hooks.on_event = [this, generation](RedisClient::Event event) {
    const bool current = watch_ != nullptr && generation == Generation();
    if (current && event != RedisClient::Event::kReady) watch_->Hurry();
  };
  hooks.on_restarted = [this] { generations_.Raise(); };
  if (old != nullptr) generations_.Raise();
  std::shared_ptr<RedisClient> primary =
      RedisClient::Open(loop_, address, options_, tls_.get(), clock_, observer_, std::move(hooks));
  {
    absl::MutexLock lock(&mu_);
    primary_ = primary;
    generation_ = generation;
  }
  if (old != nullptr) {
    if (observer_ != nullptr) observer_->PrimaryChanged(old->address().text(), address.text());
    old->Close();
  }
  waiting_->Release([&](WaitingCalls::Call call) {
    primary->Submit(call.lane, std::move(call.commands), call.deadline, std::move(call.done));
  });
  ReleaseReads();
}

void SentinelRoute::OnReplicas(const std::vector<RedisAddress>& addresses) {
  std::vector<std::shared_ptr<RedisClient>> replicas;
  std::vector<std::shared_ptr<RedisClient>> gone;
  absl::MutexLock lock(&mu_);
  for (const std::shared_ptr<RedisClient>& replica : replicas_) {
    const bool stays =
        std::find(addresses.begin(), addresses.end(), replica->address()) != addresses.end();
    (stays ? replicas : gone).push_back(replica);
  }
  for (const RedisAddress& address : addresses) {
    const bool known = std::any_of(replicas.begin(), replicas.end(), [&](const auto& replica) {
      return replica->address() == address;
    });
    if (known) continue;
    RedisClient::Hooks hooks;
    // A connect that fails is no loss: a replica that is away for long is not waited for.
    hooks.on_event = [this, up = false](RedisClient::Event event) mutable {
      const bool was_up = std::exchange(up, event == RedisClient::Event::kReady);
      if (up) {
        ReleaseReads();
      } else if (was_up) {
        OnReplicaLost();
      }
    };
    replicas.push_back(RedisClient::Open(loop_, address, options_, tls_.get(), clock_, observer_,
                                         std::move(hooks)));
  }
  replicas_ = std::move(replicas);
  for (const std::shared_ptr<RedisClient>& replica : gone) replica->Close();
}

std::shared_ptr<RedisClient> SentinelRoute::AnyReplica() {
  for (size_t i = 0; i < replicas_.size(); ++i) {
    const std::shared_ptr<RedisClient>& replica = replicas_[next_replica_++ % replicas_.size()];
    if (replica->Health().connected) return replica;
  }
  return nullptr;
}

void SentinelRoute::SubmitRead(std::shared_ptr<RedisClient> primary,
                               std::vector<RedisCommand> commands, absl::Time deadline,
                               RedisDone done) {
  const bool all_may = std::all_of(commands.begin(), commands.end(),
                                   [](const RedisCommand& command) { return command.replica_ok; });
  if (!all_may) {
    primary->Submit(RedisLane::kRead, std::move(commands), deadline, std::move(done));
    return;
  }
  std::vector<RedisCommand> again = commands;
  RedisClient& asked = *primary;
  asked.Submit(
      RedisLane::kRead, std::move(commands), deadline,
      [this, primary = std::move(primary), again = std::move(again), deadline,
       done = std::move(done)](RedisReplies replies) mutable {
        if (!AnyUnreachable(replies)) return done(std::move(replies));
        AskReplica(std::make_shared<Read>(Read{std::move(again), deadline, std::move(primary),
                                               std::move(replies), std::move(done)}));
      });
}

void SentinelRoute::AskReplica(std::shared_ptr<Read> read) {
  std::shared_ptr<RedisClient> replica;
  std::shared_ptr<RedisClient> new_primary;
  const absl::Duration now = clock_.Monotonic();
  {
    absl::MutexLock lock(&mu_);
    if (!closed_ && primary_ != read->primary) {
      new_primary = primary_;
    } else if (!closed_ && read->tries < kMaxTries) {
      replica = AnyReplica();
      const absl::Duration give_up =
          std::min(replica_lost_ + kReplicaComesBack, now + (read->deadline - clock_.Now()));
      if (replica == nullptr && give_up > now) {
        loop_.Post([this, read = std::move(read), give_up]() mutable {
          WaitForReplica(std::move(read), give_up);
        });
        return;
      }
    }
  }
  if (new_primary != nullptr) {
    SubmitRead(std::move(new_primary), std::move(read->commands), read->deadline,
               std::move(read->done));
    return;
  }
  if (replica == nullptr) {
    read->done(std::move(read->failed));
    return;
  }
  if (observer_ != nullptr) observer_->ReadFromReplica();
  ++read->tries;
  std::vector<RedisCommand> commands = read->commands;
  const absl::Time deadline = read->deadline;
  replica->Submit(RedisLane::kRead, std::move(commands), deadline,
                  [this, read = std::move(read)](RedisReplies replies) mutable {
                    if (!AnyUnreachable(replies)) {
                      MarkFromReplica(&replies);
                      return read->done(std::move(replies));
                    }
                    read->failed = std::move(replies);  // Lost while it was asked.
                    AskReplica(std::move(read));
                  });
}

void SentinelRoute::WaitForReplica(std::shared_ptr<Read> read, absl::Duration give_up) {
  if (reads_timer_ == nullptr || reads_.size() >= kMaxReads) {
    read->done(std::move(read->failed));
    return;
  }
  {
    absl::MutexLock lock(&mu_);
    const bool waits = AnyReplica() == nullptr && primary_ == read->primary;
    if (waits && (reads_.empty() || give_up < reads_due_)) {
      reads_due_ = give_up;
      reads_timer_->Start(give_up - clock_.Monotonic());
    }
    if (waits) reads_.emplace_back(std::move(read), give_up);
  }
  if (read != nullptr) AskReplica(std::move(read));  // One has come back meanwhile.
}

void SentinelRoute::ReleaseReads() {
  std::vector<std::pair<std::shared_ptr<Read>, absl::Duration>> reads;
  reads.swap(reads_);
  for (auto& [read, give_up] : reads) AskReplica(std::move(read));
}

void SentinelRoute::FailReads(absl::Duration until) {
  std::vector<std::pair<std::shared_ptr<Read>, absl::Duration>> reads;
  reads.swap(reads_);
  reads_due_ = absl::InfiniteDuration();
  for (auto& [read, give_up] : reads) {
    if (give_up <= until) {
      read->done(std::move(read->failed));
    } else {
      reads_due_ = std::min(reads_due_, give_up);
      reads_.emplace_back(std::move(read), give_up);
    }
  }
  // A millisecond later than due: libevent's clock is coarser than ours.
  if (!reads_.empty()) reads_timer_->Start(reads_due_ - until + absl::Milliseconds(1));
}

void SentinelRoute::OnReplicaLost() {
  absl::MutexLock lock(&mu_);
  replica_lost_ = clock_.Monotonic();
}

uint64_t SentinelRoute::Generation() const {
  absl::MutexLock lock(&mu_);
  return generation_;
}

// `from` and `next` are "<generation>|<cursor>": a cursor means nothing to another server.
void SentinelRoute::Scan(std::string from, size_t count, absl::Time deadline, ScanDone done) {
  const uint64_t generation = Generation();
  const std::string prefix = absl::StrCat(generation, "|");
  if (!from.empty() && !absl::StartsWith(from, prefix)) {
    done(absl::AbortedError("there is another primary now: begin the walk anew"));
    return;
  }
  const std::string cursor = from.empty() ? "" : from.substr(prefix.size());
  Submit(RedisLane::kRead, {ScanCommand(cursor, count)}, deadline,
         [this, generation, prefix, done = std::move(done)](RedisReplies replies) {
           absl::StatusOr<ScanPage> page = TakeScanPage(std::move(replies[0]));
           // The first page may have waited for the first primary.
           if (page.ok() && generation != 0 && generation != Generation()) {
             page = absl::AbortedError("there is another primary now: begin the walk anew");
           }
           if (page.ok() && !page->next.empty()) {
             page->next = absl::StrCat(generation == 0 ? "1|" : prefix, page->next);
           }
           done(std::move(page));
         });
}

// A new primary may have lost changes, and then come to a number that the old one had before.
void SentinelRoute::ChangeCount(absl::Time deadline, CountDone done) {
  Submit(RedisLane::kRead, {ChangeCountCommand()}, deadline,
         [this, generation = Generation(), done = std::move(done)](const RedisReplies& replies) {
           absl::StatusOr<uint64_t> count = TakeChangeCount(replies[0]);
           if (count.ok() && *count != 0) {
             count = generation == Generation() ? *count + (generation << 48) : 0;
           }
           done(std::move(count));
         });
}

void SentinelRoute::OnAsked(const std::vector<L2Sentinel>& sentinels) {
  std::vector<L2Sentinel> before;
  {
    absl::MutexLock lock(&mu_);
    before = std::exchange(sentinels_, sentinels);
  }
  for (size_t i = 0; observer_ != nullptr && i < sentinels.size(); ++i) {
    const std::string old = before.empty() ? std::string() : before[i].problem;
    if (sentinels[i].problem == old) continue;
    observer_->SentinelChanged(sentinels[i].address, sentinels[i].problem);
  }
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
  std::vector<L2Sentinel> sentinels;
  {
    absl::MutexLock lock(&mu_);
    primary = primary_;
    problem = problem_;
    sentinels = sentinels_;
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
  for (const L2Sentinel& sentinel : sentinels) {
    if (!health.problem.empty() || sentinel.problem.empty()) continue;
    health.problem = absl::StrCat("sentinel ", sentinel.address, ": ", sentinel.problem);
  }
  health.sentinels = std::move(sentinels);
  return health;
}

}  // namespace meridian
