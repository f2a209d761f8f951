// TopOfHours puts hours of a HotKeyHistory together: what they were like themselves, or as a rule.
//
// Thread safety: on the coordinator's executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_HOT_KEY_TOP_H_
#define MERIDIAN_SERVER_COORDINATOR_HOT_KEY_TOP_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "server/coordinator/hot_key_history.h"
#include "server/warming/hot_key_source.h"

namespace meridian {

// Each is told, at once or later, what one hour has.
using HourLoad = std::function<void(HotKeyHistory::Profile)>;

// The keys of a namespace by the sum of their rates, hottest first. `now` is what is known besides.
// Hours that cannot be loaded are left out; when none can, `done` gets the error of one.
void TopOfHours(const std::vector<HourLoad>& hours, std::vector<HotKey> now,
                const std::string& name_space, size_t limit, HotKeySource::Done done);

// The same hour of the weeks before, as a rule. REQUIRES: `history` outlives `done`.
HourLoad HourOfTheWeek(HotKeyHistory& history, absl::Time time);
// The hours of the last `hours` hours, without weeks before. REQUIRES: as above.
std::vector<HourLoad> LastHours(HotKeyHistory& history, absl::Time now, int hours);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_HOT_KEY_TOP_H_
