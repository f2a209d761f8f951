// What a replay sends: a stream of requests, from a recorded trace or from a generator.

#ifndef MERIDIAN_CLIENT_CLI_REPLAY_SOURCE_H_
#define MERIDIAN_CLIENT_CLI_REPLAY_SOURCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace meridian::cli {

enum class ReplayOp : uint8_t {
  kGet,         // Get, and on a miss Set.
  kSet,         // Set.
  kInvalidate,  // Invalidate.
};

struct ReplayRequest {
  uint64_t key = 0;         // Names the key together with the source; KeyText spells it.
  uint32_t value_size = 0;  // Of the value that a Set writes.
  uint32_t ttl_s = 0;
  uint8_t name_space = 0;  // Index into namespaces().
  ReplayOp op = ReplayOp::kGet;
};

class RequestSource {
 public:
  virtual ~RequestSource() = default;

  // False at the end, and when reading failed: then status() says why. One thread at a time.
  virtual bool Next(ReplayRequest* request) = 0;
  virtual absl::Status status() const = 0;

  virtual const std::vector<std::string>& namespaces() const = 0;
  // Equal for equal keys, different for different ones. Any thread.
  virtual std::string KeyText(uint64_t key) const = 0;
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_REPLAY_SOURCE_H_
