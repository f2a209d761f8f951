// NoL2 is the absence of a regional store: reads find nothing, there is no changelog, and writes
// are for L1 alone (see L1Writer). Thread safety: stateless.

#ifndef MERIDIAN_SERVER_NODE_NO_L2_H_
#define MERIDIAN_SERVER_NODE_NO_L2_H_

#include <string>
#include <utility>
#include <vector>

#include "server/node/l2_store.h"

namespace meridian {

class NoL2 final : public L2Store {
 public:
  void Fetch(std::vector<L2Key> keys, absl::Time, FetchCallback callback) override {
    callback(std::vector<L2Record>(keys.size()));
  }
  void Apply(std::vector<L2Write> writes, absl::Time, ApplyCallback callback) override {
    callback(std::vector<L2WriteResult>(writes.size(), Refused()));
  }
  void ReadLogs(std::vector<LogRead>, size_t, absl::Time, LogCallback callback) override {
    callback(std::vector<LogSlice>());
  }
  void LogEnds(std::vector<uint32_t> slots, absl::Time, PositionsCallback callback) override {
    callback(std::vector<LogPosition>(slots.size()));
  }
  void FetchCursors(std::string, std::vector<uint32_t> slots, absl::Time,
                    PositionsCallback callback) override {
    callback(std::vector<LogPosition>(slots.size()));
  }
  void ApplyReplicated(std::string, uint32_t, LogPosition, std::vector<L2Write> writes, absl::Time,
                       ApplyCallback callback) override {
    callback(std::vector<L2WriteResult>(writes.size(), Refused()));
  }
  void Scan(std::string, size_t, absl::Time, ScanCallback callback) override {
    callback(L2ScanPage());
  }
  void FetchVersions(std::vector<L2Key> keys, absl::Time, VersionsCallback callback) override {
    callback(std::vector<Version>(keys.size()));
  }
  L2Health Health() const override {
    L2Health health;
    health.configured = false;
    health.problem = "no Redis is configured: values live in L1 only and do not replicate";
    return health;
  }

 private:
  static L2WriteResult Refused() {
    L2WriteResult result;
    result.status = absl::FailedPreconditionError("no Redis is configured");
    return result;
  }
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_NO_L2_H_
