// The ready file says where a process listens, for scripts that let the OS choose its ports.

#ifndef MERIDIAN_SERVER_APP_READY_FILE_H_
#define MERIDIAN_SERVER_APP_READY_FILE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace meridian {

// Writes `fields` and the pid to `path` as one JSON object, by rename, so that a reader sees all or
// nothing. Does nothing for an empty path.
absl::Status WriteReadyFile(const std::string& path,
                            const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_READY_FILE_H_
