// HotKeyHistory remembers in the LeaseStore which keys are hot in each hour of the week, so that
// what will be wanted at nine on Monday is known before.
//
// An hour's profile is the mean of what was seen in it, a look a minute, and half of what the same
//   hour of the weeks before came to: a week weighs half as much as the one after it. Both are
//   stored every few minutes under the leader's fencing token, each for itself: the next leader of
//   the same hour goes on with the means as if it had looked itself.
// What cannot be loaded or stored is tried anew with every look, also after the hour is over, for
//   the last kMaxOpenHours; what nobody has looked at is a hole.
// Namespaces share its room: one that has few keys keeps them all, however hot those of others are,
//   and the others have what it leaves, each as much (max-min fairness).
// Cost: at most kMaxKeys keys and kMaxBytes of names twice an hour of the week, in the store; a few
//   times that in memory.
// Thread safety: all methods and callbacks on the executor. REQUIRES: the executor is stopped
//   before this is destroyed, and outlives the store's callbacks.

#ifndef MERIDIAN_SERVER_COORDINATOR_HOT_KEY_HISTORY_H_
#define MERIDIAN_SERVER_COORDINATOR_HOT_KEY_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/cluster/hot_key.h"
#include "server/node/lease_store.h"

namespace meridian {

// 0..167: hours since Monday 00:00 UTC.
int HourOfWeek(absl::Time time);

class HotKeyHistory {
 public:
  static constexpr int kHours = 7 * 24;
  static constexpr size_t kMaxKeys = 500;                // Of a profile.
  static constexpr size_t kMaxBytes = size_t{64} << 10;  // Of their names.
  static constexpr absl::Duration kLook = absl::Minutes(1);
  static constexpr int kLooksAStore = 5;
  static constexpr size_t kMaxOpenHours = 4;

  using Look = std::function<std::vector<HotKey>()>;
  using Profile = std::function<void(const absl::StatusOr<std::vector<HotKey>>&)>;

  // `lease` is the leader's; `look` says what is hot now, in all namespaces.
  HotKeyHistory(std::string lease, LeaseStore& store, Executor& executor, const Clock& clock,
                Look look);

  // Looks from now on, and stores under this token.
  void Lead(uint64_t token);
  void StepDown();

  // The profile of an hour as it is stored, hottest first. `done` is called on the executor.
  // kDataLoss: what is stored cannot be read. REQUIRES: 0 <= hour < kHours.
  void Load(int hour, Profile done);
  // What was hot in the very hour of `time`, without the weeks before; empty: nobody looked at it,
  // or its place is another week's.
  void LoadHourOf(absl::Time time, Profile done);

 private:
  using Name = std::pair<std::string, std::string>;  // Namespace and key.
  using Value = absl::StatusOr<std::optional<std::string>>;

  // An hour that was looked at and is not stored for good. What is known of it is in `sums`;
  // `before` is what the weeks before came to, once it is loaded.
  struct Hour {
    std::map<Name, double> sums;  // Of the looks.
    uint32_t looks = 0;
    std::vector<HotKey> before;
    bool is_loaded = false;
    bool is_busy = false;  // The store is asked.
    uint32_t stored_looks = 0;
  };

  void LookLater();
  void LookNow();
  // Loads or stores what is due of the hour; false: it is over, and all of it is stored.
  bool Tend(absl::Time began, bool is_over, Hour* hour);
  void LoadHour(absl::Time began);
  void HandleLoaded(absl::Time began, const Value& value);
  void StoreHour(absl::Time began, Hour* hour);
  void HandleStored(absl::Time began, uint32_t looks, const absl::Status& status);
  void NoteStatus(const absl::Status& status);

  const std::string lease_;
  LeaseStore& store_;   // Not owned; outlives this.
  Executor& executor_;  // Not owned; outlives this.
  const Clock& clock_;  // Not owned; outlives this.
  const Look look_;

  uint64_t token_ = 0;
  uint64_t generation_ = 0;           // Of the leadership: what an earlier one began is not heard.
  std::map<absl::Time, Hour> hours_;  // By their beginning.
  bool failing_ = false;              // As the log says: a long outage is one line.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_HOT_KEY_HISTORY_H_
