#include "bench/workloads/json_value.h"

#include <cmath>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"

namespace meridian {
namespace {

constexpr double kSigma = 1.2;

const std::vector<std::string>& Vocabulary() {
  static const auto& words = *[] {
    auto* made = new std::vector<std::string>();
    std::mt19937_64 rng(1);
    for (int i = 0; i < 2000; ++i) {
      std::string word;
      const size_t letters = 3 + rng() % 8;
      while (word.size() < letters) {
        word += "bcdfglmnprstv"[rng() % 13];
        word += "aeiou"[rng() % 5];
      }
      made->push_back(std::move(word));
    }
    return made;
  }();
  return words;
}

}  // namespace

std::string JsonValue(std::string_view key, double mean_bytes) {
  std::mt19937_64 rng(Hash64(key));
  std::lognormal_distribution<double> sizes(std::log(mean_bytes) - kSigma * kSigma / 2, kSigma);
  const double size = std::min(std::max(sizes(rng), 24.0), 256.0 * 1024);
  std::string text = absl::StrCat("{\"id\":", rng() % 1000000);
  const std::vector<std::string>& words = Vocabulary();
  for (int field = 0; static_cast<double>(text.size()) + 2 < size; ++field) {
    absl::StrAppend(&text, ",\"", words[static_cast<size_t>(field) % 40], "\":");
    if (rng() % 3 == 0) {
      absl::StrAppend(&text, static_cast<double>(rng() % 100000) / 1000);
      continue;
    }
    absl::StrAppend(&text, "\"", words[rng() % words.size()]);
    for (uint64_t more = rng() % 8; more > 0; --more) {
      absl::StrAppend(&text, " ", words[rng() % words.size()]);
    }
    text += '"';
  }
  text += '}';
  return text;
}

}  // namespace meridian
