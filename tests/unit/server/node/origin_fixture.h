// Nodes that load from an origin, or give leases, in one thread: NodeFixture with FakeOrigins.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_NODE_ORIGIN_FIXTURE_H_
#define MERIDIAN_TESTS_UNIT_SERVER_NODE_ORIGIN_FIXTURE_H_

#include <memory>
#include <string>
#include <vector>

#include "server/node/fences.h"
#include "tests/support/fake_origins.h"
#include "tests/unit/server/node/node_fixture.h"

namespace meridian {

using Strings = std::vector<std::string>;

class OriginFixture : public NodeFixture {
 protected:
  // `origin`: more fields of the policy's group; nullptr: the namespace has none.
  void Start(int nodes, const char* origin = "", const char* more = "", bool l1_only = false) {
    PolicyTable policies;
    const std::string text =
        origin == nullptr ? absl::StrCat("task: {ttl_jitter: 0", more, "}")
                          : absl::StrCat("task: {ttl: 60s, ttl_jitter: 0, stale: {max: 30s}, ",
                                         "origin: {address: db:1", origin, "}", more, "}");
    const absl::Status read = policies.ReadText("p", text);
    ASSERT_TRUE(read.ok()) << read;
    StartNodes(nodes, l1_only, policies);
    for (auto& one : nodes_) one->context().origins = &origin_;
  }

  std::shared_ptr<Pending> Begin(const Strings& keys, ReadOptions options = {}, int at = 0,
                                 absl::Duration timeout = absl::Seconds(1)) {
    auto pending = BeginRead(keys, options, at, timeout);
    executor_.RunDue();
    return pending;
  }
  // Begins a read of one key, lets every load go, and shows the answer.
  std::string ReadThrough(const std::string& key, ReadOptions options = {}, int at = 0) {
    const auto pending = Begin({key}, options, at);
    Settle();
    return pending->shown.empty() ? "not answered" : pending->shown[0];
  }
  void Settle() {
    do {
      origin_.AnswerAll();
      executor_.RunDue();
    } while (!origin_.waiting.empty());
  }
  static ReadOptions Stale(absl::Duration max = absl::Seconds(20)) {
    ReadOptions options;
    options.max_stale = max;
    return options;
  }
  static ReadOptions Force() {
    ReadOptions options;
    options.force_refresh = true;
    return options;
  }
  static ReadOptions Lease() {
    ReadOptions options;
    options.want_lease = true;
    return options;
  }
  // A prefix's fence is of "p:", a tag's of "t".
  void PutFence(FenceScope scope) {
    const char* name = scope == FenceScope::kPrefix ? "p:" : scope == FenceScope::kTag ? "t" : "";
    const Fence fence{kSpace, scope, name, node(0).versions().Next(), false};
    ASSERT_TRUE(node(0).context().fences->Learn(fence).ok());
  }
  WriteItem FillOf(std::string_view key, std::string_view value, const std::string& lease) {
    WriteItem item = SetOf(key, value);
    item.lease = lease;
    return item;
  }
  static std::string ShowWrite(const WriteResult& result) {
    const char* state = result.state == EntryState::kOk         ? "ok"
                        : result.state == EntryState::kConflict ? "conflict"
                                                                : "error";
    return result.error == nullptr ? state : absl::StrCat(state, " ", result.error->reason);
  }
  OriginCounters& counters(int at = 0) {
    return node(at).context().namespaces.Resolve(kSpace)->counters.origin;
  }
  bool IsQuiet() {
    return node(0).misses().flights().size() == 0 && node(0).misses().flights().waiters() == 0 &&
           node(0).misses().flights().leased() == 0 && timers_.size() == 0;
  }

  FakeOrigins origin_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_NODE_ORIGIN_FIXTURE_H_
