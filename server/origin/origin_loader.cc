#include "server/origin/origin_loader.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/resilience/backoff.h"
#include "server/origin/load_results.h"

namespace meridian {
namespace {

// After that what is known of an origin that nobody asks is not told any more.
constexpr absl::Duration kIdle = absl::Minutes(10);
constexpr BackoffOptions kRetryBackoff = {.initial = absl::Milliseconds(10),
                                          .max = absl::Milliseconds(200)};

// An origin that does not answer is left alone soon: each call holds up its callers.
constexpr CircuitBreakerOptions kBreaker = {
    .min_calls = 10, .open_for = absl::Seconds(1), .max_open_for = absl::Seconds(10), .probes = 2};

// Tokens that may be saved up: as many as this time gives, and one call's keys.
constexpr absl::Duration kBurst = absl::Milliseconds(100);

void Count(std::atomic<uint64_t>& counter, uint64_t n = 1) {
  counter.fetch_add(n, std::memory_order_relaxed);
}

std::shared_ptr<const Error> MakeError(grpc::StatusCode code, const char* reason,
                                       std::string message) {
  return std::make_shared<const Error>(Error{code, reason, std::move(message), {}});
}

std::shared_ptr<const Error> TimeoutError(const OriginPolicy& policy) {
  return MakeError(grpc::StatusCode::DEADLINE_EXCEEDED, reason::kOriginTimeout,
                   absl::StrCat("the origin ", policy.address, " did not load the key within ",
                                absl::FormatDuration(policy.timeout)));
}

// What a failed call means for its keys.
std::shared_ptr<const Error> ErrorOf(const OriginReply& reply, const OriginPolicy& policy) {
  const absl::Status& status = reply.status;
  if (reply.fault != AnswerFault::kNone) {
    return MakeError(grpc::StatusCode::INTERNAL, reason::kOriginInvalid,
                     reply.fault == AnswerFault::kTooLarge
                         ? absl::StrCat("the origin's answer for the key alone is larger than ",
                                        OriginTransport::kMaxAnswerBytes, " bytes")
                         : absl::StrCat("the origin ", policy.address,
                                        " gave no answer that is read: ", status.message()));
  }
  if (absl::IsDeadlineExceeded(status)) return TimeoutError(policy);
  const std::string words =
      absl::StrCat("the origin ", policy.address, " answers ",
                   absl::StatusCodeToString(status.code()), ": ", status.message());
  if (absl::IsUnavailable(status) || absl::IsCancelled(status)) {
    return MakeError(grpc::StatusCode::UNAVAILABLE, reason::kOriginUnavailable, words);
  }
  return MakeError(grpc::StatusCode::INTERNAL, reason::kOriginError, words);
}

// 0 <= x < 1, different for every call; need not be unpredictable.
double NextRandom() {
  static std::atomic<uint64_t> counter{0};
  const uint64_t n = counter.fetch_add(1, std::memory_order_relaxed);
  const uint64_t hash =
      Hash64(std::string_view(reinterpret_cast<const char*>(&n), sizeof(n)), 0x0a19);
  return static_cast<double>(hash >> 11) * 0x1.0p-53;
}

}  // namespace

struct OriginLoader::Waiting {
  OriginKey key;
  OriginSink* sink;
  absl::Duration since;
  absl::Duration deadline;
  // A call that carries it has no more keys than this: with more, the answer was too large.
  size_t most = SIZE_MAX;
};

// Keys that one message carries, and its attempts. It goes on until the newest key's deadline; each
// key has its own.
struct OriginLoader::Call {
  std::vector<Waiting> keys;  // By their deadlines.
  std::shared_ptr<const OriginPolicy> policy;
  absl::Duration deadline;
  CircuitBreaker::Ticket ticket = 0;
  // The first so many keys have had their timeout, and have no tickets. Of the queue, under its
  // lock, until the call has ended.
  size_t late = 0;
  // Of the attempt.
  absl::Duration sent;
  size_t from = 0;  // The first key that it asks for.
  uint32_t attempts = 0;
  Backoff backoff{kRetryBackoff};
};

// What is to be done when the lock is free again.
struct OriginLoader::Actions {
  std::vector<std::shared_ptr<Call>> send;
  std::vector<std::pair<Waiting, std::shared_ptr<const Error>>> fail;
};

class OriginLoader::Queue {
 public:
  explicit Queue(const Namespace& name_space) : name_space_(name_space), breaker_(kBreaker) {}

  const Namespace& name_space() const { return name_space_; }

  void Add(const NamespacePolicy& policy, std::vector<OriginKey> keys, OriginSink& sink,
           absl::Duration now, Actions* actions) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    asked_at_ = now;
    if (policy_ == nullptr || *policy_ != policy.origin) {
      policy_ = std::make_shared<const OriginPolicy>(policy.origin);
    }
    for (OriginKey& key : keys) {
      Waiting waiting{std::move(key), &sink, now, now + policy.origin.timeout};
      if (waiting_.size() >= kMaxWaiting) {
        actions->fail.emplace_back(
            std::move(waiting),
            MakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, reason::kOverloaded,
                      absl::StrCat(kMaxWaiting, " keys wait for the origin already")));
        continue;
      }
      waiting_.push_back(std::move(waiting));
    }
    Pump(now, actions);
  }

  void OnTimer(absl::Duration now, Actions* actions) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    Pump(now, actions);
  }

  // How many of the call's keys need not be asked for any more.
  size_t LateOf(const Call& call) const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return call.late;
  }

  // When the call may be made again, `earliest` at the soonest: its keys count for the rate as
  // those of a first call do, ahead of those that wait. nullopt: not within its time.
  std::optional<absl::Duration> RetryAt(const Call& call, absl::Duration now,
                                        absl::Duration earliest) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    const OriginPolicy& policy = *policy_;
    absl::Duration at = earliest;
    const auto keys = static_cast<double>(call.keys.size() - call.late);
    if (policy.rate > 0) {
      Refill(policy, now);
      // Tokens that are not there yet are owed: nobody else gets them.
      at = std::max(at, now + absl::Seconds((keys - tokens_) / policy.rate));
    }
    if (at >= call.deadline) return std::nullopt;
    if (policy.rate > 0) tokens_ -= keys;
    return at;
  }

  // A call has ended for good; `ok`: the origin is there. From now on the call is the caller's:
  // with `most`, what is left of its keys is not, and is asked for in smaller calls.
  void Ended(Call& call, bool ok, size_t most, absl::Duration now, Actions* actions)
      ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    --calls_;
    if (ok) {
      breaker_.OnSuccess(call.ticket, now);
    } else {
      breaker_.OnFailure(call.ticket, now, NextRandom());
    }
    for (auto it = due_.begin(); it != due_.end(); ++it) {
      if (it->second.get() != &call) continue;
      due_.erase(it);
      break;
    }
    if (most > 0) {
      // They have waited longest; concurrency, rate and breaker hold for them as for others.
      for (size_t i = call.keys.size(); i-- > call.late;) {
        call.keys[i].most = most;
        waiting_.push_front(std::move(call.keys[i]));
      }
    }
    Pump(now, actions);
  }

  // When Pump wants to run again; infinite: not before something happens. Asked for after actions.
  absl::Duration wake() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return wake_;
  }

  // nullopt: nobody has asked for so long that what it was then says nothing.
  std::optional<OriginState> State(absl::Duration now) const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (now - asked_at_ > kIdle && waiting_.empty() && calls_ == 0) return std::nullopt;
    return OriginState{name_space_.name, policy_ == nullptr ? "" : policy_->address,
                       std::string(breaker_.state_name()), waiting_.size(), calls_};
  }

  absl::Mutex timer_mu;  // Of the loader, for `timer`.
  TimerQueue::Id timer ABSL_GUARDED_BY(timer_mu);

 private:
  void FailAll(std::vector<Waiting> keys, Actions* actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const std::shared_ptr<const Error> error =
        MakeError(grpc::StatusCode::UNAVAILABLE, reason::kOriginUnavailable,
                  absl::StrCat("the origin ", policy_->address,
                               " has failed too often; it is tried again soon"));
    for (Waiting& key : keys) actions->fail.emplace_back(std::move(key), error);
  }

  // Sends what may be sent now, and gives up what has waited too long.
  void Pump(absl::Duration now, Actions* actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    wake_ = absl::InfiniteDuration();
    if (policy_ == nullptr) return;
    SendRipe(now, actions);
    while (!due_.empty() && due_.begin()->first <= now) {
      const std::shared_ptr<Call> call = std::move(due_.begin()->second);
      due_.erase(due_.begin());
      GiveUpLate(*call, now, actions);
      if (call->late < call->keys.size()) due_.emplace(call->keys[call->late].deadline, call);
    }
    if (!due_.empty()) wake_ = std::min(wake_, due_.begin()->first);
  }

  // The keys of a call whose time is over; the call goes on for the others.
  static void GiveUpLate(Call& call, absl::Duration now, Actions* actions) {
    for (; call.late < call.keys.size() && call.keys[call.late].deadline <= now; ++call.late) {
      Waiting& key = call.keys[call.late];
      Waiting late{{{}, {}, std::move(key.key.ticket)}, key.sink, key.since, key.deadline};
      actions->fail.emplace_back(std::move(late), TimeoutError(*call.policy));
    }
  }

  void SendRipe(absl::Duration now, Actions* actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const OriginPolicy& policy = *policy_;
    Refill(policy, now);
    while (!waiting_.empty()) {
      const Waiting& oldest = waiting_.front();
      if (oldest.deadline <= now) {
        actions->fail.emplace_back(std::move(waiting_.front()), TimeoutError(policy));
        waiting_.pop_front();
        continue;
      }
      wake_ = oldest.deadline;
      if (calls_ >= policy.concurrency) return;
      const absl::Duration ripe = oldest.since + policy.batch_window;
      if (waiting_.size() < policy.batch_size && ripe > now) {
        wake_ = std::min(wake_, ripe);
        return;
      }
      size_t count = std::min<size_t>(waiting_.size(), policy.batch_size);
      if (policy.rate > 0) {
        if (tokens_ < 1) {
          wake_ = std::min(
              wake_, now + absl::Seconds((1 - tokens_) / policy.rate) + absl::Microseconds(1));
          return;
        }
        count = std::min(count, static_cast<size_t>(tokens_));
      }
      for (size_t i = 0; i < count; ++i) count = std::min(count, waiting_[i].most);
      if (policy.rate > 0) tokens_ -= static_cast<double>(count);
      const std::optional<CircuitBreaker::Ticket> ticket = breaker_.TryEnter(now);
      std::vector<Waiting> keys(
          std::make_move_iterator(waiting_.begin()),
          std::make_move_iterator(waiting_.begin() + static_cast<long>(count)));
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<long>(count));
      if (!ticket) {
        FailAll(std::move(keys), actions);
        continue;
      }
      auto call = std::make_shared<Call>();
      call->policy = policy_;
      call->keys = std::move(keys);
      // The policy's timeout may have changed between them.
      std::stable_sort(call->keys.begin(), call->keys.end(),
                       [](const Waiting& a, const Waiting& b) { return a.deadline < b.deadline; });
      call->deadline = call->keys.back().deadline;
      call->ticket = *ticket;
      ++calls_;
      due_.emplace(call->keys.front().deadline, call);
      actions->send.push_back(std::move(call));
    }
    wake_ = absl::InfiniteDuration();
  }

  void Refill(const OriginPolicy& policy, absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (policy.rate == 0) return;
    const double rate = policy.rate;
    const double most = std::max(1.0, rate * absl::ToDoubleSeconds(kBurst));
    if (!filled_) tokens_ = most;
    tokens_ = std::min(most, tokens_ + rate * absl::ToDoubleSeconds(now - filled_at_));
    filled_ = true;
    filled_at_ = now;
  }

  const Namespace& name_space_;
  mutable absl::Mutex mu_;
  std::shared_ptr<const OriginPolicy> policy_ ABSL_GUARDED_BY(mu_);  // The newest.
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mu_);
  // The calls under way that have keys which wait, by the deadline that is next.
  std::multimap<absl::Duration, std::shared_ptr<Call>> due_ ABSL_GUARDED_BY(mu_);
  size_t calls_ ABSL_GUARDED_BY(mu_) = 0;
  CircuitBreaker breaker_ ABSL_GUARDED_BY(mu_);
  bool filled_ ABSL_GUARDED_BY(mu_) = false;
  double tokens_ ABSL_GUARDED_BY(mu_) = 0;  // Below 0: owed by calls that are made again.
  absl::Duration filled_at_ ABSL_GUARDED_BY(mu_);
  absl::Duration asked_at_ ABSL_GUARDED_BY(mu_);
  absl::Duration wake_ ABSL_GUARDED_BY(mu_) = absl::InfiniteDuration();
};

OriginLoader::OriginLoader(OriginTransport& transport, const Clock& clock, TimerQueue& timers,
                           OriginObserver* observer)
    : transport_(transport), clock_(clock), timers_(timers), observer_(observer) {}

OriginLoader::~OriginLoader() = default;

void OriginLoader::Load(const Namespace& name_space, const NamespacePolicy& policy,
                        std::vector<OriginKey> keys, OriginSink& sink) {
  Queue* queue = nullptr;
  {
    absl::MutexLock lock(&mu_);
    std::unique_ptr<Queue>& mine = queues_[name_space.name];
    if (mine == nullptr) mine = std::make_unique<Queue>(name_space);
    queue = mine.get();
  }
  Actions actions;
  queue->Add(policy, std::move(keys), sink, clock_.Monotonic(), &actions);
  Do(*queue, std::move(actions));
}

std::vector<OriginState> OriginLoader::States() const {
  std::vector<OriginState> states;
  absl::MutexLock lock(&mu_);
  for (const auto& [name, queue] : queues_) {
    std::optional<OriginState> state = queue->State(clock_.Monotonic());
    if (state.has_value()) states.push_back(*std::move(state));
  }
  return states;
}

void OriginLoader::Do(Queue& queue, Actions actions) {
  {
    absl::MutexLock lock(&queue.timer_mu);
    const absl::Duration wake = queue.wake();
    if (queue.timer.sequence != 0 && wake < queue.timer.due) {
      timers_.Cancel(queue.timer);
      queue.timer = {};
    }
    if (queue.timer.sequence == 0 && wake != absl::InfiniteDuration()) {
      queue.timer = timers_.Add(wake, [this, &queue] { OnTimer(queue); });
    }
  }
  OriginCounters& counters = queue.name_space().counters.origin;
  for (auto& [waiting, error] : actions.fail) {
    Count(error->reason == reason::kOriginTimeout ? counters.timeouts : counters.unavailable);
    OriginAnswer answer;
    answer.ticket = std::move(waiting.key.ticket);
    answer.error = error;
    std::vector<OriginAnswer> answers;
    answers.push_back(std::move(answer));
    waiting.sink->OnLoaded(std::move(answers));
  }
  for (std::shared_ptr<Call>& call : actions.send) Send(queue, std::move(call));
}

void OriginLoader::OnTimer(Queue& queue) {
  {
    absl::MutexLock lock(&queue.timer_mu);
    queue.timer = {};
  }
  Actions actions;
  queue.OnTimer(clock_.Monotonic(), &actions);
  Do(queue, std::move(actions));
}

void OriginLoader::Send(Queue& queue, std::shared_ptr<Call> call) {
  const OriginPolicy& policy = *call->policy;
  call->from = queue.LateOf(*call);
  call->sent = clock_.Monotonic();
  if (call->from == call->keys.size()) {  // Nobody waits for another attempt any more.
    Actions actions;
    queue.Ended(*call, /*ok=*/false, /*most=*/0, call->sent, &actions);
    return Do(queue, std::move(actions));
  }
  ++call->attempts;
  origin::v1::BatchLoadRequest request;
  request.set_request_id(call->keys.back().key.request_id);
  request.set_namespace_(queue.name_space().name);
  // One key may be looked for twice, by force and because it is missing.
  std::set<std::string_view> seen;
  for (size_t i = call->from; i < call->keys.size(); ++i) {
    const std::string& key = call->keys[i].key.key;
    if (seen.insert(key).second) request.add_keys(key);
  }
  Count(queue.name_space().counters.origin.loads);
  const absl::Time deadline = clock_.Now() + (call->deadline - call->sent);
  transport_.BatchLoad(OriginTarget{policy.address, policy.tls, policy.ca_file}, std::move(request),
                       deadline, [this, &queue, call = std::move(call)](OriginReply reply) {
                         OnAnswer(queue, call, std::move(reply));
                       });
}

void OriginLoader::OnAnswer(Queue& queue, const std::shared_ptr<Call>& call, OriginReply reply) {
  const OriginPolicy& policy = *call->policy;
  OriginCounters& counters = queue.name_space().counters.origin;
  const absl::Duration now = clock_.Monotonic();
  if (observer_ != nullptr) observer_->OnCall(queue.name_space().name, now - call->sent);
  if (absl::IsUnavailable(reply.status) && call->attempts <= policy.retries) {
    const absl::Duration pause = call->backoff.Next(NextRandom());
    if (const auto at = queue.RetryAt(*call, now, now + pause)) {
      Count(counters.retries);
      timers_.Add(*at, [this, &queue, call] { Send(queue, call); });
      return;
    }
  }
  Actions actions;
  const size_t asked = call->keys.size() - call->from;
  const size_t most = reply.fault == AnswerFault::kTooLarge && asked > 1 ? (asked + 1) / 2 : 0;
  // Who answers too much is there.
  queue.Ended(*call, reply.status.ok() || reply.fault != AnswerFault::kNone, most, now, &actions);
  if (most == 0) Answer(queue, *call, std::move(reply));
  Do(queue, std::move(actions));
}

void OriginLoader::Answer(Queue& queue, Call& call, OriginReply reply) {
  OriginCounters& counters = queue.name_space().counters.origin;
  std::vector<OriginAnswer> answers(call.keys.size());  // Those of late keys are not given.
  if (reply.status.ok()) {
    std::vector<std::string> keys;
    std::map<std::string_view, size_t> index_of;
    for (size_t i = call.from; i < call.keys.size(); ++i) {
      const std::string& key = call.keys[i].key.key;
      if (index_of.emplace(key, keys.size()).second) keys.push_back(key);
    }
    const LoadResults results = TakeLoadResults(keys, &reply.response);
    Count(counters.ignored, results.ignored);
    for (size_t i = call.late; i < call.keys.size(); ++i) {
      answers[i] = results.answers[index_of.at(call.keys[i].key.key)];
    }
  } else {
    const std::shared_ptr<const Error> error = ErrorOf(reply, *call.policy);
    for (OriginAnswer& answer : answers) answer.error = error;
  }
  // By sink: nearly always there is one.
  std::map<OriginSink*, std::vector<OriginAnswer>> by_sink;
  for (size_t i = call.late; i < answers.size(); ++i) {
    OriginAnswer& answer = answers[i];
    switch (answer.outcome) {
      case LoadOutcome::kFound:
        Count(counters.found);
        break;
      case LoadOutcome::kAbsent:
        Count(counters.absent);
        break;
      case LoadOutcome::kError:
        Count(answer.error->reason == reason::kOriginTimeout       ? counters.timeouts
              : answer.error->reason == reason::kOriginInvalid     ? counters.invalid
              : answer.error->reason == reason::kOriginUnavailable ? counters.unavailable
                                                                   : counters.errors);
        break;
    }
    answer.ticket = std::move(call.keys[i].key.ticket);
    by_sink[call.keys[i].sink].push_back(std::move(answer));
  }
  for (auto& [sink, some] : by_sink) sink->OnLoaded(std::move(some));
}

}  // namespace meridian
