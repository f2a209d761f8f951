#include "server/warming/warm_runner.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

constexpr absl::Duration kLoadRetry = absl::Seconds(1);
constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLongestRetry = absl::Seconds(5);
// So that a deadline, or a clock that was set, is seen in time.
constexpr absl::Duration kLongestSleep = absl::Seconds(1);
constexpr size_t kMaxBuckets = 1000;

std::string_view NameOf(WarmOutcome outcome) {
  switch (outcome) {
    case WarmOutcome::kResident:
      return "resident";
    case WarmOutcome::kFromL2:
      return "l2";
    case WarmOutcome::kFromOrigin:
      return "origin";
    case WarmOutcome::kAbsent:
      return "absent";
    case WarmOutcome::kOverloaded:
    case WarmOutcome::kUnreachable:
    case WarmOutcome::kFailed:
      return "failed";
  }
  return "failed";
}

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

void WarmRunner::Stop() {
  ++generation_;
  ++wake_generation_;
  wake_at_ = absl::InfiniteDuration();
  in_flight_ = 0;
  runs_.clear();
}

double WarmRunner::Budget::burst() const {
  double burst = name_space->burst();
  for (const TokenBucket* more : {origin, source}) {
    if (more != nullptr) burst = std::min(burst, more->burst());
  }
  return burst;
}

absl::Duration WarmRunner::Budget::WaitFor(double count, absl::Duration now) const {
  absl::Duration wait = name_space->WaitFor(count, now);
  for (TokenBucket* more : {origin, source}) {
    if (more != nullptr) wait = std::max(wait, more->WaitFor(count, now));
  }
  return wait;
}

void WarmRunner::Budget::Take(double count, absl::Duration now) const {
  for (TokenBucket* bucket : {name_space, origin, source}) {
    if (bucket != nullptr) bucket->Take(count, now);
  }
}

WarmRunner::Budget WarmRunner::BudgetOf(const WarmJob& job) {
  const std::string& name_space = job.name_space;
  const std::string key = absl::StrCat("n:", name_space);
  // Full buckets of namespaces that nobody warms any more are no loss.
  if (buckets_.size() > kMaxBuckets && buckets_.count(key) == 0) buckets_.clear();
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

bool WarmRunner::CanStep(const WarmJob& job, absl::Duration now, absl::Duration* wake) {
  if (!hooks_.stored(job.id)) return false;
  const auto found = runs_.find(job.id);
  uint64_t sent = job.next_key;
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
      if (batch.ready_at <= now) return true;
      *wake = std::min(*wake, batch.ready_at);
    }
    sent = run.sent;
  }
  if (sent == job.total_keys) return false;
  const Budget budget = BudgetOf(job);
  const auto count = static_cast<double>(Wanted(job.total_keys - sent, budget));
  const absl::Duration wait = budget.WaitFor(count, now);
  if (wait == absl::ZeroDuration()) return true;
  *wake = std::min(*wake, now + wait);
  return false;
}

void WarmRunner::Pump() {
  if (!hooks_.leads()) return;
  EndLate();
  const absl::Duration now = clock_.Monotonic();
  absl::Duration wake = now + kLongestSleep;
  while (!nodes_.empty()) {
    if (in_flight_ >= pace_.limit(now)) {
      if (pace_.paused_until() > now) wake = std::min(wake, pace_.paused_until());
      break;
    }
    const WarmJob* const job =
        queue_.Pick([&](const WarmJob& candidate) { return CanStep(candidate, now, &wake); });
    if (job == nullptr) break;
    Step(*job, now);
  }
  if (queue_.live() > 0) WakeAt(wake);
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

void WarmRunner::EndLate() {
  for (const std::string& id : queue_.Late(clock_.Now())) {
    const WarmJob* const job = queue_.Find(id);
    const uint64_t left = job->total_keys - job->next_key;
    if (hooks_.rate(*job).has_value()) hooks_.on_refused(*job, left);
    Finish(id, absl::StrCat("DEADLINE_EXCEEDED: ", left, " keys were left at its deadline"));
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
  const std::string& node = nodes_[next_node_++ % nodes_.size()];
  auto shared = std::make_shared<Batch>(std::move(batch));
  reader_.Read(node, job.name_space, keys, {options_.read_timeout, job.refresh, job.source},
               [this, executor = &executor_, generation = generation_, shared,
                sent_at = clock_.Monotonic(), clock = &clock_](WarmAnswer answer) {
                 const absl::Duration took = clock->Monotonic() - sent_at;
                 executor->Post([this, generation, shared, took, answer = std::move(answer)] {
                   HandleAnswer(generation, std::move(*shared), took, answer);
                 });
               });
}

void WarmRunner::Pace(const WarmAnswer& answer, absl::Duration took) {
  const absl::Duration now = clock_.Monotonic();
  metrics_.reads.Observe(took);
  const auto has = [&](WarmOutcome outcome) {
    return std::find(answer.outcomes.begin(), answer.outcomes.end(), outcome) !=
           answer.outcomes.end();
  };
  if (has(WarmOutcome::kOverloaded)) {
    metrics_.slowdowns.With({"overload"}).Add();
    pace_.OnOverload(answer.retry_after, Random(), now);
    return;
  }
  if (took > options_.pace.late) metrics_.slowdowns.With({"late"}).Add();
  pace_.OnAnswer(took, now);
}

void WarmRunner::HandleAnswer(uint64_t generation, Batch batch, absl::Duration took,
                              WarmAnswer answer) {
  if (generation != generation_) return;
  --in_flight_;
  Pace(answer, took);
  bool overloaded = false;
  std::vector<uint64_t> left;
  for (size_t i = 0; i < batch.left.size(); ++i) {
    const WarmOutcome outcome =
        i < answer.outcomes.size() ? answer.outcomes[i] : WarmOutcome::kFailed;
    if (outcome == WarmOutcome::kOverloaded ||
        (outcome == WarmOutcome::kUnreachable && batch.attempts < options_.max_attempts)) {
      overloaded |= outcome == WarmOutcome::kOverloaded;
      left.push_back(batch.left[i]);
      continue;
    }
    metrics_.keys
        .With({std::string_view(batch.name_space), std::string_view(batch.source), NameOf(outcome)})
        .Add();
    if (outcome == WarmOutcome::kAbsent) {
      ++batch.progress.absent;
    } else if (outcome <= WarmOutcome::kFromOrigin) {
      ++batch.progress.warmed;
    } else {
      ++batch.progress.failed;
      queue_.SetError(batch.job, answer.error);
    }
  }
  batch.left = std::move(left);
  if (const auto run = runs_.find(batch.job); run != runs_.end()) {
    --run->second.in_flight;
    if (batch.left.empty()) {
      Settle(batch.job, &run->second, batch);
    } else {
      // A node that has too much to do costs no attempt: the pause of the pace comes before.
      if (overloaded) --batch.attempts;
      const int doublings = std::max(batch.attempts - 1, 0);
      batch.ready_at = clock_.Monotonic();
      if (!overloaded) {
        batch.ready_at += std::min(kFirstRetry * std::pow(2.0, doublings), kLongestRetry);
      }
      run->second.waiting.push_back(std::move(batch));
    }
  }
  Pump();
}

// Moves the job over all batches from its beginning that have ended.
void WarmRunner::Settle(const std::string& id, Run* run, const Batch& batch) {
  run->ended[batch.begin] = batch.progress;
  const WarmJob* const job = queue_.Find(id);
  while (!run->ended.empty() && run->ended.begin()->first == job->next_key) {
    queue_.Advance(id, run->ended.begin()->second);
    run->ended.erase(run->ended.begin());
  }
  if (job->next_key == job->total_keys) {
    Finish(id, "");
  } else {
    hooks_.on_progress();
  }
}

}  // namespace meridian
