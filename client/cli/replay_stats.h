// What a replay counts, and the report that it ends with.

#ifndef MERIDIAN_CLIENT_CLI_REPLAY_STATS_H_
#define MERIDIAN_CLIENT_CLI_REPLAY_STATS_H_

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace meridian::cli {

// Times in microseconds; keeps them all, because percentiles of samples of samples lie.
class LatencySamples {
 public:
  void Add(absl::Duration duration) {
    samples_.push_back(static_cast<float>(absl::ToDoubleMicroseconds(duration)));
  }
  void Merge(const LatencySamples& other) {
    samples_.insert(samples_.end(), other.samples_.begin(), other.samples_.end());
  }
  size_t count() const { return samples_.size(); }
  // The value below which `share` of the samples lie; 0 without samples.
  double Percentile(double share) const;
  nlohmann::ordered_json ToJson() const;

 private:
  std::vector<float> samples_;
};

// The tiers of the report, in order.
inline constexpr std::array<const char*, 4> kReplayTiers = {"L1", "L2", "origin", "miss"};

struct RegionStats {
  uint64_t requests = 0;  // Of the source.
  uint64_t gets = 0;
  std::array<uint64_t, 4> by_tier{};  // Gets, by kReplayTiers.
  uint64_t sets = 0;
  uint64_t invalidations = 0;
  uint64_t degraded = 0;  // Writes that only L1 has.

  void Merge(const RegionStats& other);
};

// A mismatch: bytes that no replay has written.
inline constexpr char kForeignBytes[] = "FOREIGN_BYTES";

// Errors and mismatches by reason, with the first example of each.
class ProblemList {
 public:
  void Add(const std::string& reason, const std::string& example, uint64_t count = 1);
  void Merge(const ProblemList& other);
  uint64_t count() const { return count_; }
  bool Has(const std::string& reason) const { return kinds_.count(reason) > 0; }
  nlohmann::ordered_json ToJson() const;
  // One indented line a reason; empty without problems.
  std::string ToText() const;

 private:
  struct Kind {
    uint64_t count = 0;
    std::string example;
  };
  uint64_t count_ = 0;
  std::map<std::string, Kind> kinds_;
};

struct ReplayStats {
  std::vector<RegionStats> regions;
  std::array<LatencySamples, 4> get_latency;  // Single Gets, by kReplayTiers.
  LatencySamples batch_get_latency;
  LatencySamples batch_set_latency;
  ProblemList errors;
  ProblemList mismatches;

  void Merge(const ReplayStats& other);
};

struct PropagationStats {
  bool ran = false;
  LatencySamples set_visible;
  LatencySamples invalidate_visible;
  ProblemList failures;
};

struct DiffStats {
  bool ran = false;
  uint64_t compared = 0;
  uint64_t keys = 0;      // That the replay touched.
  uint64_t expiring = 0;  // Left out: about to expire.
  absl::Duration settled_after;
  ProblemList differing;
};

struct ReplayReport {
  std::string source;
  std::vector<std::string> regions;
  absl::Duration elapsed;
  bool interrupted = false;  // Gave up early, or ended by a signal.
  int signal = 0;            // That ended it early; 0: none did.
  ReplayStats stats;
  PropagationStats propagation;
  DiffStats diff;

  bool Good() const;
  std::string ToText() const;
  nlohmann::ordered_json ToJson() const;
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_REPLAY_STATS_H_
