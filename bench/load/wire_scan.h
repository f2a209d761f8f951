// CheckEntries looks at a GetResponse or BatchGetResponse without building messages: both hold
// their entries in field 2, and that is all a load generator must know.

#ifndef MERIDIAN_BENCH_LOAD_WIRE_SCAN_H_
#define MERIDIAN_BENCH_LOAD_WIRE_SCAN_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace meridian {

struct EntryCounts {
  bool well_formed = false;
  size_t hits = 0;        // ENTRY_STATUS_OK with a value of the expected size.
  size_t misses = 0;      // ENTRY_STATUS_MISS.
  size_t wrong_size = 0;  // ENTRY_STATUS_OK with another size.
  size_t errors = 0;      // Any other status.
};

EntryCounts CheckEntries(std::string_view response, size_t value_size);

}  // namespace meridian

#endif  // MERIDIAN_BENCH_LOAD_WIRE_SCAN_H_
