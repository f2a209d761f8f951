// WarmReader reads keys through a node, so that they are in the memory of their owners afterwards:
// the port that Warmer stands on. GrpcWarmReader is the real one; tests have a fake.

#ifndef MERIDIAN_SERVER_WARMING_WARM_READER_H_
#define MERIDIAN_SERVER_WARMING_WARM_READER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace meridian {

// What became of one key.
enum class WarmOutcome : uint8_t {
  kResident,     // Its owner had it in memory already.
  kFromL2,       // It was loaded from the regional Redis.
  kFromOrigin,   // It was loaded from the origin.
  kNotKept,      // It was loaded, and its owner did not keep it in memory.
  kAbsent,       // Nobody has it.
  kOverloaded,   // The node, the owner or the origin has too much to do: ask again later.
  kUnreachable,  // The node, the owner or the origin does not answer: ask again.
  kFailed,       // It cannot be read.
};

struct WarmAnswer {
  std::vector<WarmOutcome> outcomes;  // In order of the keys, as many.
  absl::Duration retry_after;         // Of kOverloaded; 0: not said.
  std::string error;                  // For people; of one key that could not be read.
  // What was kOverloaded or kUnreachable is so for all namespaces: the node said it of the call, or
  // of the region's Redis, or did not answer at all.
  bool of_node = false;
};

struct WarmReadOptions {
  absl::Duration timeout = absl::Seconds(10);
  // Load from the namespace's origin, or without one from the regional Redis, whatever is in memory.
  bool refresh = false;
  // Whose job it is: what the nodes follow what it brings under.
  std::string source = {};
};

class WarmReader {
 public:
  virtual ~WarmReader() = default;

  // Only these addresses are asked from now on.
  virtual void KeepOnly(const std::vector<std::string>& addresses) = 0;

  // Asks the node at `address` (host:port of CacheService). `done` is called exactly once, on any
  // thread; it must not block.
  virtual void Read(const std::string& address, const std::string& name_space,
                    const std::vector<std::string>& keys, const WarmReadOptions& options,
                    std::function<void(WarmAnswer)> done) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_READER_H_
