// What no L2Store stores: a record without the write's version, no retention. A header of its own,
// for those who implement the port.

#ifndef MERIDIAN_SERVER_NODE_L2_WRITE_CHECK_H_
#define MERIDIAN_SERVER_NODE_L2_WRITE_CHECK_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/version.h"
#include "server/node/l2_store.h"
#include "server/node/record.h"

namespace meridian {

inline absl::Status CheckWrite(const L2Write& write) {
  if (write.kind == L2WriteKind::kPut &&
      (write.record.size() < kRecordHeaderSize ||
       write.record.compare(0, Version::kTextSize, write.version.ToText()) != 0)) {
    return absl::InvalidArgumentError("a write's record does not have the write's version");
  }
  if (write.retention <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("a write without retention");
  }
  return absl::OkStatus();
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_L2_WRITE_CHECK_H_
