#include "server/l2/cluster_route.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/resilience/backoff.h"
#include "server/l2/resp_writer.h"

namespace meridian {
namespace {

// Who could not be asked in time is not asked again: what was said last says more.
constexpr absl::Duration kTimeToAsk = absl::Milliseconds(20);
constexpr absl::Duration kRefreshPause = absl::Milliseconds(500);
constexpr absl::Duration kRefreshEvery = absl::Seconds(30);
constexpr absl::Duration kRefreshTimeout = absl::Seconds(1);
constexpr absl::Duration kForgetEndpointAfter = absl::Seconds(30);
constexpr absl::Duration kFirstRetry = absl::Milliseconds(5);
constexpr absl::Duration kLongestTryAgain = absl::Milliseconds(50);
constexpr absl::Duration kFirstDownRetry = absl::Milliseconds(20);
constexpr absl::Duration kLongestDownRetry = absl::Milliseconds(200);
constexpr double kJitter = 0.3;
// Calls of which commands wait to be sent again: while a slot is stuck on its way, writes to it
// would pile up until their deadlines.
constexpr size_t kMaxRetryingCalls = 512;

RedisCommand SlotsCommand() {
  return RedisCommand::Plain("cluster_slots", CommandOf({"CLUSTER", "SLOTS"}));
}

// No server was asked, or none has the slot now.
absl::Status NoPrimary(uint16_t slot) {
  return absl::UnavailableError(
      absl::StrCat("L2_UNAVAILABLE: no server of the Redis Cluster has the hash slot ", slot));
}

// To the callers of a route the reason is one of ours.
absl::Status Exhausted(const absl::Status& error) {
  return absl::UnavailableError(
      absl::StrCat("L2_UNAVAILABLE: ", std::string(error.message()), " (tried again in vain)"));
}

}  // namespace

// One Submit under way. Loop only once it was posted.
struct ClusterRoute::Call {
  static constexpr size_t kNone = static_cast<size_t>(-1);

  RedisLane lane;
  std::vector<RedisCommand> commands;
  RedisReplies replies;
  std::vector<size_t> follower;  // By command: that of the same slot which waits for it, or kNone.
  std::vector<int> redirects;
  std::vector<int> waits;
  size_t left = 0;
  size_t retrying = 0;  // Commands that wait for their next attempt.
  absl::Time deadline;
  RedisDone done;
};

ClusterRoute::ClusterRoute(EventLoop& loop, const RedisClientOptions& options,
                           std::unique_ptr<TlsContext> tls, const Clock& clock,
                           L2Observer* observer)
    : loop_(loop),
      options_(options),
      tls_(std::move(tls)),
      clock_(clock),
      observer_(observer),
      random_(std::random_device()()) {
  loop_.Post([this] {
    waiting_ = std::make_unique<WaitingCalls>(loop_, clock_);
    retry_timer_ = std::make_unique<LoopTimer>(loop_, [this] { OnRetryTimer(); });
    refresh_timer_ = std::make_unique<LoopTimer>(loop_, [this] { Refresh(); });
    Refresh();
  });
}

ClusterRoute::~ClusterRoute() {
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
  }
  // After everything that was submitted: Submit posts under mu_.
  loop_.PostAndWait([this] {
    stopped_ = true;
    refresh_timer_.reset();
    retry_timer_.reset();
    waiting_.reset();
    std::multimap<absl::Duration, Retry> retries;
    retries.swap(retries_);
    for (auto& [time, retry] : retries) {
      Settle(retry.call, retry.index,
             absl::UnavailableError("L2_UNAVAILABLE: the store is closing"));
    }
    for (auto& [place, endpoint] : endpoints_) endpoint.client->Close();
  });
  // The clients' own closing, then what that has posted.
  loop_.PostAndWait([] {});
  loop_.PostAndWait([] {});
}

std::shared_ptr<const ClusterRoute::Map> ClusterRoute::CurrentMap() const {
  absl::MutexLock lock(&mu_);
  return map_;
}

void ClusterRoute::Submit(RedisLane lane, std::vector<RedisCommand> commands, absl::Time deadline,
                          RedisDone done) {
  if (commands.empty()) {
    done({});
    return;
  }
  absl::Status refusal;
  {
    absl::MutexLock lock(&mu_);
    if (closed_) {
      refusal = absl::UnavailableError("L2_UNAVAILABLE: the store is closing");
    } else if (map_ == nullptr && !problem_.ok()) {
      refusal = problem_;
    } else {
      auto call = std::make_shared<Call>();
      const size_t count = commands.size();
      call->lane = lane;
      call->commands = std::move(commands);
      call->replies.resize(count, absl::UnknownError("not answered"));
      call->follower.resize(count, Call::kNone);
      call->redirects.resize(count, 0);
      call->waits.resize(count, 0);
      call->left = count;
      call->deadline = deadline;
      call->done = std::move(done);
      loop_.Post([this, call = std::move(call)] { Begin(call); });
      return;
    }
  }
  done(RedisReplies(commands.size(), refusal));
}

void ClusterRoute::Begin(std::shared_ptr<Call> call) {
  if (CurrentMap() == nullptr) {
    WaitingCalls::Call waiting{call->lane, std::move(call->commands), call->deadline,
                               std::move(call->done)};
    absl::Status problem;
    {
      absl::MutexLock lock(&mu_);
      problem = problem_;
    }
    if (problem.ok()) {
      waiting_->Add(std::move(waiting));
    } else {
      waiting.done(RedisReplies(waiting.commands.size(), problem));
    }
    return;
  }
  std::vector<size_t> first;
  if (call->lane == RedisLane::kRead) {
    for (size_t i = 0; i < call->commands.size(); ++i) first.push_back(i);
  } else {
    std::map<int, size_t> last_of_slot;
    for (size_t i = 0; i < call->commands.size(); ++i) {
      const auto [at, is_first] = last_of_slot.emplace(call->commands[i].slot, i);
      if (is_first) {
        first.push_back(i);
      } else {
        call->follower[std::exchange(at->second, i)] = i;
      }
    }
  }
  Send(call, first);
}

void ClusterRoute::Send(const std::shared_ptr<Call>& call, const std::vector<size_t>& indices) {
  const std::shared_ptr<const Map> map = CurrentMap();
  std::vector<std::vector<size_t>> by_primary(map->clients.size());
  for (const size_t i : indices) {
    call->commands[i].asking = false;
    const auto slot = static_cast<uint16_t>(call->commands[i].slot);
    if (const std::optional<size_t> primary = map->table.PrimaryOf(slot)) {
      by_primary[*primary].push_back(i);
      continue;
    }
    RefreshSoon();
    if (!RetryLater(call, i, kFirstDownRetry)) Settle(call, i, NoPrimary(slot));
  }
  for (size_t primary = 0; primary < by_primary.size(); ++primary) {
    if (by_primary[primary].empty()) continue;
    SendTo(map->clients[primary], call, std::move(by_primary[primary]));
  }
}

void ClusterRoute::SendTo(const std::shared_ptr<RedisClient>& client,
                          const std::shared_ptr<Call>& call, std::vector<size_t> indices,
                          bool replica) {
  std::vector<RedisCommand> commands;
  commands.reserve(indices.size());
  for (const size_t i : indices) commands.push_back(call->commands[i]);
  client->Submit(call->lane, std::move(commands), call->deadline,
                 [this, call, from = client->address(), indices = std::move(indices),
                  replica](RedisReplies replies) {
                   if (replica) MarkFromReplica(&replies);
                   OnReplies(call, from, indices, std::move(replies));
                 });
}

void ClusterRoute::OnReplies(const std::shared_ptr<Call>& call, const RedisAddress& from,
                             const std::vector<size_t>& indices, RedisReplies replies) {
  for (size_t i = 0; i < indices.size(); ++i) {
    if (!replies[i].ok() && !stopped_ && Follow(call, indices[i], from, replies[i].status())) {
      continue;
    }
    Settle(call, indices[i], std::move(replies[i]));
  }
}

// False when the error is the command's answer: it is not sent again.
bool ClusterRoute::Follow(const std::shared_ptr<Call>& call, size_t index, const RedisAddress& from,
                          const absl::Status& error) {
  const std::string text = RedisErrorOf(error);
  const std::string_view kind = RedisErrorKind(text);
  if (kind == "TRYAGAIN" && call->commands[index].divisible) return false;
  if (kind == "TRYAGAIN") {
    call->redirects[index] = 0;  // It comes after an ASK, and again, until the slot has arrived.
    const int doublings = std::min(call->waits[index]++, 4);
    return RetryLater(call, index, std::min(kFirstRetry * (1 << doublings), kLongestTryAgain));
  }
  if (kind == "CLUSTERDOWN" || kind == "READONLY" || kind == "LOADING" || kind == "MASTERDOWN") {
    RefreshSoon();
    if (call->redirects[index]++ == kMaxRedirects) return false;
    const int doublings = std::min(call->waits[index]++, 4);
    return RetryLater(call, index, std::min(kFirstDownRetry * (1 << doublings), kLongestDownRetry));
  }
  const std::optional<Redirect> redirect = ParseRedirect(text, from);
  if (!redirect) {
    // Also a server that is gone: another one may have its slots by now.
    if (!IsUnreachable(error)) return false;
    RefreshSoon();
    RedisCommand& command = call->commands[index];
    if (!options_.url.replica_reads || !std::exchange(command.replica_ok, false)) return false;
    const std::shared_ptr<RedisClient> replica = ReplicaOf(static_cast<uint16_t>(command.slot));
    if (replica == nullptr) return false;
    if (observer_ != nullptr) observer_->ReadFromReplica();
    SendTo(replica, call, {index}, /*replica=*/true);
    return true;
  }
  if (call->redirects[index]++ == kMaxRedirects) return false;
  if (!MayGoTo(redirect->to)) {
    RefreshSoon();
    return false;
  }
  if (redirect->ask) {
    call->commands[index].asking = true;
    SendTo(ClientAt(redirect->to), call, {index});
    return true;
  }
  const std::shared_ptr<const Map> map = CurrentMap();
  const std::optional<size_t> known = map->table.PrimaryOf(redirect->slot);
  if (!known || map->table.primaries()[*known] != redirect->to) {
    Install(map->table.With(redirect->slot, redirect->to));
  }
  RefreshSoon();
  Send(call, {index});
  return true;
}

bool ClusterRoute::RetryLater(const std::shared_ptr<Call>& call, size_t index,
                              absl::Duration delay) {
  delay = WithJitter(delay, kJitter, Random());
  if (stopped_ || clock_.Now() + delay + kTimeToAsk >= call->deadline) return false;
  if (call->retrying == 0 && retrying_calls_ >= kMaxRetryingCalls) {
    Settle(call, index,
           absl::ResourceExhaustedError(absl::StrCat("L2_OVERLOADED: ", kMaxRetryingCalls,
                                                     " calls wait for the Redis Cluster")));
    return true;
  }
  if (call->retrying++ == 0) ++retrying_calls_;
  const absl::Duration at = clock_.Monotonic() + delay;
  if (retries_.empty() || at < retries_.begin()->first) retry_timer_->Start(delay);
  retries_.emplace(at, Retry{call, index});
  return true;
}

void ClusterRoute::OnRetryTimer() {
  const absl::Duration now = clock_.Monotonic();
  std::vector<Retry> due;
  while (!retries_.empty() && retries_.begin()->first <= now) {
    due.push_back(std::move(retries_.begin()->second));
    retries_.erase(retries_.begin());
  }
  if (!retries_.empty()) {
    retry_timer_->Start(retries_.begin()->first - now + absl::Milliseconds(1));
  }
  for (const Retry& retry : due) {
    if (--retry.call->retrying == 0) --retrying_calls_;
  }
  for (const Retry& retry : due) Send(retry.call, {retry.index});
}

void ClusterRoute::Settle(const std::shared_ptr<Call>& call, size_t index,
                          absl::StatusOr<Reply> reply) {
  if (!reply.ok() && IsRedirectError(reply.status()) && !call->commands[index].divisible) {
    reply = Exhausted(reply.status());
  }
  call->replies[index] = std::move(reply);
  --call->left;
  if (const size_t follower = call->follower[index]; follower != Call::kNone) {
    if (stopped_) {
      Settle(call, follower, absl::UnavailableError("L2_UNAVAILABLE: the store is closing"));
    } else {
      Send(call, {follower});
    }
  } else if (call->left == 0) {
    call->done(std::move(call->replies));
  }
}

std::shared_ptr<RedisClient> ClusterRoute::ClientAt(const RedisAddress& address, bool replica) {
  Endpoint& endpoint = endpoints_[{address, replica}];
  if (endpoint.client == nullptr) {
    RedisClient::Hooks hooks;
    hooks.read_replica = replica;
    if (!replica) {
      hooks.on_restarted = [this, address] { WentBack(history_.SlotsOf(address)); };
    }
    hooks.on_event = [this](RedisClient::Event event) {
      if (event == RedisClient::Event::kDown && !stopped_) RefreshSoon();
    };
    endpoint.client = RedisClient::Open(loop_, address, options_, tls_.get(), clock_, observer_,
                                        std::move(hooks));
  }
  endpoint.last_used = clock_.Monotonic();
  return endpoint.client;
}

std::shared_ptr<RedisClient> ClusterRoute::ReplicaOf(uint16_t slot) {
  const std::shared_ptr<const Map> map = CurrentMap();
  const std::optional<size_t> primary = map->table.PrimaryOf(slot);
  if (!primary) return nullptr;
  for (const RedisAddress& address : map->table.ReplicasOf(*primary)) {
    std::shared_ptr<RedisClient> replica = ClientAt(address, true);
    if (replica->Health().connected) return replica;
  }
  return nullptr;
}

void ClusterRoute::Install(SlotTable table) {
  auto map = std::make_shared<Map>();
  for (size_t i = 0; i < table.primaries().size(); ++i) {
    map->clients.push_back(ClientAt(table.primaries()[i]));
    if (!options_.url.replica_reads) continue;
    for (const RedisAddress& replica : table.ReplicasOf(i)) ClientAt(replica, true);
  }
  map->table = std::move(table);
  map->covered = map->table.covered_slots();
  absl::MutexLock lock(&mu_);
  map_ = std::move(map);
  problem_ = absl::OkStatus();
}

void ClusterRoute::RefreshSoon() {
  if (refreshing_ || stopped_) return;
  const absl::Duration now = clock_.Monotonic();
  const absl::Duration at = std::max(now, not_before_);
  if (at >= refresh_at_) return;
  refresh_at_ = at;
  refresh_timer_->Start(at - now);
}

void ClusterRoute::Refresh() {
  if (refreshing_) return;
  refreshing_ = true;
  refresh_at_ = absl::InfiniteDuration();
  // Any server that is known, in random order so that no single one is asked by everybody; then the
  // seeds, which may have moved.
  std::vector<RedisAddress> candidates;
  for (const auto& [place, endpoint] : endpoints_) {
    if (!place.second) candidates.push_back(place.first);
  }
  std::shuffle(candidates.begin(), candidates.end(), random_);
  for (const RedisAddress& seed : options_.url.seeds) {
    if (std::find(candidates.begin(), candidates.end(), seed) == candidates.end()) {
      candidates.push_back(seed);
    }
  }
  std::reverse(candidates.begin(), candidates.end());  // The next one is taken from the end.
  AskForTable(std::move(candidates), absl::UnavailableError("no seed"));
}

void ClusterRoute::AskForTable(std::vector<RedisAddress> candidates, absl::Status last_error) {
  if (stopped_) return;
  if (candidates.empty()) {
    NoTable(last_error);
    return;
  }
  const RedisAddress asked = std::move(candidates.back());
  candidates.pop_back();
  ClientAt(asked)->Submit(
      RedisLane::kRead, {SlotsCommand()}, clock_.Now() + kRefreshTimeout,
      [this, asked, others = std::move(candidates)](RedisReplies replies) mutable {
        OnTable(asked, std::move(replies[0]), std::move(others));
      });
}

void ClusterRoute::OnTable(const RedisAddress& asked, absl::StatusOr<Reply> reply,
                           std::vector<RedisAddress> others) {
  if (stopped_) return;
  absl::StatusOr<SlotTable> table =
      reply.ok() ? SlotTable::Parse(*reply, asked) : absl::StatusOr<SlotTable>(reply.status());
  // A server that was taken out of the cluster knows of no slots.
  if (table.ok() && table->primaries().empty()) {
    table = absl::UnavailableError(absl::StrCat(asked.text(), " knows of no slots"));
  }
  if (!table.ok()) {
    AskForTable(std::move(others), table.status());
    return;
  }
  WentBack(history_.TakenOver(*table));
  Install(*std::move(table));
  const absl::Duration now = clock_.Monotonic();
  for (auto it = endpoints_.begin(); it != endpoints_.end();) {
    if (now - it->second.last_used < kForgetEndpointAfter) {
      ++it;
      continue;
    }
    it->second.client->Close();
    it = endpoints_.erase(it);
  }
  listed_ = endpoints_.size();
  refreshing_ = false;
  not_before_ = now + WithJitter(kRefreshPause, kJitter, Random());
  refresh_at_ = now + WithJitter(kRefreshEvery, kJitter, Random());
  refresh_timer_->Start(refresh_at_ - now);
  waiting_->Release([this](WaitingCalls::Call call) {
    Submit(call.lane, std::move(call.commands), call.deadline, std::move(call.done));
  });
}

void ClusterRoute::WentBack(const std::vector<bool>& redis_slots) {
  if (std::find(redis_slots.begin(), redis_slots.end(), true) == redis_slots.end()) return;
  generations_.Raise([&](uint32_t slot) { return redis_slots[RedisHashSlotOf(slot)]; });
}

// The table that is known stays in use.
void ClusterRoute::NoTable(const absl::Status& why) {
  const absl::Status problem = absl::UnavailableError(
      absl::StrCat("L2_UNAVAILABLE: no server of the Redis Cluster ", options_.url.address(),
                   " tells who has which slots: ", std::string(why.message())));
  {
    absl::MutexLock lock(&mu_);
    problem_ = problem;
  }
  refreshing_ = false;
  const absl::Duration now = clock_.Monotonic();
  not_before_ = now + WithJitter(kRefreshPause, kJitter, Random());
  refresh_at_ = not_before_;
  refresh_timer_->Start(refresh_at_ - now);
  waiting_->Fail(problem);
}

}  // namespace meridian
