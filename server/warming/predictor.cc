#include "server/warming/predictor.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "common/base/hash.h"
#include "common/base/strings.h"
#include "server/warming/prediction_text.h"

namespace meridian {
namespace {

// What a key that is hot in an hour is looked at for: so long it should stay in memory.
constexpr double kStaySeconds = 600;
constexpr size_t kMaxPredicted = 100'000;

}  // namespace

Predictor::Predictor(PredictorOptions options, uint64_t random_seed)
    : options_(options),
      keys_(std::max<size_t>(options.max_keys, 1), random_seed),
      pairs_(std::max<size_t>(options.max_keys / 2, 1), random_seed + 1),
      callers_(kMaxCallers, random_seed + 2) {}

Predictor::Hash Predictor::HashOf(std::string_view name_space, std::string_view key) {
  const Hash hash = Hash64(key, Hash64(name_space));
  return hash == 0 ? 1 : hash;
}

Predictor::Hash Predictor::PairOf(Hash first, Hash second) {
  const Hash hash = (first ^ (second << 1 | second >> 63)) * 0x9E3779B97F4A7C15;
  return hash == 0 ? 1 : hash;
}

double Predictor::OfHour::week_confidence() const {
  return 1 - std::exp(-per_second * kStaySeconds);
}

double Predictor::ConfidenceOf(float looks, const HeavySuccessors::Place& place) const {
  return std::min(static_cast<double>(place.sure()) / (looks + options_.doubt), 1.0);
}

void Predictor::Learn(std::string_view name_space, std::string_view key, uint64_t caller,
                      absl::Duration at) {
  const Hash hash = HashOf(name_space, key);
  Caller& by = callers_.Get(caller, at);
  while (!by.recent.empty() && at - by.recent.front().at > options_.window) by.recent.pop_front();
  if (!by.recent.empty() && by.recent.back().key == hash) {
    by.recent.back().at = at;  // The same again tells nothing.
    return;
  }
  // Whoever asked for A is counted once for B, however often B comes.
  for (auto look = by.recent.rbegin(); look != by.recent.rend() && look->key != hash; ++look) {
    if (at - look->at < options_.lead) continue;  // Too late for whoever asked for it.
    OfKey* const before = keys_.Find(look->key);
    if (before == nullptr) continue;  // It had to give way meanwhile.
    Age(before, at);
    before->together.Add(hash);
    if (look == by.recent.rbegin()) before->next.Add(hash);
  }
  const size_t count = by.recent.size();
  if (count >= 2 && at - by.recent.back().at >= options_.lead) {
    OfPair& pair = pairs_.Get(PairOf(by.recent[count - 2].key, by.recent[count - 1].key), at);
    Age(&pair, at);
    pair.next.Add(hash);
  }
  if (count >= 1) {
    OfPair& pair = pairs_.Get(PairOf(by.recent[count - 1].key, hash), at);
    Age(&pair, at);
    ++pair.looks;
  }
  OfKey& of = keys_.Get(hash, at);
  if (of.key.empty()) {
    of.name_space = std::string(name_space);
    of.key = std::string(key);
  }
  Age(&of, at);
  ++of.looks;
  if (by.recent.size() >= kRecent) by.recent.pop_front();
  by.recent.push_back({hash, at});
  pending_.erase(hash);
  predicted_[hash] = at;  // It is there: nobody needs to bring it.
  if (predicted_.size() > kMaxPredicted) predicted_.clear();
  Expect(by, at);
}

void Predictor::Expect(const Caller& caller, absl::Duration now) {
  const Look& last = caller.recent.back();
  if (const OfKey* const of = keys_.Find(last.key); of != nullptr) {
    ExpectAll(of->looks, of->together, now);
    ExpectAll(of->looks, of->next, now);
  }
  const size_t count = caller.recent.size();
  if (count < 2) return;
  const OfPair* const pair = pairs_.Find(PairOf(caller.recent[count - 2].key, last.key));
  if (pair != nullptr) ExpectAll(pair->looks, pair->next, now);
}

void Predictor::ExpectAll(float looks, const HeavySuccessors& successors, absl::Duration now) {
  for (const HeavySuccessors::Place& place : successors.places()) {
    if (place.key != 0) ExpectOne(place.key, ConfidenceOf(looks, place), now);
  }
}

void Predictor::ExpectOne(Hash key, double confidence, absl::Duration now) {
  if (confidence < options_.threshold) return;
  const auto before = predicted_.find(key);
  if (before != predicted_.end() && now - before->second < options_.not_again_for) return;
  if (pending_.size() >= kMaxPending && pending_.count(key) == 0) return;
  double& pending = pending_[key];
  pending = std::max(pending, confidence);
}

void Predictor::LearnHours(const std::vector<HotKey>& week,
                           const std::vector<std::vector<HotKey>>& days) {
  hours_.clear();
  const auto of = [this](const HotKey& key) -> OfHour& {
    OfHour& hour = hours_[HashOf(key.name_space, key.key)];
    hour.name_space = key.name_space;
    hour.key = key.key;
    return hour;
  };
  for (const HotKey& key : week) of(key).per_second += key.per_second;
  double known = 0;
  for (const std::vector<HotKey>& day : days) {
    if (day.empty()) continue;
    ++known;
    for (const HotKey& key : day) ++of(key).days;
  }
  for (auto& [hash, hour] : hours_) {
    hour.known_days = known;
    const double confidence = std::max(hour.week_confidence(), hour.season_confidence());
    if (confidence < options_.threshold || pending_.size() >= kMaxPending) continue;
    double& pending = pending_[hash];
    pending = std::max(pending, confidence);
  }
}

std::vector<Predictor::Prediction> Predictor::Take(absl::Duration now) {
  std::vector<Prediction> taken;
  for (const auto& [hash, confidence] : pending_) {
    const auto hour = hours_.find(hash);
    const OfKey* const of = keys_.Find(hash);
    if (of != nullptr) {
      taken.push_back({of->name_space, of->key, confidence});
    } else if (hour != hours_.end()) {
      taken.push_back({hour->second.name_space, hour->second.key, confidence});
    } else {
      continue;  // It had to give way.
    }
    predicted_[hash] = now;
  }
  pending_.clear();
  std::sort(taken.begin(), taken.end(), [](const Prediction& a, const Prediction& b) {
    return std::tie(b.confidence, a.name_space, a.key) <
           std::tie(a.confidence, b.name_space, b.key);
  });
  return taken;
}

std::string Predictor::NameOf(Hash key) const {
  const OfKey* const of = keys_.Find(key);
  return of == nullptr ? "a key" : QuoteKey(of->key);
}

void Predictor::ExplainCallers(Hash key, absl::Duration now,
                               std::vector<PredictionSignal>* signals) const {
  PredictionSignal together{"co_access", 0, ""};
  PredictionSignal sequence{"sequence", 0, ""};
  const auto look = [&](PredictionSignal* signal, float looks, const HeavySuccessors& successors,
                        const auto& text) {
    for (const HeavySuccessors::Place& place : successors.places()) {
      if (place.key != key) continue;
      const double confidence = ConfidenceOf(looks, place);
      if (confidence <= signal->confidence) continue;
      signal->confidence = confidence;
      signal->evidence = prediction_text::AfterReads(text(), place.sure(), looks);
    }
  };
  for (const uint64_t id : callers_.keys()) {
    const std::deque<Look>& recent = callers_.Find(id)->recent;
    if (recent.empty() || now - recent.back().at > options_.window) continue;
    const Look& last = recent.back();
    const absl::Duration ago = now - last.at;
    if (const OfKey* const of = keys_.Find(last.key); of != nullptr) {
      look(&together, of->looks, of->together,
           [&] { return prediction_text::Together(NameOf(last.key), ago, options_.window); });
      look(&sequence, of->looks, of->next,
           [&] { return prediction_text::Next(NameOf(last.key), ago); });
    }
    if (recent.size() < 2) continue;
    const Look& before = recent[recent.size() - 2];
    if (const OfPair* const pair = pairs_.Find(PairOf(before.key, last.key)); pair != nullptr) {
      look(&sequence, pair->looks, pair->next,
           [&] { return prediction_text::NextOfTwo(NameOf(before.key), NameOf(last.key), ago); });
    }
  }
  for (PredictionSignal* signal : {&together, &sequence}) {
    if (signal->confidence > 0) signals->push_back(std::move(*signal));
  }
}

std::vector<PredictionSignal> Predictor::Explain(std::string_view name_space, std::string_view key,
                                                 absl::Duration now) const {
  const Hash hash = HashOf(name_space, key);
  std::vector<PredictionSignal> signals;
  ExplainCallers(hash, now, &signals);
  if (const auto found = hours_.find(hash); found != hours_.end()) {
    const OfHour& hour = found->second;
    if (hour.per_second > 0) {
      signals.push_back(
          {"hour_of_week", hour.week_confidence(), prediction_text::HourOfWeek(hour.per_second)});
    }
    if (hour.days > 0) {
      signals.push_back({"season", hour.season_confidence(),
                         prediction_text::Season(hour.days, hour.known_days)});
    }
  }
  std::sort(signals.begin(), signals.end(),
            [](const PredictionSignal& a, const PredictionSignal& b) {
              return a.confidence > b.confidence;
            });
  return signals;
}

void Predictor::Clear() {
  keys_.Clear();
  pairs_.Clear();
  callers_.Clear();
  hours_.clear();
  pending_.clear();
  predicted_.clear();
}

}  // namespace meridian
