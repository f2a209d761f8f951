// Bytes that claim to be zlib data of some size are refused, or are exactly that size; and whatever
// was deflated is inflated to the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "common/compression/zlib_codec.h"

namespace {

constexpr size_t kLimit = size_t{1} << 20;

void CheckForeign(std::string_view bytes, size_t raw_size) {
  const absl::StatusOr<meridian::Buffer> value = meridian::Inflate(bytes, raw_size, kLimit);
  if (!value.ok() && value.status().code() != absl::StatusCode::kDataLoss) std::abort();
  if (value.ok() && value->size() != raw_size) std::abort();
}

void CheckOwn(std::string_view value) {
  const auto deflated = meridian::Deflate(value, {.min_saving = 0, .level = 1});
  if (!deflated) return;
  const auto again = meridian::Inflate(deflated->view(), value.size(), kLimit);
  if (!again.ok() || again->view() != value) std::abort();
  CheckForeign(deflated->view(), value.size() + 1);
}

}  // namespace

// The first three bytes announce a size, the rest is the data.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const size_t raw_size = data[0] | size_t{data[1]} << 8 | size_t{data[2]} << 16;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 3, size - 3);
  CheckForeign(bytes, raw_size);
  CheckOwn(bytes);
  return 0;
}
