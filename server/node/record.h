// A record is what the regional Redis holds under an entry key: one value or one tombstone, with
// everything that another region needs to apply it. Replication moves records as they are.
//
// Layout (docs/wire.md repeats it; frozen, golden test RecordTest.GoldenBytes):
//   [0,20)   version, lower-case hex (Version::ToText): the apply script compares it as text
//   [20,32)  expires_at, 12 lower-case hex digits of milliseconds since the Unix epoch
//   [32]     kind: 'V' value, 'U' value that is older for fences than its version (it was touched,
//            or depends on others), 'T' tombstone, 'N' the origin has no such key
//   [33]     encoding: '1' identity, '2' zlib
//   [34,38)  raw_size, little endian
//   [38,42)  checksum, little endian: the low 32 bits of XXH3 over everything from byte 42 on
//   [42,44)  size of the tag section, little endian
//   then the tags (EncodeTags), then the stored bytes of the value
//   then, with kind 'U', 16 lower-case hex digits: the clock that fences are compared with
// The checksum covers neither the header nor what a Touch appends: a script changes and adds them.

#ifndef MERIDIAN_SERVER_NODE_RECORD_H_
#define MERIDIAN_SERVER_NODE_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/version.h"
#include "common/engine/entry.h"
#include "common/engine/tag_list.h"

namespace meridian {

enum class RecordKind : char { kValue = 'V', kTombstone = 'T', kAbsent = 'N' };

// A parsed or to-be-written record. Views point into the caller's bytes.
struct Record {
  Version version;
  uint64_t written = 0;  // As Entry::written.
  uint64_t written_hlc() const { return written != 0 ? written : version.hlc; }
  absl::Time expires_at;
  RecordKind kind = RecordKind::kValue;
  Encoding encoding = Encoding::kIdentity;
  uint32_t raw_size = 0;
  std::string_view tags;   // Encoded.
  std::string_view value;  // Stored bytes.
};

inline constexpr size_t kRecordHeaderSize = 44;
inline constexpr size_t kWrittenDigits = 16;  // Of what a Touch appends.

// How long the regional store keeps a value after its TTL: for max_stale, and so that an older
// write that arrives late from another region meets the newer version and not a hole.
inline constexpr absl::Duration kExpiryGrace = absl::Seconds(10);

// Appends the record's bytes to `out`.
void AppendRecord(const Record& record, std::string* out);

// Parses `bytes`, which the result points into.
// Returns kDataLoss naming what is wrong for anything that AppendRecord does not write, a wrong
// checksum included. Cost: one pass over the bytes; never allocates but for an error.
absl::StatusOr<Record> ParseRecord(std::string_view bytes);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_RECORD_H_
