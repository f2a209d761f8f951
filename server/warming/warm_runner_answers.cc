// What a WarmRunner does with the answers of nodes.

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/warming/warm_runner.h"

namespace meridian {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLongestRetry = absl::Seconds(5);
constexpr char kFailed[] = "failed";

std::string_view NameOf(WarmOutcome outcome) {
  switch (outcome) {
    case WarmOutcome::kResident:
      return "resident";
    case WarmOutcome::kFromL2:
      return "l2";
    case WarmOutcome::kFromOrigin:
      return "origin";
    case WarmOutcome::kNotKept:
      return "not_kept";
    case WarmOutcome::kAbsent:
      return "absent";
    case WarmOutcome::kOverloaded:
    case WarmOutcome::kUnreachable:
    case WarmOutcome::kFailed:
      return kFailed;
  }
  return kFailed;
}

// To be asked for again.
bool HasOutcome(WarmOutcome outcome) {
  return outcome != WarmOutcome::kOverloaded && outcome != WarmOutcome::kUnreachable;
}

bool Has(const WarmAnswer& answer, WarmOutcome outcome) {
  return std::find(answer.outcomes.begin(), answer.outcomes.end(), outcome) !=
         answer.outcomes.end();
}

bool HasAnyOutcome(const WarmAnswer& answer) {
  return std::any_of(answer.outcomes.begin(), answer.outcomes.end(), HasOutcome);
}

}  // namespace

void WarmRunner::PauseLane(Lane* lane, const WarmAnswer& answer) {
  const absl::Duration now = clock_.Monotonic();
  lane->is_failing = true;
  lane->why = absl::StrCat("keys of its namespace are not served: ", answer.error);
  if (now < lane->paused_until) return;  // Others of the same moment say the same.
  lane->paused_until = now + std::min(std::max(answer.retry_after, lane->pauses.Next(Random())),
                                      options_.pace.max_pause);
}

void WarmRunner::Pace(const WarmAnswer& answer, absl::Duration took) {
  const absl::Duration now = clock_.Monotonic();
  metrics_.reads.Observe(took);
  if (Has(answer, WarmOutcome::kOverloaded)) {
    metrics_.slowdowns.With({answer.of_node ? std::string_view("overload") : "namespace"}).Add();
    if (answer.of_node) pace_.OnOverload(answer.retry_after, Random(), now);
    return;
  }
  const bool is_late = took > options_.pace.late;
  // Of one namespace's origin that does not answer the nodes know nothing; and who refuses at once
  // has not worked fast.
  if (!HasAnyOutcome(answer) && !(answer.of_node && is_late)) return;
  if (is_late) metrics_.slowdowns.With({"late"}).Add();
  pace_.OnAnswer(took, now);
}

void WarmRunner::TakeOutcomes(const WarmAnswer& answer, Batch* batch) {
  std::vector<uint64_t> left;
  for (size_t i = 0; i < batch->left.size(); ++i) {
    const WarmOutcome outcome =
        i < answer.outcomes.size() ? answer.outcomes[i] : WarmOutcome::kFailed;
    if (!HasOutcome(outcome)) {
      left.push_back(batch->left[i]);
      continue;
    }
    CountKeys(batch->name_space, batch->source, NameOf(outcome), 1);
    if (outcome == WarmOutcome::kAbsent) {
      ++batch->progress.absent;
    } else if (outcome <= WarmOutcome::kFromOrigin) {
      ++batch->progress.warmed;
    } else if (outcome == WarmOutcome::kNotKept) {
      ++batch->progress.unkept;
    } else {
      ++batch->progress.failed;
      queue_.SetError(batch->job, answer.error);
    }
  }
  batch->left = std::move(left);
}

void WarmRunner::Postpone(const WarmAnswer& answer, Lane* lane, Batch* batch) {
  const absl::Duration now = clock_.Monotonic();
  batch->ready_at = now;
  if (Has(answer, WarmOutcome::kOverloaded)) {  // The pause comes before, and costs no attempt.
    --batch->attempts;
    if (answer.of_node) return;
    PauseLane(lane, answer);
    batch->ready_at = lane->paused_until;
    return;
  }
  if (!HasAnyOutcome(answer)) {
    ++batch->unanswered;
    const bool others_are = lane->answered != batch->answered_then;
    batch->answered_then = lane->answered;
    // What had some outcomes before says less of its namespace than what had none.
    if (!others_are && (batch->is_untouched() || lane->is_failing)) {
      ++lane->unanswered;
      --batch->attempts;
      PauseLane(lane, answer);
      batch->ready_at = lane->paused_until;  // And others of the namespace may be tried before.
    }
  }
  const int doublings = std::clamp(std::max(batch->attempts, batch->unanswered) - 1, 0, 10);
  batch->ready_at += std::min(kFirstRetry * std::pow(2.0, doublings), kLongestRetry);
}

// Its keys wait for so long that somebody should know.
void WarmRunner::GiveUp(const Lane& lane, Run* run, Batch* batch) {
  if (batch->is_given_up) return;
  if (std::max(batch->unanswered, lane.unanswered) < options_.max_attempts) return;
  batch->is_given_up = true;
  run->given_up += batch->left.size();
  CountKeys(batch->name_space, batch->source, kFailed, batch->left.size());
}

void WarmRunner::HandleAnswer(uint64_t generation, Batch batch, absl::Duration took,
                              WarmAnswer answer) {
  if (generation != generation_) return;
  --in_flight_;
  Lane& lane = LaneOf(batch.name_space);
  --lane.in_flight;
  if (HasAnyOutcome(answer)) {
    ++lane.answered;
    if (!Has(answer, WarmOutcome::kOverloaded)) {
      lane.is_failing = false;
      lane.unanswered = 0;
      lane.pauses.Reset();
    }
  }
  Pace(answer, took);
  const size_t before = batch.left.size();
  TakeOutcomes(answer, &batch);
  if (const auto run = runs_.find(batch.job); run != runs_.end()) {
    --run->second.in_flight;
    if (batch.is_given_up) run->second.given_up -= before - batch.left.size();
    if (!batch.left.empty()) Postpone(answer, &lane, &batch);
    if (batch.attempts >= options_.max_attempts) {  // Nobody answers for what is left.
      if (!batch.is_given_up) {
        CountKeys(batch.name_space, batch.source, kFailed, batch.left.size());
      } else {
        run->second.given_up -= batch.left.size();
      }
      batch.progress.failed += batch.left.size();
      if (!batch.left.empty()) queue_.SetError(batch.job, answer.error);
      batch.left.clear();
    }
    if (batch.left.empty()) {
      Settle(batch.job, &run->second, batch);
    } else {
      GiveUp(lane, &run->second, &batch);
      run->second.waiting.push_back(std::move(batch));
    }
  }
  Pump();
}

// Moves the job over all batches from its beginning that have ended.
void WarmRunner::Settle(const std::string& id, Run* run, const Batch& batch) {
  run->ended[batch.begin] = batch.progress;
  const WarmJob* const job = queue_.Find(id);
  if (job == nullptr) return;
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
