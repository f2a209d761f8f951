// SyncReplication tells a writer which other regions have its writes.
// server/replication/sync_waits.h implements it; without it a node has no other region.
//
// Expect is called before the writes are sent to the regional store, so that no arrival is missed;
// Await afterwards, exactly once.
// Promise: `done` is called exactly once, not later than the deadline and a moment, on any thread,
//   possibly before Await returns. Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_SYNC_REPLICATION_H_
#define MERIDIAN_SERVER_NODE_SYNC_REPLICATION_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/version.h"

namespace meridian {

class SyncReplication {
 public:
  struct Write {
    std::string name_space;
    std::string key;
    Version version;
  };
  // Writes that are expected to arrive.
  class Batch {
   public:
    virtual ~Batch() = default;
  };
  // For each of `indexes`: the regions that have the write, or something newer.
  using Done = std::function<void(std::vector<std::vector<std::string>>)>;

  virtual ~SyncReplication() = default;

  virtual std::shared_ptr<Batch> Expect(std::vector<Write> writes, absl::Time deadline) = 0;
  // Answers as soon as `regions` other regions have each of the writes `indexes` of the batch (0:
  // all regions), or no more of them can be reached; at the latest at the deadline.
  virtual void Await(std::shared_ptr<Batch> batch, std::vector<size_t> indexes, size_t regions,
                     Done done) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_SYNC_REPLICATION_H_
