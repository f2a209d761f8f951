// NamespacePolicy is how one data type is cached: how long, in which part of L1, in what form, and
// where its changes go. policy_fields.h is the table of its fields, ttl_rules.h computes with them.
//
// The defaults are those of a namespace that nobody configured: everything is admitted, nothing is
// compressed, one TTL. Thread safety: values; a published policy (shared_ptr<const ...>) is
// immutable.

#ifndef MERIDIAN_SERVER_POLICY_NAMESPACE_POLICY_H_
#define MERIDIAN_SERVER_POLICY_NAMESPACE_POLICY_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace meridian {

enum class ReplicationMode {
  kLocal,           // Stays in its region.
  kAsync,           // Goes to every other region; the writer does not wait.
  kSync,            // As kAsync, and the answer names the regions that have it.
  kInvalidateOnly,  // Other regions drop what they have; no value leaves its region.
};

enum class Priority : int8_t { kLow = -1, kNormal = 0, kHigh = 1, kCritical = 2 };

enum class KeyHash : uint8_t { kNone, kMd5, kXxh3 };

// Thresholds of hits in one residence are at most this: what a node counts of a key goes beyond it.
inline constexpr uint32_t kMaxResidenceHits = 65'000;

// Thresholds of requests a day are at most this: beyond it the decaying count is coarse.
inline constexpr uint32_t kMaxDailyRequests = 1'000'000;

// Life in L1 by use: > boost_hits hits in one residence -> boost_ttl, < cut_hits -> cut_ttl, else
// the namespace's own (0-08). A key of high volatility is never lifted.
struct AdaptiveTtl {
  bool enabled = false;
  uint32_t boost_hits = 50;
  absl::Duration boost_ttl = absl::Seconds(120);
  uint32_t cut_hits = 5;
  absl::Duration cut_ttl = absl::Seconds(20);

  bool operator==(const AdaptiveTtl&) const = default;
};

// Life by how often a value changes (2-05, 2-06): the score of a key selects one of three TTLs,
// which caps what else the policy would give.
struct VolatilityPolicy {
  bool enabled = false;
  double base = 1.0;       // Factor of the type in the score, 0..1.
  double high_at = 0.7;    // Scores from here on are high ...
  double medium_at = 0.4;  // ... from here on medium, below low.
  absl::Duration high;     // TTLs; high <= medium <= low.
  absl::Duration medium;
  absl::Duration low;

  bool operator==(const VolatilityPolicy&) const = default;
};

struct CompressionPolicy {
  bool enabled = false;
  uint64_t threshold = 1024;  // Values larger than this are tried.
  double min_saving = 0.10;   // Kept raw when deflating saves less than this share.
  int level = 6;              // zlib's, 1..9.

  bool operator==(const CompressionPolicy&) const = default;
};

// Into L1 goes what is smaller than `max_size` or was asked for more than `min_hits` times; the
// rest is in L2 only (0-17).
struct AdmissionPolicy {
  bool enabled = false;
  uint64_t max_size = 100;
  uint32_t min_hits = 50;

  bool operator==(const AdmissionPolicy&) const = default;
};

struct RefreshPolicy {
  // How long before its L1 expiry a value that is asked for is loaded anew: a share of its L1 TTL,
  // or a duration; at most one is set.
  double ahead_share = 0;
  absl::Duration ahead;

  bool operator==(const RefreshPolicy&) const = default;
};

struct KeyPolicy {
  bool trim = false;             // Spaces at both ends go.
  bool lowercase = false;        // ASCII letters.
  bool collapse_spaces = false;  // Runs of spaces become one.
  KeyHash hash = KeyHash::kNone;
  uint32_t hash_above = 0;  // Only keys longer than this many bytes are hashed.

  bool operator==(const KeyPolicy&) const = default;
};

// Where values come from that no tier has (origin.v1.OriginService), and how it is asked.
struct OriginPolicy {
  std::string address = {};  // host:port; empty: there is none.
  bool tls = false;
  std::string ca_file = {};  // PEM; empty: the system's.
  // A load that takes longer has failed ...
  absl::Duration timeout = absl::Seconds(1);
  // ... and from here on who allows it is given an old value; the load goes on.
  absl::Duration soft_timeout = absl::Milliseconds(50);
  uint32_t concurrency = 16;  // Calls at a time, of one node.
  absl::Duration batch_window = absl::Milliseconds(1);
  uint32_t batch_size = 100;
  uint32_t rate = 0;  // Keys a second, of one node; 0: as many as come.
  uint32_t retries = 1;
  absl::Duration negative_ttl = absl::Seconds(10);  // 0: what is absent is not remembered.

  bool enabled() const { return !address.empty(); }
  bool operator==(const OriginPolicy&) const = default;
};

// What is wanted of the namespace: it is judged by this, nothing else follows from it (1-01, 2-13).
struct GoalsPolicy {
  double hit_rate = 0;  // Share of the reads that L1 and L2 answer; 0: no goal.
  // The 95th percentile of the reads that a tier answers, at the owner; 0: no goal.
  absl::Duration l1_p95 = absl::ZeroDuration();
  absl::Duration l2_p95 = absl::ZeroDuration();

  bool operator==(const GoalsPolicy&) const = default;
};

// A budget of the namespace in L1: its share of a tier, or its own.
struct PoolPolicy {
  std::string tier = {};      // "hot", "warm", "cold"; empty: the namespace's own pool.
  uint64_t max_bytes = 0;     // 0: bounded by the total only.
  uint64_t max_entries = 0;   // 0: no such limit.
  std::string eviction = {};  // See EvictionPolicyNames(); empty: that of --l1-policy.
  // Values of a longer life start in the next pool.
  absl::Duration ttl_max = absl::InfiniteDuration();
  uint32_t promote_hits = 0;  // Hits after which a value moves to the pool before; 0: never.

  bool operator==(const PoolPolicy&) const = default;
};

struct NamespacePolicy {
  absl::Duration ttl = absl::Hours(1);           // For writes that give none. 1 ms .. 1 year.
  absl::Duration l1_ttl = absl::ZeroDuration();  // At most this long in L1; 0: as long as in L2.
  // Bounds of what the policy computes. A writer's own TTL is taken as it is.
  absl::Duration ttl_min = absl::Milliseconds(1);
  absl::Duration ttl_max = absl::Hours(24 * 365);
  // A TTL that the policy gives is shortened by a random share of up to this much, so that what was
  // written together does not expire together.
  double ttl_jitter = 0.05;
  // By the writer's state_hint (4-02).
  std::map<std::string, absl::Duration, std::less<>> ttl_by_state;
  VolatilityPolicy volatility;
  AdaptiveTtl adaptive_ttl;
  CompressionPolicy compression;
  AdmissionPolicy admission;
  // L1 misses of a key after which its value goes from L2 to L1 (0-13: 3, 4-10: 1).
  uint32_t promotion_misses = 1;
  Priority priority = Priority::kNormal;
  double cost = 1.0;  // Of loading a value anew, relative to others; 0.125 .. 8.
  // Hottest first; a victim of one moves to the next. Empty: the rest of L1, shared with others.
  std::vector<PoolPolicy> pools;
  // How long after its TTL a value may still answer who asks with max_stale; 0: not at all.
  absl::Duration stale_max = absl::Seconds(10);
  RefreshPolicy refresh;
  OriginPolicy origin;
  absl::Duration lease_ttl = absl::Seconds(10);  // How long a caller may take to fill a key.
  KeyPolicy key;
  // A request that carries one of these is not cached (4-04).
  std::vector<std::string> bypass_parameters;
  ReplicationMode replication = ReplicationMode::kAsync;
  bool write_without_redis = false;  // Writes are accepted while the regional Redis is away.
  uint32_t sync_regions = 0;  // kSync: how many others a write waits for; 0: all.
  GoalsPolicy goals;

  bool operator==(const NamespacePolicy&) const = default;

  // As YAML, a field or a group of fields a line: what a policy file would have to say for it.
  std::string ToYaml() const;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_NAMESPACE_POLICY_H_
