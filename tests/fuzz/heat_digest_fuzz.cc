// Bytes of Redis that shall be a slot's hot keys are either refused or are exactly what a digest of
// those keys is.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/hash.h"
#include "server/refill/heat_digest.h"

namespace {

using meridian::HeatDigest;

void Check(std::string_view bytes, uint32_t slot) {
  const std::optional<HeatDigest> digest = HeatDigest::Parse(bytes, slot);
  if (!digest) return;
  std::vector<meridian::HeatKey> keys;
  for (size_t place = HeatDigest::First(); place != digest->End(); place = digest->Next(place)) {
    const HeatDigest::Item item = digest->At(place);
    if (meridian::SlotOf(item.name_space, item.key) != slot) std::abort();
    keys.push_back({std::string(item.name_space), std::string(item.key), item.weight});
  }
  if (keys.size() != digest->size() || keys.size() > HeatDigest::kMaxKeys) std::abort();
  const HeatDigest again = HeatDigest::Of(std::move(keys));
  if (again.bytes() != bytes || again.weight() != digest->weight()) std::abort();
  if (HeatDigest::Overlap(*digest, again) != 1) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  // The slot of the seeds, and that of the first key, so that what stands behind it is reached.
  Check(bytes, meridian::SlotOf("task", "{s}"));
  if (size > 5) {
    const size_t name = std::min<size_t>(data[2], size - 5);
    const size_t key = std::min<size_t>(data[3] | size_t{data[4]} << 8, size - 5 - name);
    Check(bytes, meridian::SlotOf(bytes.substr(5, name), bytes.substr(5 + name, key)));
  }
  return 0;
}
