// What a Predictor has learnt, as text: a line a key, tab-separated, with hashes and base64, so
// that it is small and whatever bytes keys have do no harm.
//
//   namespace <tab> key <tab> looks { <tab> t|n <tab> hash <tab> count <tab> error }

#include <algorithm>
#include <cstdlib>
#include <tuple>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/base/strings.h"
#include "server/warming/predictor.h"

namespace meridian {
namespace {

constexpr double kWorthKeeping = 1;  // Looks.

void AppendPlaces(const char* kind, const HeavySuccessors& successors, std::string* line) {
  for (const HeavySuccessors::Place& place : successors.places()) {
    if (place.key == 0 || place.sure() <= 0) continue;
    absl::StrAppendFormat(line, "\t%s\t%016x\t%.3g\t%.3g", kind, place.key, place.count,
                          place.error);
  }
}

bool ReadCount(absl::string_view text, float* count) {
  return absl::SimpleAtof(text, count) && *count >= 0 && *count < 1e9F;
}

}  // namespace

std::string Predictor::ToText(size_t max_bytes, absl::Duration now) const {
  std::vector<OfKey> known;
  for (const Hash hash : keys_.keys()) {
    OfKey of = *keys_.Find(hash);
    Age(&of, now);
    if (!of.key.empty() && of.looks >= kWorthKeeping) known.push_back(std::move(of));
  }
  std::sort(known.begin(), known.end(), [](const OfKey& a, const OfKey& b) {
    return std::tie(b.looks, a.name_space, a.key) < std::tie(a.looks, b.name_space, b.key);
  });
  std::string text;
  for (const OfKey& of : known) {
    std::string line =
        absl::StrFormat("%s\t%s\t%.4g", of.name_space, absl::Base64Escape(of.key), of.looks);
    AppendPlaces("t", of.together, &line);
    AppendPlaces("n", of.next, &line);
    if (text.size() + line.size() + 1 > max_bytes) break;
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

void Predictor::Restore(std::string_view text, absl::Duration now) {
  Clear();
  for (const absl::string_view line : absl::StrSplit(ToAbsl(text), '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, '\t');
    std::string key;
    float looks = 0;
    if (fields.size() < 3 || (fields.size() - 3) % 4 != 0 || fields[0].empty() ||
        !absl::Base64Unescape(fields[1], &key) || key.empty() || !ReadCount(fields[2], &looks)) {
      continue;
    }
    const std::string name_space(fields[0]);
    OfKey& of = keys_.Get(HashOf(name_space, key), now);
    of = {name_space, key, looks, now, {}, {}};
    size_t together = 0;
    size_t next = 0;
    for (size_t i = 3; i + 3 < fields.size(); i += 4) {
      HeavySuccessors::Place place;
      const std::string hash(fields[i + 1]);
      place.key = std::strtoull(hash.c_str(), nullptr, 16);
      if (place.key == 0 || !ReadCount(fields[i + 2], &place.count) ||
          !ReadCount(fields[i + 3], &place.error) || place.error > place.count) {
        continue;
      }
      if (fields[i] == "t" && together < HeavySuccessors::kPlaces) {
        of.together.Set(together++, place);
      } else if (fields[i] == "n" && next < HeavySuccessors::kPlaces) {
        of.next.Set(next++, place);
      }
    }
  }
}

}  // namespace meridian
