// CoordinatorPresence is who of a region's coordinators is there, as their leader hears of them,
// and who is missed: was there, said no goodbye, and is silent. A pure state machine: time is
// passed in.
//
// Whoever is heard of is known. It is down when it is silent for kMissedAfter. It is forgotten when
// it says goodbye, when it has been down for kForgottenAfter, or when another one takes its place:
// one that came after it had gone, as the pod that a Deployment makes for one that was killed. Each
// takes one place, that which is empty for longest.
// Times are of the leader's wall clock, which the next one goes on with.
//
// Thread safety: none.

#ifndef MERIDIAN_SERVER_COORDINATOR_COORDINATOR_PRESENCE_H_
#define MERIDIAN_SERVER_COORDINATOR_COORDINATOR_PRESENCE_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace meridian {

struct KnownCoordinator {
  std::string holder;     // LeaderLeaseOptions::holder: of this start of it.
  absl::Time first = {};  // Heard of, by any leader.
  absl::Time heard = {};  // Last.
  bool down = false;
  bool took_place = false;  // Of one that was down.
};

class CoordinatorPresence {
 public:
  static constexpr absl::Duration kMissedAfter = absl::Seconds(10);
  static constexpr absl::Duration kForgottenAfter = absl::Hours(24);
  static constexpr size_t kMaxKnown = 64;

  // `delay`: for so long after its end somebody may still be heard of.
  explicit CoordinatorPresence(absl::Duration delay) : delay_(delay) {}

  // "ID/PID/MICROSECONDS": the id, and when it started.
  static std::string MakeHolder(std::string_view id, int pid, absl::Time started);
  static std::string IdOf(std::string_view holder);
  static absl::Time StartOf(std::string_view holder);

  void Hear(const std::string& holder, absl::Time now);
  // Nothing, when its id has started again since.
  void Leave(const std::string& holder);
  // Who is down, and who is forgotten.
  void Look(absl::Time now);

  // What the next leader needs; equal as long as nobody comes, goes or is missed.
  std::string Encode() const;
  // Who was up has until kMissedAfter from `now`. What cannot be read is nobody; false then.
  bool Restore(const std::string& encoded, absl::Time now);
  void Forget() { known_.clear(); }

  const std::map<std::string, KnownCoordinator>& known() const { return known_; }  // By id.

 private:
  void FillPlaces();

  absl::Duration delay_;
  std::map<std::string, KnownCoordinator> known_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_COORDINATOR_PRESENCE_H_
