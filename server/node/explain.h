// Explainer says what this node's memory and the regional store hold of a key, without changing
// anything.
// Thread safety: all methods but SetMirrors may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_EXPLAIN_H_
#define MERIDIAN_SERVER_NODE_EXPLAIN_H_

#include <functional>
#include <string_view>
#include <vector>

#include "server/node/explain_report.h"
#include "server/node/mirror_reads.h"
#include "server/node/node_context.h"

namespace meridian {

// L1, the mirror when it has one, then L2.
using ExplainCallback = std::function<void(std::vector<TierReport>)>;

class Explainer {
 public:
  explicit Explainer(const NodeContext& context) : context_(context) {}
  // Not owned; nullptr: none. REQUIRES: before the first look.
  void SetMirrors(const MirrorReads* mirrors) { mirrors_ = mirrors; }

  // All but L2.
  std::vector<TierReport> InMemory(std::string_view name_space, std::string_view key) const;
  // `callback` may run before Explain returns.
  void Explain(std::string_view name_space, std::string_view key, absl::Time deadline,
               ExplainCallback callback);

 private:
  const NodeContext& context_;
  const MirrorReads* mirrors_ = nullptr;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_EXPLAIN_H_
