// TestCluster is a cluster of real processes, made by scripts/local-cluster in a folder of its own.
//
// Promise: Start returns when every node serves with the full ring. It goes away with the object,
//   and also when the test dies. When a test of the current suite failed, the destructor prints the
//   end of every log.
// Names are those of the script: us-node-1, us-redis, us-coordinator-1.
// Thread safety: const methods may be called concurrently; use the others in the main thread.

#ifndef MERIDIAN_TESTS_SUPPORT_TEST_CLUSTER_H_
#define MERIDIAN_TESTS_SUPPORT_TEST_CLUSTER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"

namespace meridian {

struct TestClusterOptions {
  std::vector<std::string> regions = {"us", "eu", "asia"};
  int nodes = 2;                                    // A region.
  int coordinators = 1;                             // A region.
  std::vector<std::string> node_flags = {};         // For every node.
  std::vector<std::string> coordinator_flags = {};  // For every coordinator.
  std::string fault_proxies = "";                   // "links", "redis" or "links,redis".
  std::string redis = "";  // "sentinel", "cluster", or by region: "us=cluster,eu=sentinel".
  bool redis_tls = false;
  bool redis_replica_reads = false;
  std::string redis_maxmemory = "";  // Of each server; empty: far more than is needed.
  bool origin = false;         // The example's origin as well: process "origin", address "origin".
  std::string wan_delay = "";  // One-way, "us-eu=40ms,us-asia=80ms"; needs "links".
};

class TestCluster {
 public:
  static absl::StatusOr<std::unique_ptr<TestCluster>> Start(const TestClusterOptions& options);
  ~TestCluster();

  // Of a node: "data", "peer", "admin", "http"; of a coordinator: "grpc", "http"; of a Redis:
  // "redis". Aborts the test program when there is none, because then the test is wrong.
  const std::string& Address(const std::string& process, const std::string& kind) const;
  // Path of cluster.json.
  std::string file() const { return dir_ / "cluster.json"; }
  std::string LogTail(const std::string& process, size_t lines) const;

  // What the commands of the script do; each fails the test when it cannot.
  void Kill(const std::string& process) { Change("kill", process); }
  void Stop(const std::string& process) { Change("stop", process); }
  void Cont(const std::string& process) { Change("cont", process); }
  void Restart(const std::string& process) { Change("start", process); }
  void Drain(const std::string& node) { Change("drain", node); }
  void RestartRolling(const std::string& region) { Change("restart", "--rolling", region); }
  // The address book learns of the new node; clients made before find it by themselves.
  void AddNode(const std::string& region);
  void Cut(const std::string& region) { Change("cut", region); }
  void Heal(const std::string& region) { Change("heal", region); }
  // Words of ParseFaults (fault_proxy/faults.h), for us-to-eu-proxy, us-redis-proxy, ...
  void Fault(const std::string& proxy, const std::string& words) { Change("fault", proxy, words); }

  // A client of the region that knows its topology. `options.targets` is filled in.
  std::unique_ptr<Client> NewClient(const std::string& region, ClientOptions options = {}) const;

 private:
  TestCluster() = default;
  absl::Status Up(const TestClusterOptions& options);
  absl::Status ReadAddresses();
  void Change(const std::string& command, const std::string& name, const std::string& words = "");
  static std::string Script();

  const TempDir dir_;
  std::map<std::string, std::map<std::string, std::string>> addresses_;  // By process, then kind.
  std::map<std::string, std::vector<std::string>> targets_;  // Data addresses by region.
  std::unique_ptr<ChildProcess> script_;  // Stays, and takes everything down at its end.
};

// ASSIGN_OR_RETURN's sibling for tests: the cluster, or a failed test and nullptr.
std::unique_ptr<TestCluster> StartTestCluster(const TestClusterOptions& options = {});

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_TEST_CLUSTER_H_
