// Predictor says which keys will be wanted soon, and why.
//
// It learns from what some callers asked for, one after the other:
//   co_access  - of those who ask for A, how many ask for B within `window`;
//   sequence   - what comes next after A, and after A and B (Markov chains of order 1 and 2);
//   what comes sooner than `lead` is not counted: it could not be brought in before;
// and from what was hot in hours that are over (HotKeyHistory):
//   hour_of_week - keys that are hot in the hour that comes as a rule;
//   season       - keys that were hot at this time of the day on most of the last days.
// Confidence is the share of looks after which the key was asked for; with few looks it is less
//   (`doubt`). Several signals for one key do not add up, because they learn from the same reads:
//   the strongest counts.
// Bounded: `max_keys` keys with the few successors of each that matter (HeavySuccessors), half as
//   many pairs for order 2, kMaxCallers callers with their last kRecent keys. When there is no
//   room, one of a few that were drawn by lot gives way: the one that was seen least. All counts
//   decay with `half_life`.
// Cost: an access, O(kRecent) look-ups and updates; about 300 bytes a key.
// Thread safety: none; used on the coordinator's executor. Time (monotonic) is a parameter.

#ifndef MERIDIAN_SERVER_WARMING_PREDICTOR_H_
#define MERIDIAN_SERVER_WARMING_PREDICTOR_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "common/cluster/hot_key.h"
#include "server/warming/heavy_successors.h"
#include "server/warming/lot_map.h"

namespace meridian {

struct PredictorOptions {
  double threshold = 0.5;    // Confidence that a key needs to be warmed, 0..1.
  size_t max_keys = 50'000;  // That are known.
  absl::Duration window = absl::Seconds(60);
  absl::Duration lead = absl::Seconds(1);  // From a read until what it made expected is there.
  absl::Duration half_life = absl::Hours(24);
  absl::Duration not_again_for = absl::Seconds(30);  // A key that was predicted.
  double doubt = 2;  // Looks that brought nothing, which every key begins with.
};

struct PredictionSignal {
  std::string signal;  // "co_access", "sequence", "hour_of_week" or "season".
  double confidence = 0;
  std::string evidence;  // For people.
};

class Predictor {
 public:
  static constexpr size_t kMaxCallers = 10'000;
  static constexpr size_t kRecent = 8;
  static constexpr size_t kMaxPending = 10'000;

  explicit Predictor(PredictorOptions options, uint64_t random_seed = 1);

  // `caller` asked for the key at `at`. Reads of one caller come in their order; `at` may be a
  // little earlier than that of other callers before.
  void Learn(std::string_view name_space, std::string_view key, uint64_t caller, absl::Duration at);

  // What is hot in the hour that comes: `week` as a rule at this hour of the week, `days` at this
  // hour of each of the last days. Takes the place of what was known before.
  void LearnHours(const std::vector<HotKey>& week, const std::vector<std::vector<HotKey>>& days);

  struct Prediction {
    std::string name_space;
    std::string key;
    double confidence = 0;
  };
  // What became sure enough to be warmed since the last call, surest first.
  std::vector<Prediction> Take(absl::Duration now);

  // Why the key is expected now; strongest first.
  std::vector<PredictionSignal> Explain(std::string_view name_space, std::string_view key,
                                        absl::Duration now) const;
  double threshold() const { return options_.threshold; }

  size_t keys() const { return keys_.size(); }
  size_t pairs() const { return pairs_.size(); }
  size_t callers() const { return callers_.size(); }

  // Adds what a PredictorWriter wrote: some lines of it. What cannot be read is left out.
  void Restore(std::string_view lines, absl::Duration now);
  void Clear();

 private:
  friend class PredictorWriter;  // Which would be a part of this, were it not for its length.

  using Hash = uint64_t;
  struct OfKey {
    std::string name_space;
    std::string key;
    float looks = 0;  // Decayed, as the counts of what came after it.
    absl::Duration at;
    HeavySuccessors together;
    HeavySuccessors next;

    double worth(absl::Duration) const { return looks; }
  };
  struct OfPair {  // Two keys, one after the other.
    float looks = 0;
    absl::Duration at;
    HeavySuccessors next;

    double worth(absl::Duration) const { return looks; }
  };
  struct Look {
    Hash key = 0;
    absl::Duration at;
  };
  struct Caller {
    std::deque<Look> recent;  // Newest last.

    double worth(absl::Duration) const {
      return recent.empty() ? 0 : absl::ToDoubleSeconds(recent.back().at);
    }
  };
  struct OfHour {
    std::string name_space;
    std::string key;
    double per_second = 0;  // In this hour of the week.
    double days = 0;        // On so many of the last days it was hot,
    double known_days = 0;  // of so many.

    double week_confidence() const;
    double season_confidence() const { return days / (known_days + 1); }
  };
  static Hash HashOf(std::string_view name_space, std::string_view key);
  static Hash PairOf(Hash first, Hash second);
  template <typename Of>
  void Age(Of* of, absl::Duration now) const;
  // How sure it is that `place` follows what was looked at so often.
  double ConfidenceOf(float looks, const HeavySuccessors::Place& place) const;
  // Whom `caller` makes expect what.
  void Expect(const Caller& caller, absl::Duration now);
  void ExpectAll(float looks, const HeavySuccessors& successors, absl::Duration now);
  void ExpectOne(Hash key, double confidence, absl::Duration now);
  // The strongest signals of callers who are there now.
  void ExplainCallers(Hash key, absl::Duration now, std::vector<PredictionSignal>* signals) const;
  std::string NameOf(Hash key) const;

  const PredictorOptions options_;
  LotMap<OfKey> keys_;
  LotMap<OfPair> pairs_;
  LotMap<Caller> callers_;
  absl::flat_hash_map<Hash, OfHour> hours_;
  absl::flat_hash_map<Hash, double> pending_;            // To be taken.
  absl::flat_hash_map<Hash, absl::Duration> predicted_;  // When last.
};

template <typename Of>
void Predictor::Age(Of* of, absl::Duration now) const {
  // A fraction of a per mille is left for the next time.
  const double halves = absl::FDivDuration(now - of->at, options_.half_life);
  if (of->looks == 0 || halves < 0.001) {
    if (of->looks == 0) of->at = now;
    return;
  }
  const auto factor = static_cast<float>(std::exp2(-halves));
  of->looks *= factor;
  of->next.Decay(factor);
  if constexpr (requires { of->together; }) of->together.Decay(factor);
  of->at = now;
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_PREDICTOR_H_
