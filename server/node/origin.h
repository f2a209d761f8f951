// Origins loads values from the sources of truth of the namespaces that have one.
// server/origin/origin_loader.h implements it on origin.v1.OriginService.
//
// Promise: every key is answered exactly once, within the policy's timeout or a little later, on
// any
//   thread; nothing blocks. What the origin gave is checked: a found value is one that may be
//   stored. Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_ORIGIN_H_
#define MERIDIAN_SERVER_NODE_ORIGIN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/rpc/error.h"
#include "server/node/namespaces.h"

namespace meridian {

// A key to load; `ticket` comes back with its answer.
struct OriginKey {
  std::string key;
  std::string request_id;
  std::shared_ptr<void> ticket;
};

enum class LoadOutcome : uint8_t { kFound, kAbsent, kError };

struct OriginAnswer {
  std::shared_ptr<void> ticket;
  LoadOutcome outcome = LoadOutcome::kError;
  std::string value;   // kFound, as the rest but the error.
  absl::Duration ttl;  // 0: by policy.
  std::vector<std::string> tags;
  std::vector<std::string> depends_on;
  double cost = 0;                     // 0: by policy.
  std::shared_ptr<const Error> error;  // kError.
};

class OriginSink {
 public:
  virtual ~OriginSink() = default;
  // Some of the keys that were asked for.
  virtual void OnLoaded(std::vector<OriginAnswer> answers) = 0;
};

class Origins {
 public:
  virtual ~Origins() = default;
  // REQUIRES: policy.origin.enabled(). `sink` outlives the answers.
  virtual void Load(const Namespace& name_space, const NamespacePolicy& policy,
                    std::vector<OriginKey> keys, OriginSink& sink) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_ORIGIN_H_
