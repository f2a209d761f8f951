// PredictionLead ties a Predictor to its Coordinator: while that leads, it learns from the reads
// that nodes report, has what is expected warmed (source "prediction"), and keeps what it has
// learnt where the next leader finds it.
//
// Once a second it learns what has come, in the order in which it was asked for, and queues one job
//   for each namespace: the surest keys, as many as the budget of the source allows for the next
//   seconds; the others are refused. Once an hour, a little before it begins, it looks at what was
//   hot in it.
// What it has learnt is in the LeaseStore, under the leader's fencing token: the keys and pairs
//   that were looked at most, with what follows them, in values of 64 KiB, 8 MiB together at most
//   (all of 50 000 keys and their pairs, as a rule; see PredictorWriter). They are written anew
//   each minute, a little at a time, so that the leases of the same executor do not wait, and read
//   so. A change of leader costs what was learnt since the last time that was finished, what did
//   not fit, and who asked for what last.
// Thread safety: counters() may be called by any thread; else made and destroyed while the executor
//   does not run, and used on it.

#ifndef MERIDIAN_SERVER_COORDINATOR_PREDICTION_LEAD_H_
#define MERIDIAN_SERVER_COORDINATOR_PREDICTION_LEAD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/cluster/hot_key.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/hot_key_history.h"
#include "server/node/access_sampler.h"
#include "server/node/lease_store.h"
#include "server/warming/predictor.h"
#include "server/warming/predictor_writer.h"
#include "server/warming/warmer.h"

namespace meridian {

struct PredictionOptions {
  bool enabled = false;
  PredictorOptions predictor = {};
};

class PredictionLead final : public Coordinator::Subscriber {
 public:
  static constexpr size_t kMaxWaiting = 20'000;  // Accesses between two looks.
  static constexpr absl::Duration kLook = absl::Seconds(1);
  static constexpr absl::Duration kSave = absl::Minutes(1);  // From its beginning to the next.
  static constexpr absl::Duration kSlice = absl::Milliseconds(20);  // Between two steps of it.
  static constexpr size_t kMaxParts = 1000;
  static constexpr absl::Duration kBeforeTheHour = absl::Minutes(5);
  static constexpr absl::Duration kJobDeadline = absl::Seconds(30);
  static constexpr int32_t kPriority = -100;  // Whatever somebody asked for goes first.

  // None is owned; all outlive this. REQUIRES: the coordinator has not started.
  PredictionLead(PredictionOptions options, Coordinator& coordinator, LeaseStore& store,
                 HotKeyHistory& history, Warmer& warmer);
  ~PredictionLead() override { coordinator_.Unsubscribe(this); }

  bool enabled() const { return options_.enabled; }
  // What callers asked a node for; `at` on the coordinator's monotonic clock.
  void Report(std::vector<SampledAccess> accesses);

  struct Explanation {
    std::vector<PredictionSignal> signals;  // Strongest first.
    double confidence = 0;
    double threshold = 0;
  };
  // kFailedPrecondition "PREDICTION_OFF: ..." when it is not enabled.
  absl::StatusOr<Explanation> Explain(std::string_view name_space, std::string_view key) const;

  // For metrics.
  struct Counters {
    uint64_t accesses = 0;  // Learnt from.
    uint64_t queued = 0;    // Predictions that became part of a job,
    uint64_t refused = 0;   // and that did not: there was no budget, or no room.
    uint64_t keys = 0;      // That are known.
  };
  Counters counters() const;

  void OnLeading(uint64_t token) override;
  void OnTopology(const TopologyHolder::Snapshot&) override {}
  void OnLeadershipLost() override;

 private:
  // The first part, which says how many there are, and then the others one by one.
  void LoadPart(size_t part);
  void HandlePart(size_t part, const std::optional<std::string>& value);
  void Look();
  void LearnWaiting();
  void QueuePredictions(absl::Duration now);
  void LookAtHour(absl::Time now);
  void HandleHour(int hour, const absl::StatusOr<std::vector<HotKey>>& profile);
  void BeginSave(absl::Duration now);
  void SaveSlice();
  void PutParts(std::vector<FencedWrite> writes, bool is_last);
  void HandlePut(const absl::Status& status, bool is_last);

  const PredictionOptions options_;
  Coordinator& coordinator_;
  LeaseStore& store_;
  HotKeyHistory& history_;
  Warmer& warmer_;

  Predictor predictor_;
  uint64_t token_ = 0;
  uint64_t generation_ = 0;  // Of the leadership: what an earlier one began is not heard.
  std::vector<SampledAccess> waiting_;
  int hour_ = -1;                                // Of the week, that was looked at last.
  std::map<int, std::vector<HotKey>> profiles_;  // Of these hours, as they come.
  size_t profiles_missing_ = 0;
  absl::Duration saved_at_;
  bool changed_ = false;                   // Since it was saved.
  std::optional<PredictorWriter> writer_;  // While it is saved.
  std::optional<std::string> first_part_;  // Which is written last.
  size_t parts_ = 0;                       // Of writer_, that are written or on their way.
  size_t stored_parts_ = 0;                // That the store may have.

  std::atomic<uint64_t> accesses_{0};
  std::atomic<uint64_t> queued_{0};
  std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> keys_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_PREDICTION_LEAD_H_
