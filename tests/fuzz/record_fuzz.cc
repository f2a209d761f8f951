// Bytes from L2 or from another region are either refused or are exactly what AppendRecord writes.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/base/hash.h"
#include "server/node/record.h"

namespace {

constexpr size_t kChecksumOffset = 38;
constexpr size_t kCheckedFrom = 42;

void Check(std::string_view bytes) {
  const absl::StatusOr<meridian::Record> record = meridian::ParseRecord(bytes);
  if (!record.ok()) {
    if (record.status().code() != absl::StatusCode::kDataLoss) std::abort();
    return;
  }
  std::string again;
  meridian::AppendRecord(*record, &again);
  if (again != bytes) std::abort();
  const auto tags = meridian::DecodeTags(record->tags);
  if (tags && meridian::EncodeTags(*tags) != record->tags) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  Check(bytes);
  if (bytes.size() > kCheckedFrom) {
    // With the right checksum, so that what stands behind it is reached too.
    const uint64_t hash = meridian::Hash64(std::string_view(bytes).substr(kCheckedFrom));
    for (size_t i = 0; i < 4; ++i) bytes[kChecksumOffset + i] = static_cast<char>(hash >> (8 * i));
    Check(bytes);
  }
  return 0;
}
