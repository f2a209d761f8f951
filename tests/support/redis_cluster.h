// RedisCluster is a real Redis Cluster of a few redis-servers, all primaries, for one test.
//
// Promise, thread safety: those of RedisProcess.

#ifndef MERIDIAN_TESTS_SUPPORT_REDIS_CLUSTER_H_
#define MERIDIAN_TESTS_SUPPORT_REDIS_CLUSTER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/redis_process.h"

namespace meridian {

class RedisCluster {
 public:
  // Blocks until all servers say that the cluster is well. The slots are in `primaries` equal runs;
  // `spare` more servers have none. Files go into `directory`.
  static absl::StatusOr<std::unique_ptr<RedisCluster>> Start(const std::string& directory,
                                                             size_t primaries, size_t spare = 0);

  // redis+cluster://127.0.0.1:port, of the first server only: the others must be found.
  std::string url() const;
  RedisProcess& server(size_t i) { return *servers_[i]; }
  size_t size() const { return servers_.size(); }
  // Of the run that Start gave it, or of the last MoveSlot.
  size_t OwnerOf(uint16_t slot) const { return owner_[slot]; }

  // The two ways in which a slot is on its way, as the Redis tools do it. What happens in between
  // is seen by clients.
  absl::Status BeginMove(uint16_t slot, size_t to);
  absl::Status MoveKeys(uint16_t slot, size_t to, int at_most);
  absl::Status EndMove(uint16_t slot, size_t to);
  // All three.
  absl::Status MoveSlot(uint16_t slot, size_t to);

  absl::Status FlushAll();

 private:
  absl::Status TryBeginMove(const std::string& number, size_t from, size_t to);
  RedisCluster() = default;
  absl::Status Join(size_t primaries);
  absl::Status Run(size_t server, const std::vector<std::string>& arguments);

  std::vector<std::unique_ptr<RedisProcess>> servers_;
  std::vector<std::string> ids_;
  std::vector<size_t> owner_;  // By Redis' slot.
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_REDIS_CLUSTER_H_
