// NodeConfig is everything that meridian-node is told at start.
//
// Parse reads flags, environment and file (option_set.h) and checks the whole; docs/config.md is
// generated from the same table. Thread safety: a value.

#ifndef MERIDIAN_SERVER_POLICY_NODE_CONFIG_H_
#define MERIDIAN_SERVER_POLICY_NODE_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/cluster/topology.h"
#include "server/policy/policy_table.h"
#include "server/policy/tls_options.h"

namespace meridian {

struct NodeConfig {
  std::string id;
  std::string region;
  std::string data_address;       // To listen on; port 0: the OS chooses.
  std::string peer_address;
  std::string admin_address;
  std::string http_address;
  std::string advertise_host;     // What others use to reach this node; empty: as it listens.
  uint32_t weight = 1;
  std::vector<std::string> coordinators;
  std::vector<Member> static_peers;             // Without coordinators; includes this node.
  std::string redis_url;                        // Empty: L1 only.
  std::map<std::string, std::string> region_redis;  // Other region -> URL.
  uint64_t l1_max_bytes = 0;
  uint64_t l1_max_entries = 0;
  std::string l1_policy;
  uint64_t mirror_max_bytes = 0;  // 0: no mirrors.
  uint32_t sample_callers = 0;  // One of so many is sampled for prediction; 0: none.
  bool report_updates = true;   // The coordinator's rules are told what clients change.
  uint64_t refill_rate = 0;       // Keys a second; 0: no refill.
  uint64_t hand_off_max_bytes = 0;  // Kept aside of what others hand over; 0: nothing is taken.
  absl::Duration heat_interval;   // Between two rounds of saving what is hot.
  double ready_warmth = 0;        // 0 to 1.
  absl::Duration ready_warmth_deadline;
  absl::Duration l2_timeout;                    // Silence after which a connection is dropped.
  uint32_t l2_connections = 2;
  uint64_t changelog_max_entries = 0;           // A slot.
  uint64_t changelog_max_bytes = 0;             // The region.
  uint64_t tombstone_max_bytes = 0;             // The region; not evicted.
  uint64_t staleness_one_in = 0;                // Changes that are sampled; 0: none.
  absl::Duration tombstone_ttl;
  uint64_t hints_max_bytes = 0;
  absl::Duration hints_max_age;
  absl::Duration rollout_wait;                  // For the other nodes' restarts; 0: none.
  absl::Duration drain_delay;                   // For callers to notice that the node has left.
  double origin_query_cost = 0;                 // 0: not known.
  std::string cost_currency;
  TlsSettings tls;
  bool insecure = false;                        // Allows plaintext beyond loopback.
  std::string log_level;
  std::string log_format;
  std::string ready_file;                       // Empty: none.
  PolicyTable policies;
  std::string policies_file;                    // Where they stand, to be watched; empty: nowhere.
  PolicyTable::FileKind policies_kind = PolicyTable::FileKind::kNodeConfig;
  std::string policies_text;                    // What was read there.
  absl::Duration policies_poll;
  bool policies_in_config = false;              // --config has sections of policies.

  // nullopt: --help and the like were answered. `environment`: see ProcessEnvironment().
  static absl::StatusOr<std::optional<NodeConfig>> Parse(
      int argc, const char* const* argv, const std::map<std::string, std::string>& environment);

  // The rows of docs/config.md.
  static std::string MarkdownTable();
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_NODE_CONFIG_H_
