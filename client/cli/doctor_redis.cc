// What the nodes of a region tell of its Redis: the memory, what it evicts, what a restart leaves.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/doctor_findings.h"
#include "client/cli/duration_text.h"

namespace meridian::cli {
namespace {

constexpr char kSetPolicy[] =
    "redis-cli CONFIG SET maxmemory-policy volatile-lfu, and in the Redis configuration";

// A node that has just started has asked nothing yet.
bool Knows(const NodeFacts& node) {
  const admin::v1::GetFiguresResponse& figures = node.figures;
  return figures.l2_used_bytes() > 0 || !figures.l2_eviction_policy().empty() ||
         !figures.l2_persistence().empty();
}

class RedisDoctor {
 public:
  RedisDoctor(const std::string& region, const std::vector<const NodeFacts*>& nodes, Findings* out)
      : region_(region), out_(*out) {
    for (const NodeFacts* node : nodes) {
      const admin::v1::GetFiguresResponse& figures = node->figures;
      used_ = std::max(used_, figures.l2_used_bytes());
      limit_ = std::max(limit_, figures.l2_limit_bytes());
      if (policies_.empty()) policies_ = figures.l2_eviction_policy();
      if (persistence_.empty()) persistence_ = figures.l2_persistence();
      for (const std::string& warning : node->status().warnings()) {
        if (IsDiskWarning(warning)) disk_ = warning;
      }
    }
    // Nodes ask every 10 s: what was mended a moment ago is not known yet.
    const absl::Duration ago =
        absl::Milliseconds(static_cast<int64_t>(nodes.front()->figures.l2_told_ago_ms()));
    if (ago >= absl::Seconds(1)) {
      as_of_ =
          absl::StrCat(" (as it was ", DurationText(absl::Trunc(ago, absl::Seconds(1))), " ago)");
    }
  }

  void Memory() {
    if (limit_ == 0) {
      if (used_ > 0) {
        out_.Info("redis_maxmemory", region_,
                  "its Redis has no maxmemory: it grows until the machine ends it" + as_of_,
                  "set maxmemory, and maxmemory-policy volatile-lfu");
      }
    } else if (static_cast<double>(used_) > kNearFull * static_cast<double>(limit_)) {
      out_.Warning(
          "redis_memory", region_,
          absl::StrFormat("its Redis is filled to %.0f %% of maxmemory%s",
                          100 * static_cast<double>(used_) / static_cast<double>(limit_), as_of_),
          "more maxmemory, shorter TTLs, or compression (meridianctl recommendations)");
    }
  }

  // ADR 0020: what has no TTL must not go.
  void Eviction() {
    for (const auto policy : absl::StrSplit(policies_, ',', absl::SkipEmpty())) {
      if (absl::StartsWith(policy, "allkeys-")) {
        out_.Warning("redis_eviction", region_,
                     absl::StrCat("its Redis evicts what has no TTL, too (", policy,
                                  "): a delete that it forgets may come back from another region, "
                                  "a changelog that it drops is a gap",
                                  as_of_),
                     kSetPolicy);
      } else if (policy == "noeviction" && limit_ > 0) {
        out_.Warning(
            "redis_eviction", region_,
            "its Redis evicts nothing (noeviction): writes fail when maxmemory is reached" + as_of_,
            kSetPolicy);
      }
    }
  }

  void Persistence() {
    if (!disk_.empty()) {
      out_.Warning("redis_disk", region_, disk_ + as_of_,
                   "free the disk, or mend its rights: the log of Redis says which");
    }
    if (persistence_ != "none") return;
    out_.Info("redis_persistence", region_,
              "its Redis keeps nothing on disk: when it restarts, values are misses, deletes that "
              "another region has not heard of are forgotten, and so are applied policies and "
              "what warming has learnt" +
                  as_of_,
              "appendonly yes, or save points (docs/operations.md), unless that is meant");
  }

 private:
  const std::string& region_;
  Findings& out_;
  uint64_t used_ = 0;
  uint64_t limit_ = 0;
  std::string policies_;     // With "," between them.
  std::string persistence_;  // As GetFiguresResponse.l2_persistence.
  std::string disk_;
  std::string as_of_;  // Of what is told here; empty: now.
};

}  // namespace

bool IsDiskWarning(const std::string& warning) {
  return absl::StrContains(warning, "cannot write to its disk");
}

void CheckRegionRedis(const std::string& region, const std::vector<const NodeFacts*>& nodes,
                      Findings* findings) {
  // What others say of it is old.
  std::vector<const NodeFacts*> connected;
  for (const NodeFacts* node : nodes) {
    const admin::v1::GetStatusResponse& status = node->status();
    if (status.l2_size() > 0 && !status.l2(0).address().empty() && status.l2(0).connected()) {
      connected.push_back(node);
    }
  }
  if (connected.empty()) return;
  // Those that know most recently first.
  std::stable_sort(connected.begin(), connected.end(), [](const NodeFacts* a, const NodeFacts* b) {
    if (Knows(*a) != Knows(*b)) return Knows(*a);
    return a->figures.l2_told_ago_ms() < b->figures.l2_told_ago_ms();
  });
  RedisDoctor doctor(region, connected, findings);
  doctor.Memory();
  doctor.Eviction();
  doctor.Persistence();
}

}  // namespace meridian::cli
