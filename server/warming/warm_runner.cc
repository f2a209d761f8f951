#include "server/warming/warm_runner.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

constexpr absl::Duration kLoadRetry = absl::Seconds(1);
// So that a deadline, or a clock that was set, is seen in time.
constexpr absl::Duration kLongestSleep = absl::Seconds(1);
constexpr size_t kMaxBuckets = 1000;
constexpr size_t kMaxLanes = 1000;

}  // namespace

WarmRunner::WarmRunner(WarmRunnerOptions options, WarmBudgets budgets, const Clock& clock,
                       Executor& executor, WarmReader& reader, WarmMetrics& metrics,
                       WarmQueue& queue, Hooks hooks)
    : options_(options),
      budgets_(std::move(budgets)),
      clock_(clock),
      executor_(executor),
      reader_(reader),
      metrics_(metrics),
      queue_(queue),
      hooks_(std::move(hooks)),
      random_(options.random_seed),
      pace_(options.pace) {}

void WarmRunner::SetNodes(std::vector<std::string> nodes) {
  nodes_ = std::move(nodes);
  reader_.KeepOnly(nodes_);
  Pump();
}

void WarmRunner::SetBudgets(WarmBudgets budgets) {
  budgets_ = std::move(budgets);
  const absl::Duration now = clock_.Monotonic();
  for (auto it = buckets_.begin(); it != buckets_.end();) {
    const std::string name = it->first.substr(2);
    const auto origin = budgets_.origins.find(name);
    const bool is_of_origin = it->first[0] == 'o';
    if (is_of_origin && origin == budgets_.origins.end()) {
      it = buckets_.erase(it);
      continue;
    }
    if (it->first[0] != 's') {  // Those of sources are set whenever they are used.
      const double rate = is_of_origin ? origin->second : budgets_.RateOf(name);
      it->second->SetRate(rate, std::max(rate, 1.0), now);
    }
    ++it;
  }
  Pump();
}

void WarmRunner::Stop() {
  ++generation_;
  ++wake_generation_;
  wake_at_ = absl::InfiniteDuration();
  in_flight_ = 0;
  runs_.clear();
  lanes_.clear();
}

std::string WarmRunner::WaitsFor(const std::string& name_space) const {
  const absl::Duration now = clock_.Monotonic();
  if (pace_.paused_until() > now) return "the nodes have too much to do";
  const auto lane = lanes_.find(name_space);
  return lane != lanes_.end() && lane->second.is_closed(now) ? lane->second.why : "";
}

WarmRunner::Lane& WarmRunner::LaneOf(const std::string& name_space) {
  const auto found = lanes_.find(name_space);
  if (found != lanes_.end()) return found->second;
  if (lanes_.size() >= kMaxLanes) {
    std::erase_if(lanes_, [now = clock_.Monotonic()](const auto& entry) {
      return entry.second.in_flight == 0 && entry.second.paused_until <= now;
    });
  }
  const Lane lane{
      .pauses = Backoff({.initial = options_.pace.min_pause, .max = options_.pace.max_pause}),
      .why = ""};
  return lanes_.emplace(name_space, lane).first->second;
}

double WarmRunner::Budget::burst() const {
  double burst = name_space->burst();
  for (const TokenBucket* more : {origin, source}) {
    if (more != nullptr) burst = std::min(burst, more->burst());
  }
  return burst;
}

void WarmRunner::Budget::Take(double count, absl::Duration now) const {
  for (TokenBucket* bucket : {name_space, origin, source}) {
    if (bucket != nullptr) bucket->Take(count, now);
  }
}

double WarmRunner::RateOf(const WarmJob& job) const {
  double rate = budgets_.RateOf(job.name_space);
  if (const auto origin = budgets_.origin_of.find(job.name_space);
      origin != budgets_.origin_of.end()) {
    rate = std::min(rate, budgets_.origins.at(origin->second));
  }
  return std::min(rate, hooks_.rate(job).value_or(rate));
}

WarmRunner::Budget WarmRunner::BudgetOf(const WarmJob& job) {
  const std::string& name_space = job.name_space;
  const std::string key = absl::StrCat("n:", name_space);
  // Full buckets are no loss: a new one is full. Origins are few, and many namespaces share one.
  if (buckets_.size() > kMaxBuckets && buckets_.count(key) == 0) {
    std::erase_if(buckets_, [now = clock_.Monotonic()](const auto& entry) {
      return entry.first[0] != 'o' && entry.second->Available(now) >= entry.second->burst();
    });
  }
  const auto bucket = [&](const std::string& name, double rate) {
    std::unique_ptr<TokenBucket>& found = buckets_[name];
    if (found == nullptr) {
      found = std::make_unique<TokenBucket>(rate, std::max(rate, 1.0), clock_.Monotonic());
    }
    return found.get();
  };
  const auto origin = budgets_.origin_of.find(name_space);
  Budget budget{nullptr, nullptr, nullptr};
  budget.name_space = bucket(key, budgets_.RateOf(name_space));
  if (origin != budgets_.origin_of.end()) {
    budget.origin = bucket(absl::StrCat("o:", origin->second), budgets_.origins.at(origin->second));
  }
  if (const std::optional<double> of_source = hooks_.rate(job)) {
    budget.source = bucket(absl::StrCat("s:", job.source, "/", name_space), *of_source);
    budget.source->SetRate(*of_source, std::max(*of_source, 1.0), clock_.Monotonic());
  }
  return budget;
}

// How many keys the next batch should have: full ones, unless the budget is small.
uint64_t WarmRunner::Wanted(uint64_t left, const Budget& budget) const {
  const auto wanted = static_cast<double>(std::min<uint64_t>(options_.batch_keys, left));
  return static_cast<uint64_t>(std::min(wanted, std::floor(budget.burst())));
}

bool WarmRunner::MayTake(const Budget& budget, uint64_t keys, Look* look) {
  const auto count = static_cast<double>(keys);
  const auto wait_for = [&](TokenBucket* bucket) {
    return bucket == nullptr ? absl::ZeroDuration() : bucket->WaitFor(count, look->now);
  };
  absl::Duration wait = wait_for(budget.source);
  const bool may_hold = wait == absl::ZeroDuration();  // Its source's budget is its own affair.
  for (TokenBucket* bucket : {budget.name_space, budget.origin}) {
    if (bucket != nullptr && look->held.contains(bucket)) return false;
  }
  for (TokenBucket* bucket : {budget.name_space, budget.origin}) {
    const absl::Duration of_bucket = wait_for(bucket);
    if (of_bucket > absl::ZeroDuration() && may_hold) look->held.insert(bucket);
    wait = std::max(wait, of_bucket);
  }
  if (wait == absl::ZeroDuration()) return true;
  look->wake = std::min(look->wake, look->now + wait);
  return false;
}

bool WarmRunner::CanStep(const WarmJob& job, Look* look) {
  const absl::Duration now = look->now;
  if (!hooks_.stored(job.id)) return false;
  const auto lane = lanes_.find(job.name_space);
  const bool is_failing = lane != lanes_.end() && lane->second.is_failing;
  if (lane != lanes_.end() && lane->second.is_closed(now)) {
    if (lane->second.paused_until > now)
      look->wake = std::min(look->wake, lane->second.paused_until);
    return false;
  }
  const auto found = runs_.find(job.id);
  uint64_t sent = job.next_key;
  uint64_t again = 0;  // Keys of the first batch that may be asked again.
  if (found == runs_.end()) {
    // Not loaded before it could begin: many that wait for a budget would push each other out.
    const auto evictable = [this](const auto& entry) { return IsEvictable(entry.first); };
    if (runs_.size() >= options_.max_loaded &&
        std::none_of(runs_.begin(), runs_.end(), evictable)) {
      return false;
    }
  } else {
    const Run& run = found->second;
    if (!run.keys.has_value()) return false;
    for (const Batch& batch : run.waiting) {
      if (batch.ready_at <= now) {
        again = batch.left.size();
        break;
      }
      look->wake = std::min(look->wake, batch.ready_at);
    }
    sent = run.sent;
    // What was asked for already tells as well whether it goes on.
    if (again == 0 && is_failing && !run.waiting.empty()) return false;
  }
  if (sent == job.total_keys && again == 0) return false;
  const Budget budget = BudgetOf(job);
  const uint64_t left = again > 0 ? again : job.total_keys - sent;
  return MayTake(budget, Wanted(left, budget), look);
}

void WarmRunner::Pump() {
  if (!hooks_.leads()) return;
  EndLate();
  const absl::Duration now = clock_.Monotonic();
  Look look{.now = now, .wake = now + kLongestSleep};
  while (!nodes_.empty()) {
    if (in_flight_ >= pace_.limit(now)) {
      if (pace_.paused_until() > now) look.wake = std::min(look.wake, pace_.paused_until());
      break;
    }
    const WarmJob* const job =
        queue_.Pick([&](const WarmJob& candidate) { return CanStep(candidate, &look); });
    if (job == nullptr) break;
    Step(*job, now);
  }
  if (queue_.live() > 0) WakeAt(look.wake);
}

void WarmRunner::WakeAt(absl::Duration at) {
  const absl::Duration now = clock_.Monotonic();
  if (wake_at_ > now && wake_at_ <= at) return;
  wake_at_ = at;
  executor_.PostAfter(std::max(at - now, absl::ZeroDuration()),
                      [this, generation = ++wake_generation_] {
                        if (generation != wake_generation_) return;
                        wake_at_ = absl::InfiniteDuration();
                        Pump();
                      });
}

void WarmRunner::CountKeys(const std::string& name_space, const std::string& source,
                           std::string_view outcome, uint64_t keys) {
  if (keys == 0) return;
  metrics_.keys.With({std::string_view(name_space), std::string_view(source), outcome}).Add(keys);
}

void WarmRunner::EndLate() {
  for (const std::string& id : queue_.Late(clock_.Now())) {
    const WarmJob* const job = queue_.Find(id);
    const uint64_t left = job->total_keys - job->next_key;
    const auto lane = lanes_.find(job->name_space);
    const bool is_failing = lane != lanes_.end() && lane->second.is_failing;
    std::string error =
        absl::StrCat("DEADLINE_EXCEEDED: ", left, " keys were left at its deadline");
    if (is_failing) absl::StrAppend(&error, "; ", lane->second.why);
    if (!is_failing && hooks_.rate(*job).has_value()) {
      hooks_.on_refused(*job, left);
    } else {
      const auto run = runs_.find(id);
      const uint64_t counted = run == runs_.end() ? 0 : run->second.given_up;
      CountKeys(job->name_space, job->source, "late", left - std::min(left, counted));
    }
    Finish(id, std::move(error));
  }
}

void WarmRunner::Finish(const std::string& id, std::string error) {
  queue_.Finish(id, std::move(error), clock_.Now());
  runs_.erase(id);
  hooks_.on_over(id);
}

// True when the job can be loaded again later and go on at its next_key.
bool WarmRunner::IsEvictable(const std::string& id) const {
  const Run& run = runs_.at(id);
  if (!run.keys.has_value() || run.in_flight > 0) return false;
  const WarmJob* const job = queue_.Find(id);
  return (run.waiting.empty() && run.ended.empty()) || job == nullptr ||
         job->state == WarmJobState::kPaused;
}

bool WarmRunner::MakeRoom() {
  if (runs_.size() < options_.max_loaded) return true;
  for (auto it = runs_.begin(); it != runs_.end(); ++it) {
    if (!IsEvictable(it->first)) continue;
    runs_.erase(it);
    return true;
  }
  return false;
}

void WarmRunner::Step(const WarmJob& job, absl::Duration now) {
  const auto found = runs_.find(job.id);
  if (found == runs_.end()) {
    if (MakeRoom()) Load(job.id);
    return;
  }
  Run& run = found->second;
  for (auto it = run.waiting.begin(); it != run.waiting.end(); ++it) {
    if (it->ready_at > now) continue;
    Batch batch = std::move(*it);
    run.waiting.erase(it);
    BudgetOf(job).Take(static_cast<double>(batch.left.size()), now);
    queue_.Spend(job.id, batch.left.size());
    Send(job, &run, std::move(batch));
    return;
  }
  const Budget budget = BudgetOf(job);
  const uint64_t count = Wanted(job.total_keys - run.sent, budget);
  budget.Take(static_cast<double>(count), now);
  Batch batch;
  batch.job = job.id;
  batch.source = job.source;
  batch.name_space = job.name_space;
  batch.begin = run.sent;
  batch.progress.keys = count;
  for (uint64_t i = 0; i < count; ++i) batch.left.push_back(run.sent + i);
  run.sent += count;
  queue_.Begin(job.id, clock_.Now());
  queue_.Spend(job.id, count);
  Send(job, &run, std::move(batch));
}

void WarmRunner::Load(const std::string& id) {
  runs_[id];
  hooks_.load_text(id, [this, id, generation = generation_](
                           const absl::StatusOr<std::optional<WarmText>>& text) {
    if (generation == generation_) HandleLoaded(id, text);
  });
}

void WarmRunner::HandleLoaded(const std::string& id,
                              const absl::StatusOr<std::optional<WarmText>>& text) {
  const auto found = runs_.find(id);
  const WarmJob* const job = queue_.Find(id);
  if (found == runs_.end() || job == nullptr || job->over()) return;
  if (!text.ok()) {
    executor_.PostAfter(kLoadRetry, [this, id, generation = generation_] {
      if (generation != generation_) return;
      const auto run = runs_.find(id);
      if (run != runs_.end() && !run->second.keys.has_value()) runs_.erase(run);
      Pump();
    });
    return;
  }
  absl::StatusOr<KeyList> keys = absl::NotFoundError("its keys are not in the store any more");
  if (text->has_value()) keys = (*text)->ToKeyList();
  if (keys.ok() && keys->size() != job->total_keys) {
    keys = absl::DataLossError("its keys in the store are not those that it was queued with");
  }
  if (!keys.ok()) {
    Finish(id, std::string(keys.status().message()));
  } else {
    found->second.keys = *std::move(keys);
    found->second.sent = job->next_key;
  }
  Pump();
}

void WarmRunner::Send(const WarmJob& job, Run* run, Batch batch) {
  std::vector<std::string> keys;
  keys.reserve(batch.left.size());
  for (const uint64_t index : batch.left) keys.push_back(run->keys->At(index));
  ++run->in_flight;
  ++in_flight_;
  ++batch.attempts;
  Lane& lane = LaneOf(batch.name_space);
  ++lane.in_flight;
  if (batch.unanswered == 0) batch.answered_then = lane.answered;
  const std::string& node = nodes_[next_node_++ % nodes_.size()];
  auto shared = std::make_shared<Batch>(std::move(batch));
  reader_.Read(node, job.name_space, keys, {options_.read_timeout, job.refresh, job.followed_as()},
               [this, executor = &executor_, generation = generation_, shared,
                sent_at = clock_.Monotonic(), clock = &clock_](WarmAnswer answer) {
                 const absl::Duration took = clock->Monotonic() - sent_at;
                 executor->Post([this, generation, shared, took, answer = std::move(answer)] {
                   HandleAnswer(generation, std::move(*shared), took, answer);
                 });
               });
}

}  // namespace meridian
