// AlertBook is the life of alerts: pending while a condition holds and not yet for long enough,
// firing then, resolved when it holds no longer. A pure state machine: time is passed in.
//
// Promise: an alert that fires goes on firing until its condition has not held for kCalm, so that
//   one that comes and goes is one alert; of those that ended the last kMaxResolved are kept. What
//   a book before this one had is taken over by Restore.
// Bounded: of more than kMaxLive conditions the first ones, as they were given, are followed.
// Thread safety: none; it is used on the coordinator's executor.

#ifndef MERIDIAN_SERVER_FIGURES_ALERT_BOOK_H_
#define MERIDIAN_SERVER_FIGURES_ALERT_BOOK_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"

namespace meridian {

// Something is wrong, now.
struct AlertCondition {
  std::string name = {};      // Of the alert, and of its page in docs/runbooks.
  std::string severity = {};  // "info", "warning" or "critical".
  absl::Duration after = {};  // It fires when it has held for so long.
  std::map<std::string, std::string> labels = {};  // Node, namespace, region: what it is about.
  std::string summary = {};                        // For people.
  double value = 0;                                // That was measured.
};

// The same for as long as an alert is the same: its severity and what is said of it may change.
std::string AlertKey(const coordinator::v1::Alert& alert);

class AlertBook {
 public:
  static constexpr size_t kMaxLive = 1000;
  static constexpr size_t kMaxResolved = 200;
  static constexpr absl::Duration kCalm = absl::Seconds(10);
  // How long what was restored goes on firing, so that its condition has the time to be seen again:
  // AlertCondition::window, if that is longer.
  static constexpr absl::Duration kInherited = absl::Minutes(2);
  // What ended so lately that its message may still wait for its receiver: it is told, if nobody
  // was. As long as a message waits.
  static constexpr absl::Duration kToldAgain = absl::Hours(1);

  // Told of every alert that begins or ends to fire.
  using Listener = std::function<void(const coordinator::v1::Alert& alert)>;
  void SetListener(Listener listener) { listener_ = std::move(listener); }

  // All conditions that hold now. `now` is monotonic and does not go backwards.
  void Update(const std::vector<AlertCondition>& conditions, absl::Duration now, absl::Time wall);
  // What another book's List said last. Of what fires, and of what ended of late, the listener is
  // told, unless NoteTold was called for it there: a second time, perhaps. `window`: of an alert's
  // name, over how long its condition is looked for.
  void Restore(const std::vector<coordinator::v1::Alert>& alerts, absl::Duration now,
               absl::Time wall,
               const std::function<absl::Duration(const std::string& name)>& window = nullptr);
  // Whom the listener tells has taken the alert as it was.
  void NoteTold(const coordinator::v1::Alert& taken, absl::Time wall);
  // Forgets all others. What is kept goes on as if nothing had been.
  void KeepOnly(const std::function<bool(const coordinator::v1::Alert&)>& kept);
  // What has not fired yet is forgotten.
  void DropPending();
  // What others say of themselves: it is shown beside the rest, and theirs to begin, to end and to
  // tell.
  void SetOthers(std::vector<coordinator::v1::Alert> others) { others_ = std::move(others); }

  // Grows with every alert that begins or ends to fire, or is told.
  uint64_t changes() const { return changes_; }

  // Firing first, then pending, then those that ended; the newest of each first. With the others.
  std::vector<coordinator::v1::Alert> List(bool include_resolved) const;

  struct Counts {
    size_t pending = 0;
    size_t firing = 0;
    size_t critical = 0;  // Of those that fire.
  };
  Counts Count() const;

 private:
  struct Live {
    coordinator::v1::Alert alert = {};
    absl::Duration began = {};
    absl::Duration held = {};  // When the condition held last.
    bool firing = false;
    absl::Duration kept_until = -absl::InfiniteDuration();  // Firing, whether it holds or not.
  };

  void Tell(const coordinator::v1::Alert& alert);
  void Resolve(Live live, absl::Time wall);
  bool IsKnown(const coordinator::v1::Alert& ended) const;
  void Inherit(const coordinator::v1::Alert& alert, absl::Duration now, absl::Duration window);

  Listener listener_;
  std::map<std::string, Live> live_;             // By name and labels.
  std::deque<coordinator::v1::Alert> resolved_;  // Newest first.
  std::vector<coordinator::v1::Alert> others_;   // None of them has ended.
  uint64_t changes_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_ALERT_BOOK_H_
