#include "bench/workloads/persona_workload.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"

namespace meridian {
namespace {

constexpr double kL2TtlSeconds = 300;
constexpr size_t kMostKeys = 1'000'000;

struct EndpointModel {
  std::string_view name_space;
  double share;
  double miss_ratio;
};
constexpr EndpointModel kModels[PersonaWorkload::kEndpoints] = {{"persona", 0.15, 0.09},
                                                                {"recommend", 0.20, 0.15},
                                                                {"item", 0.60, 0.22},
                                                                {"persona", 0.05, 0.02}};

std::vector<double> CumulativeZipf(size_t keys, double exponent) {
  std::vector<double> cumulative(keys);
  double sum = 0;
  for (size_t i = 0; i < keys; ++i) {
    cumulative[i] = sum += std::pow(static_cast<double>(i + 1), -exponent);
  }
  for (double& value : cumulative) value /= sum;
  return cumulative;
}

// Of requests that come `rate` times a second for keys kept for kL2TtlSeconds.
double MissRatio(const std::vector<double>& cumulative, double rate) {
  double miss_ratio = 0;
  double before = 0;
  for (const double value : cumulative) {
    const double share = value - before;
    before = value;
    miss_ratio += share / (1 + rate * share * kL2TtlSeconds);
  }
  return miss_ratio;
}

// The Zipf distribution over as many keys as give `miss_ratio`.
std::vector<double> Fit(double miss_ratio, double rate, double exponent) {
  size_t low = 1;
  size_t high = kMostKeys;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (MissRatio(CumulativeZipf(middle, exponent), rate) < miss_ratio) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return CumulativeZipf(low, exponent);
}

// A combination of tone, pace and intent; the source's own examples come first (0-07).
std::string Combination(size_t rank) {
  constexpr std::array kTones = {"calm",     "analytical", "frustrated", "curious",
                                 "cheerful", "neutral",    "tense"};
  constexpr std::array kPaces = {"flowing", "burst", "medium", "slow", "rapid"};
  constexpr std::array kIntents = {"seek_advice", "problem_solving", "learning",
                                   "planning",    "support",         "review"};
  const size_t variant = rank / (kTones.size() * kPaces.size() * kIntents.size());
  std::string key =
      absl::StrCat(kTones[rank % kTones.size()], "-", kPaces[rank % kPaces.size()], "-",
                   kIntents[rank / kTones.size() / kPaces.size() % kIntents.size()]);
  if (variant > 0) absl::StrAppend(&key, "-", variant);
  return key;
}

}  // namespace

PersonaWorkload::PersonaWorkload(PersonaOptions options) : options_(options), rng_(options.seed) {
  for (int i = 0; i < kEndpoints; ++i) {
    cumulative_[i] = Fit(kModels[i].miss_ratio, options_.requests_per_second * kModels[i].share,
                         options_.zipf_exponent);
  }
}

std::string_view PersonaWorkload::NamespaceOf(Endpoint endpoint) {
  return kModels[endpoint].name_space;
}

double PersonaWorkload::StatedMissRatio(Endpoint endpoint) { return kModels[endpoint].miss_ratio; }

std::string PersonaWorkload::KeyOf(Endpoint endpoint, size_t rank) {
  switch (endpoint) {
    case kProcess:
      return Combination(rank);
    case kRecommend:
      return absl::StrCat("scenario", rank % 12, ":", absl::Hex(Hash64(absl::StrCat(rank))));
    case kBulk:
      return absl::StrCat("batch:", rank);
    default:
      return absl::StrCat("persona:", rank);
  }
}

std::vector<std::string> PersonaWorkload::TopCombinations(size_t count) const {
  std::vector<std::string> keys;
  for (size_t rank = 0; rank < std::min(count, cumulative_[kProcess].size()); ++rank) {
    keys.push_back(KeyOf(kProcess, rank));
  }
  return keys;
}

size_t PersonaWorkload::DrawRank(Endpoint endpoint) {
  const std::vector<double>& cumulative = cumulative_[endpoint];
  const double draw = std::uniform_real_distribution<double>(0, 1)(rng_);
  const auto found = std::lower_bound(cumulative.begin(), cumulative.end(), draw);
  return std::min<size_t>(std::distance(cumulative.begin(), found), cumulative.size() - 1);
}

PersonaWorkload::Request PersonaWorkload::Next() {
  now_ += absl::Seconds(std::exponential_distribution<double>(options_.requests_per_second)(rng_));
  double draw = std::uniform_real_distribution<double>(0, 1)(rng_);
  int endpoint = 0;
  while (endpoint + 1 < kEndpoints && draw >= kModels[endpoint].share) {
    draw -= kModels[endpoint++].share;
  }
  Request request;
  request.at = now_;
  request.endpoint = static_cast<Endpoint>(endpoint);
  request.name_space = kModels[endpoint].name_space;
  const size_t rank = DrawRank(request.endpoint);
  if (request.endpoint != kBulk || !options_.bulk_by_item) {
    request.keys.push_back(KeyOf(request.endpoint, rank));
    return request;
  }
  // The items of a batch are always the same ones.
  std::mt19937_64 items(rank * 2654435761u + 17);
  for (int i = 0; i < options_.items_per_batch; ++i) {
    request.keys.push_back(
        absl::StrCat("item:", items() % static_cast<uint64_t>(options_.item_pool)));
  }
  return request;
}

}  // namespace meridian
