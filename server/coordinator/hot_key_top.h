// TopOfHours puts hours of a HotKeyHistory together: what they were like in the weeks before.
//
// Thread safety: on the coordinator's executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_HOT_KEY_TOP_H_
#define MERIDIAN_SERVER_COORDINATOR_HOT_KEY_TOP_H_

#include <cstddef>
#include <string>
#include <vector>

#include "server/coordinator/hot_key_history.h"
#include "server/warming/hot_key_source.h"

namespace meridian {

// The keys of a namespace by the sum of their rates, hottest first. `now` is what is known besides.
// Hours that cannot be loaded are left out; when none can, `done` gets the error of one.
// REQUIRES: every hour is one of the week, and `history` outlives `done`.
void TopOfHours(HotKeyHistory& history, const std::vector<int>& hours, std::vector<HotKey> now,
                const std::string& name_space, size_t limit, HotKeySource::Done done);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_HOT_KEY_TOP_H_
