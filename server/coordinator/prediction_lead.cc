#include "server/coordinator/prediction_lead.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace meridian {
namespace {

constexpr char kKey[] = "warm/prediction";
constexpr char kSource[] = "prediction";
constexpr absl::Duration kLoadRetry = absl::Seconds(1);
constexpr int kDays = 7;
constexpr char kPartsLine[] = "parts\t";  // The first line of the first part: how many there are.

// The first one has the name that all of it had before there were several.
std::string KeyOf(size_t part) { return part == 0 ? kKey : absl::StrCat(kKey, "/", part); }

size_t PartsIn(absl::string_view first_part) {
  size_t parts = 1;
  if (absl::ConsumePrefix(&first_part, kPartsLine) &&
      !absl::SimpleAtoi(first_part.substr(0, first_part.find('\n')), &parts)) {
    return 1;
  }
  return std::min(parts, PredictionLead::kMaxParts);
}

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
  LoadPart(0);
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
  writer_.reset();
  first_part_.reset();
  stored_parts_ = 1;
}

void PredictionLead::LoadPart(size_t part) {
  Executor& executor = coordinator_.executor();
  store_.GetValue(KeyOf(part), [this, &executor, part, generation = generation_](
                                   absl::StatusOr<std::optional<std::string>> value) {
    executor.Post([this, &executor, part, generation, value = std::move(value)] {
      if (generation != generation_) return;
      if (value.ok()) return HandlePart(part, *value);
      executor.PostAfter(kLoadRetry, [this, part, generation] {
        if (generation == generation_) LoadPart(part);
      });
    });
  });
}

void PredictionLead::HandlePart(size_t part, const std::optional<std::string>& value) {
  if (value.has_value()) predictor_.Restore(*value, coordinator_.clock().Monotonic());
  if (part == 0 && value.has_value()) stored_parts_ = PartsIn(*value);
  if (part + 1 < stored_parts_) return LoadPart(part + 1);
  spdlog::info("prediction begins with {} keys and {} pairs", predictor_.keys(),
               predictor_.pairs());
  Look();
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
  if (changed_ && !writer_.has_value() && now - saved_at_ >= kSave) BeginSave(now);
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

void PredictionLead::BeginSave(absl::Duration now) {
  saved_at_ = now;
  changed_ = false;
  parts_ = 0;
  writer_.emplace(predictor_, PredictorWriterOptions());
  SaveSlice();
}

// A part, or what can be made of one now. Each line stands for itself: a leader that dies in the
// middle leaves parts of two times, and the next one reads both.
void PredictionLead::SaveSlice() {
  writer_->Step(coordinator_.clock().Monotonic());
  std::vector<FencedWrite> writes;
  while (std::optional<std::string> part = writer_->TakePart()) {
    if (parts_ == 0) {
      first_part_ = *std::move(part);
    } else {
      writes.push_back({KeyOf(parts_), *std::move(part)});
    }
    ++parts_;
  }
  if (writer_->done()) {
    const std::string head = absl::StrCat(kPartsLine, std::max<size_t>(parts_, 1), "\n");
    writes.push_back({KeyOf(0), absl::StrCat(head, first_part_.value_or(""))});
    for (size_t part = std::max<size_t>(parts_, 1); part < stored_parts_; ++part) {
      writes.push_back({KeyOf(part), std::nullopt});
    }
    first_part_.reset();
    return PutParts(std::move(writes), /*is_last=*/true);
  }
  if (!writes.empty()) return PutParts(std::move(writes), /*is_last=*/false);
  coordinator_.executor().PostAfter(kSlice, [this, generation = generation_] {
    if (generation == generation_) SaveSlice();
  });
}

void PredictionLead::PutParts(std::vector<FencedWrite> writes, bool is_last) {
  stored_parts_ = std::max(stored_parts_, parts_);
  Executor& executor = coordinator_.executor();
  store_.PutAllFenced(coordinator_.options().lease.name, token_, std::move(writes),
                      [this, &executor, is_last, generation = generation_](absl::Status status) {
                        executor.Post([this, is_last, generation, status] {
                          if (generation == generation_) HandlePut(status, is_last);
                        });
                      });
}

void PredictionLead::HandlePut(const absl::Status& status, bool is_last) {
  if (!status.ok()) {
    spdlog::warn("what prediction has learnt is not saved: {}", status.ToString());
    changed_ = true;  // In a minute again.
    writer_.reset();
    return;
  }
  if (!is_last) return SaveSlice();
  writer_.reset();
  stored_parts_ = std::max<size_t>(parts_, 1);
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
