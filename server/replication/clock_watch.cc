#include "server/replication/clock_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace meridian {

ClockWatch::ClockWatch(std::map<std::string, L2Store*> stores, ClockGuard& guard, TaskGate gate,
                       const Clock& clock, ReplicationObserver& observer)
    : stores_(std::move(stores)),
      guard_(guard),
      gate_(std::move(gate)),
      clock_(clock),
      observer_(observer) {}

void ClockWatch::Ask() {
  const absl::Duration sent = clock_.Monotonic();
  for (const auto& [region, store] : stores_) {
    // Looks at the clock at once: an executor that is busy would make the answer look old.
    store->ServerTime(clock_.Now() + kTimeout,
                      [this, gate = gate_, name = absl::StrCat("redis of ", region), sent,
                       &clock = clock_](absl::StatusOr<absl::Time> time) {
                        if (!time.ok()) return;
                        gate.Post([this, name, time = *time, sent, received = clock.Monotonic()] {
                          guard_.Measured(name, time, sent, received);
                          Report();
                        });
                      });
  }
  Report();
  gate_.PostAfter(kInterval, [this] { Ask(); });
}

void ClockWatch::Report() {
  const absl::Status status = guard_.Check();
  if (status.ok() == reported_ok_) return;
  reported_ok_ = status.ok();
  observer_.OnOwnClock(status);
}

}  // namespace meridian
