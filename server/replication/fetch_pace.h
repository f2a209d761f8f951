// FetchPace decides how many records are asked of a store together, and how long their answer may
// take, from the sizes and the lateness of those before: nobody knows how large a record is until
// it has come, and a thousand of them may be a megabyte, or more than a node's memory.
//
// Promise: a fetch is of about `bytes`, once records of that size have been seen; the first ones
//   after BeginAnew are small, and grow as they are answered. What was late is asked for in smaller
//   parts, down to one record, which has more and more time (LinkPace). No I/O; time is the
//   caller's.
// Thread safety: none.

#ifndef MERIDIAN_SERVER_REPLICATION_FETCH_PACE_H_
#define MERIDIAN_SERVER_REPLICATION_FETCH_PACE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "server/node/l2_store.h"
#include "server/replication/link_pace.h"

namespace meridian {

struct FetchPaceOptions {
  size_t keys = 500;               // Of one fetch, at most.
  size_t fetches = 1;              // That may be under way.
  size_t bytes = size_t{4} << 20;  // Of one fetch, about.
  absl::Duration timeout = absl::Seconds(5);
};

class FetchPace {
 public:
  // Nothing is known yet: a fetch of so many records harms nobody, however large they are.
  static constexpr size_t kFirstKeys = 16;

  explicit FetchPace(FetchPaceOptions options);

  // How many keys the next fetch may name. At least one when none is under way.
  size_t Room() const;
  // For a fetch of so many keys.
  absl::Duration Timeout(size_t keys) const;

  // A fetch begins. Returns what Answered is told of it.
  uint64_t Sent(size_t keys);
  // All fetches that were begun before lateness was known count as late once.
  void Answered(uint64_t round, const std::vector<L2Record>& records);
  // So many together were refused: for the size of the answer, or the load.
  void Refused(size_t keys) { limit_ = std::max<size_t>(1, keys / 4); }
  // What is asked for next may be of another kind: after an outage, say.
  void BeginAnew() { start_ = std::min(start_, kFirstKeys); }

  // What is late would be late again.
  bool is_exhausted() const { return pace_.is_exhausted(); }

 private:
  void Learn(const std::vector<L2Record>& records);

  const FetchPaceOptions options_;
  LinkPace pace_;
  size_t start_ = kFirstKeys;  // Under way, at most; grows with each answer.
  size_t limit_;               // Of one fetch.
  uint64_t round_ = 0;         // Of fetches that know of the same lateness.
  double mean_bytes_ = 256;    // Of a record, smoothed; larger ones count at once.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_FETCH_PACE_H_
