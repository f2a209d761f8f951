// How values are stored: as they are, or compressed when the namespace's policy says so and it
// pays.
//
// The owner encodes when it writes; L1, L2, the other regions and the way between nodes carry the
// stored form; the node that talks to the client inflates, unless the client does it itself.
// Cost: see common/compression/zlib_codec.h. It runs on the calling thread, inside the call, and is
//   counted by namespace with its CPU time. Thread safety: pure but for the counters.

#ifndef MERIDIAN_SERVER_NODE_VALUE_CODEC_H_
#define MERIDIAN_SERVER_NODE_VALUE_CODEC_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/buffer.h"
#include "server/node/namespaces.h"
#include "server/node/operations.h"

namespace meridian {

// A value in its stored form.
struct StoredValue {
  std::string_view bytes;  // Of `compressed`, or the writer's own.
  Buffer compressed;       // Empty with kIdentity.
  Encoding encoding = Encoding::kIdentity;
  uint32_t raw_size = 0;

  // The bytes as a Buffer: a copy of the writer's own.
  Buffer ToBuffer() const { return compressed.empty() ? Buffer::CopyOf(bytes) : compressed; }
};

// The stored form of `value`, into which the result points.
StoredValue Encode(std::string_view value, const CompressionPolicy& policy,
                   CompressionCounters& counters);

// The most that the values of one answer may take when inflated: a request of a few bytes could ask
// a thousand times for 8 MiB.
inline constexpr size_t kMaxInflatedBytes = size_t{32} << 20;

// Whether to inflate `results` takes longer than a thread that others wait for has.
bool TakesLongToInflate(const std::vector<ReadResult>& results);

// Makes every value of `results` what its writer gave. A value that cannot be inflated becomes an
// error of its entry: CORRUPT_RECORD, or ANSWER_TOO_LARGE when those before it took
// kMaxInflatedBytes. With `omit_values` nothing is inflated, because nobody will see it.
void InflateValues(bool omit_values, CompressionCounters& counters,
                   std::vector<ReadResult>* results);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_VALUE_CODEC_H_
