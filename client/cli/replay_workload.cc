#include "client/cli/replay_workload.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace meridian::cli {
namespace {

struct Kind {
  const char* name_space;
  size_t keys;
  double skew;   // Exponent of the Zipf law; 1.16 gives 80 % of the requests to 20 % of the keys.
  double share;  // Of the traffic.
  uint32_t smallest;  // Bytes of a value.
  uint32_t largest;
  uint32_t ttl_s;
  double set_share;         // Of the requests of this kind.
  double invalidate_share;  // Of the requests of this kind.
};

constexpr size_t kItem = 2;
constexpr size_t kAssessment = 3;
constexpr double kPareto = 1.16;
constexpr Kind kKinds[] = {
    {"persona", 100, 1.0, 0.20, 2560, 2560, 3600, 0.001, 0},
    {"recommend", 500, 0.9, 0.08, 4096, 4096, 600, 0.01, 0},
    {"item", 20'000, 0.8, 0.006, 300, 900, 300, 0.005, 0},  // 40 requests each.
    {"assessment", 5'000, kPareto, 0.12, 1500, 6000, 300, 0, 0.03},
    {"dashboard", 2'000, kPareto, 0.06, 1800, 1800, 60, 0, 0},
    {"recommendations", 5'000, kPareto, 0.05, 2500, 2500, 300, 0, 0.01},
    {"task", 10'000, 1.0, 0.20, 600, 600, 300, 0.08, 0.02},
    {"project", 500, 0.8, 0.08, 1200, 1200, 900, 0.02, 0},
    {"user", 2'000, 0.9, 0.08, 400, 400, 600, 0.03, 0},
    {"git_branch", 2'000, 0.9, 0.06, 300, 300, 1200, 0.02, 0},
    {"agent", 60, 0.6, 0.04, 2000, 2000, 3600, 0.002, 0},
    {"template", 120, 0.6, 0.024, 8000, 8000, 7200, 0.001, 0},
};

constexpr const char* kTones[] = {"calm", "analytical", "frustrated", "curious", "playful"};
constexpr const char* kPaces[] = {"flowing", "burst", "medium", "slow"};
constexpr const char* kIntents[] = {"seek_advice", "problem_solving", "learning", "planning",
                                    "reflection"};
constexpr const char* kScenarios[] = {"onboarding", "upgrade", "support", "discovery", "retention"};

uint64_t IndexOf(uint64_t key) { return key & 0xFFFFFFFF; }

}  // namespace

SourcesWorkload::SourcesWorkload(uint64_t seed, uint64_t requests)
    : random_(seed), left_(requests) {
  double sum = 0;
  for (const Kind& kind : kKinds) {
    namespaces_.push_back(kind.name_space);
    draws_.emplace_back(kind.keys, kind.skew);
    cumulative_.push_back(sum += kind.share);
  }
}

bool SourcesWorkload::Next(ReplayRequest* request) {
  if (left_ == 0) return false;
  --left_;
  if (bulk_left_ > 0) {
    --bulk_left_;
    *request = Draw(kItem);
    return true;
  }
  const double point = random_.Unit() * cumulative_.back();
  const size_t kind = std::min<size_t>(
      std::upper_bound(cumulative_.begin(), cumulative_.end(), point) - cumulative_.begin(),
      std::size(kKinds) - 1);
  if (kind == kItem) bulk_left_ = static_cast<int>(19 + random_.Below(41));
  *request = Draw(kind);
  return true;
}

ReplayRequest SourcesWorkload::Draw(size_t kind_index) {
  const Kind& kind = kKinds[kind_index];
  const uint64_t index = draws_[kind_index](random_);
  ReplayRequest request;
  request.key = kind_index << 32 | index;
  request.name_space = static_cast<uint8_t>(kind_index);
  // An entry keeps about its size: a function of the key, the rest varies by a tenth.
  const uint32_t span = kind.largest - kind.smallest;
  const uint32_t base = kind.smallest + (span == 0 ? 0 : Mix64(request.key) % span);
  request.value_size = base + static_cast<uint32_t>(random_.Below(base / 10 + 1));
  request.ttl_s = kind_index == kAssessment && index % 5 == 0 ? 60 : kind.ttl_s;
  const double point = random_.Unit();
  request.op = point < kind.set_share                           ? ReplayOp::kSet
               : point < kind.set_share + kind.invalidate_share ? ReplayOp::kInvalidate
                                                                : ReplayOp::kGet;
  return request;
}

std::string SourcesWorkload::KeyText(uint64_t key) const {
  const uint64_t index = IndexOf(key);
  const size_t kind = key >> 32;
  switch (kind) {
    case 0:
      return absl::StrCat(kTones[index % 5], "-", kPaces[index / 5 % 4], "-",
                          kIntents[index / 20 % 5]);
    case 1:
      return absl::StrFormat("recommend:%s:%016x", kScenarios[index % 5], Mix64(index + 1));
    case 2:
      return absl::StrFormat("item:%d:%08x", index, static_cast<uint32_t>(Mix64(index + 7)));
    case 3:
      return absl::StrCat("assessment:", index, ":details");
    case 4:
      return absl::StrCat("dashboard:overview:", index);
    case 5:
      return absl::StrCat("recommendations:", index, ":list");
    default:
      return absl::StrCat("context:", kKinds[kind].name_space, ":", index);
  }
}

}  // namespace meridian::cli
