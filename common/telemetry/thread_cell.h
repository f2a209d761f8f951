// ThreadCell spreads threads over kThreadCells cells, so that threads that count the same thing
// seldom write the same cache line.
//
// Cost: about 1 ns. Thread safety: may be called by any thread; a thread's cell never changes.

#ifndef MERIDIAN_COMMON_TELEMETRY_THREAD_CELL_H_
#define MERIDIAN_COMMON_TELEMETRY_THREAD_CELL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace meridian {

inline constexpr size_t kThreadCells = 8;  // A power of two.
inline constexpr size_t kCacheLine = 64;

namespace internal {
inline constinit std::atomic<uint32_t> next_thread_cell{0};
inline constinit thread_local uint32_t thread_cell = UINT32_MAX;  // Not given yet.
}  // namespace internal

inline size_t ThreadCell() {
  uint32_t& cell = internal::thread_cell;
  if (cell == UINT32_MAX) [[unlikely]] {
    cell = internal::next_thread_cell.fetch_add(1, std::memory_order_relaxed) % kThreadCells;
  }
  return cell;
}

}  // namespace meridian

#endif  // MERIDIAN_COMMON_TELEMETRY_THREAD_CELL_H_
