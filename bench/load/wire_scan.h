// CheckEntries looks at a GetResponse, BatchGetResponse or BatchSetResponse without building
// messages: all hold their entries or results in field 2 and the status of each in its field 1, and
// that is all a load generator must know.

#ifndef MERIDIAN_BENCH_LOAD_WIRE_SCAN_H_
#define MERIDIAN_BENCH_LOAD_WIRE_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace meridian {

struct EntryCounts {
  bool well_formed = false;
  size_t hits = 0;        // ENTRY_STATUS_OK, and the value, where one is expected, of its size.
  size_t misses = 0;      // ENTRY_STATUS_MISS.
  size_t wrong_size = 0;  // ENTRY_STATUS_OK with another size.
  size_t elsewhere = 0;   // Of `hits`: those that another tier answered than the one expected.
  size_t errors = 0;      // Any other status.
};

// `value_size`: nullopt: results of writes. `source`: the tier that is to answer, a number of
// meridian.cache.v1.Source; nullopt: any.
EntryCounts CheckEntries(std::string_view response, std::optional<size_t> value_size,
                         std::optional<uint64_t> source = std::nullopt);

}  // namespace meridian

#endif  // MERIDIAN_BENCH_LOAD_WIRE_SCAN_H_
