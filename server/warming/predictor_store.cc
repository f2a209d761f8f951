// How a Predictor learns again what a PredictorWriter wrote.

#include <cstdlib>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/base/strings.h"
#include "server/warming/predictor.h"

namespace meridian {
namespace {

uint64_t ReadHash(absl::string_view text) {
  return std::strtoull(std::string(text).c_str(), nullptr, 16);
}

bool ReadCount(absl::string_view text, float* count) {
  return absl::SimpleAtof(text, count) && *count >= 0 && *count < 1e9F;
}

}  // namespace

void Predictor::Restore(std::string_view lines, absl::Duration now) {
  for (const absl::string_view line : absl::StrSplit(ToAbsl(lines), '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, '\t');
    float looks = 0;
    if (fields.size() < 3 || (fields.size() - 3) % 4 != 0 || !ReadCount(fields[2], &looks)) {
      continue;
    }
    HeavySuccessors together;
    HeavySuccessors next;
    size_t togethers = 0;
    size_t nexts = 0;
    for (size_t i = 3; i + 3 < fields.size(); i += 4) {
      HeavySuccessors::Place place;
      place.key = ReadHash(fields[i + 1]);
      if (place.key == 0 || !ReadCount(fields[i + 2], &place.count) ||
          !ReadCount(fields[i + 3], &place.error) || place.error > place.count) {
        continue;
      }
      if (fields[i] == "t" && togethers < HeavySuccessors::kPlaces) {
        together.Set(togethers++, place);
      } else if (fields[i] == "n" && nexts < HeavySuccessors::kPlaces) {
        next.Set(nexts++, place);
      }
    }
    std::string key;
    if (fields[0].empty()) {
      const Hash pair = ReadHash(fields[1]);
      if (pair != 0) pairs_.Get(pair, now) = {looks, now, next};
    } else if (absl::Base64Unescape(fields[1], &key) && !key.empty()) {
      const std::string name_space(fields[0]);
      keys_.Get(HashOf(name_space, key), now) = {name_space, key, looks, now, together, next};
    }
  }
}

}  // namespace meridian
