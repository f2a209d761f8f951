// TestNode is one meridian-node that a test starts by hand: without coordinators, on free ports.
//
// Thread safety: none; start nodes in the main thread.

#ifndef MERIDIAN_TESTS_SUPPORT_TEST_NODE_H_
#define MERIDIAN_TESTS_SUPPORT_TEST_NODE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"

namespace meridian {

struct TestNodeOptions {
  std::vector<std::string> environment = {};  // NAME=VALUE
  bool until_ready = true;                    // Or until it listens.
};

class TestNode {
 public:
  // Listens where the OS chooses, unless `flags` say otherwise; returns when the node does.
  static absl::StatusOr<std::unique_ptr<TestNode>> Start(const std::string& id,
                                                         const std::vector<std::string>& flags = {},
                                                         const TestNodeOptions& options = {});
  // Nodes with static peers: n0, n1, ... `flags` are for each.
  static absl::StatusOr<std::vector<std::unique_ptr<TestNode>>> StartPeers(
      size_t count, const std::vector<std::string>& flags = {});
  ~TestNode();

  const std::string& id() const { return id_; }
  const std::string& data() const { return addresses_.at("data"); }
  const std::string& peer() const { return addresses_.at("peer"); }
  const std::string& admin() const { return addresses_.at("admin"); }
  const std::string& http() const { return addresses_.at("http"); }
  ChildProcess& process() { return *process_; }
  std::string Log() const { return ReadFile(dir_ / "log"); }

 private:
  explicit TestNode(std::string id) : id_(std::move(id)) {}
  absl::Status Launch(const std::vector<std::string>& flags, const TestNodeOptions& options);

  const std::string id_;
  const TempDir dir_;
  std::unique_ptr<ChildProcess> process_;
  std::map<std::string, std::string> addresses_;
};

// host:port of a loopback port that was free a moment ago.
std::string FreeAddress();

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_TEST_NODE_H_
