#include "server/coordinator/prediction_lead.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace meridian {
namespace {

constexpr char kKey[] = "warm/prediction";
constexpr char kSource[] = "prediction";
constexpr absl::Duration kLoadRetry = absl::Seconds(1);
constexpr int kDays = 7;

int DaysBefore(int hour, int days) {
  return (hour - 24 * days + HotKeyHistory::kHours * kDays) % HotKeyHistory::kHours;
}

}  // namespace

PredictionLead::PredictionLead(PredictionOptions options, Coordinator& coordinator,
                               LeaseStore& store, HotKeyHistory& history, Warmer& warmer)
    : options_(options),
      coordinator_(coordinator),
      store_(store),
      history_(history),
      warmer_(warmer),
      predictor_(options.predictor) {
  coordinator_.Subscribe(this);
}

void PredictionLead::OnLeading(uint64_t token) {
  OnLeadershipLost();
  if (!options_.enabled) return;
  token_ = token;
  saved_at_ = coordinator_.clock().Monotonic();
  Load();
}

void PredictionLead::OnLeadershipLost() {
  token_ = 0;
  ++generation_;
  predictor_.Clear();
  waiting_.clear();
  profiles_.clear();
  profiles_missing_ = 0;
  hour_ = -1;
  changed_ = false;
}

void PredictionLead::Load() {
  Executor& executor = coordinator_.executor();
  store_.GetValue(kKey, [this, &executor, generation = generation_](
                            absl::StatusOr<std::optional<std::string>> value) {
    executor.Post([this, &executor, generation, value = std::move(value)] {
      if (generation != generation_) return;
      if (!value.ok()) {
        executor.PostAfter(kLoadRetry, [this, generation] {
          if (generation == generation_) Load();
        });
        return;
      }
      if (value->has_value()) predictor_.Restore(**value, coordinator_.clock().Monotonic());
      spdlog::info("prediction begins with {} keys", predictor_.keys());
      Look();
    });
  });
}

void PredictionLead::Report(std::vector<SampledAccess> accesses) {
  if (token_ == 0) return;
  const size_t room = kMaxWaiting - std::min(kMaxWaiting, waiting_.size());
  if (accesses.size() > room) accesses.resize(room);
  std::move(accesses.begin(), accesses.end(), std::back_inserter(waiting_));
}

void PredictionLead::Look() {
  const absl::Duration now = coordinator_.clock().Monotonic();
  LearnWaiting();
  LookAtHour(coordinator_.clock().Now());
  QueuePredictions(now);
  if (changed_ && now - saved_at_ >= kSave) Save(now);
  keys_.store(predictor_.keys(), std::memory_order_relaxed);
  coordinator_.executor().PostAfter(kLook, [this, generation = generation_] {
    if (generation == generation_) Look();
  });
}

// One caller's reads come from several nodes, each with its own heartbeat.
void PredictionLead::LearnWaiting() {
  std::stable_sort(waiting_.begin(), waiting_.end(),
                   [](const SampledAccess& a, const SampledAccess& b) { return a.at < b.at; });
  for (const SampledAccess& access : waiting_) {
    predictor_.Learn(access.name_space, access.key, access.caller, access.at);
  }
  accesses_.fetch_add(waiting_.size(), std::memory_order_relaxed);
  changed_ |= !waiting_.empty();
  waiting_.clear();
}

void PredictionLead::QueuePredictions(absl::Duration now) {
  std::map<std::string, WarmOrder> orders;  // By namespace.
  for (Predictor::Prediction& prediction : predictor_.Take(now)) {
    WarmOrder& order = orders[prediction.name_space];
    order.name_space = prediction.name_space;
    order.text.keys.push_back(std::move(prediction.key));
  }
  std::vector<WarmOrder> queued;
  size_t count = 0;
  for (auto& [name_space, order] : orders) {
    const size_t room = warmer_.TakeRoom(kSource, name_space, order.text.keys.size());
    refused_.fetch_add(order.text.keys.size() - room, std::memory_order_relaxed);
    if (room == 0) continue;
    order.text.keys.resize(room);  // The surest.
    order.text.is_literal = true;
    order.source = kSource;
    order.name = kSource;
    order.priority = kPriority;
    order.deadline = kJobDeadline;
    count += room;
    queued.push_back(std::move(order));
  }
  if (queued.empty()) return;
  warmer_.QueueAll(queued, [this, count, generation = generation_](const absl::Status& status) {
    if (generation != generation_) return;
    (status.ok() ? queued_ : refused_).fetch_add(count, std::memory_order_relaxed);
  });
}

void PredictionLead::LookAtHour(absl::Time now) {
  const int hour = HourOfWeek(now + kBeforeTheHour);
  if (hour == hour_) return;
  hour_ = hour;
  profiles_.clear();
  profiles_missing_ = kDays;
  for (int day = 0; day < kDays; ++day) {
    const int of = DaysBefore(hour, day);
    history_.Load(of, [this, of, generation = generation_](
                          const absl::StatusOr<std::vector<HotKey>>& profile) {
      if (generation == generation_) HandleHour(of, profile);
    });
  }
}

// An hour that cannot be read is as one that nobody has looked at.
void PredictionLead::HandleHour(int hour, const absl::StatusOr<std::vector<HotKey>>& profile) {
  if (profiles_missing_ == 0) return;  // Of an hour before.
  profiles_[hour] = profile.value_or(std::vector<HotKey>());
  if (--profiles_missing_ > 0) return;
  std::vector<std::vector<HotKey>> days;
  for (const auto& [of, keys] : profiles_) days.push_back(keys);
  predictor_.LearnHours(profiles_[hour_], days);
}

void PredictionLead::Save(absl::Duration now) {
  saved_at_ = now;
  changed_ = false;
  Executor& executor = coordinator_.executor();
  store_.PutFenced(
      coordinator_.options().lease.name, token_, kKey, predictor_.ToText(kMaxText, now),
      [this, &executor, generation = generation_](const absl::Status& status) {
        if (status.ok()) return;
        executor.Post([this, generation, status] {
          if (generation != generation_) return;
          spdlog::warn("what prediction has learnt is not saved: {}", status.ToString());
          changed_ = true;  // In a minute again.
        });
      });
}

absl::StatusOr<PredictionLead::Explanation> PredictionLead::Explain(std::string_view name_space,
                                                                    std::string_view key) const {
  if (!options_.enabled) {
    return absl::FailedPreconditionError(
        "PREDICTION_OFF: this coordinator does not predict (--prediction on)");
  }
  Explanation explanation;
  explanation.signals = predictor_.Explain(name_space, key, coordinator_.clock().Monotonic());
  if (!explanation.signals.empty()) explanation.confidence = explanation.signals[0].confidence;
  explanation.threshold = predictor_.threshold();
  return explanation;
}

PredictionLead::Counters PredictionLead::counters() const {
  return {accesses_.load(std::memory_order_relaxed), queued_.load(std::memory_order_relaxed),
          refused_.load(std::memory_order_relaxed), keys_.load(std::memory_order_relaxed)};
}

}  // namespace meridian
