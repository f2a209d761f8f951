// Counter counts events; it only grows.
//
// Cost: Add is one relaxed atomic add to the thread's own cache line, about 5 ns; 512 bytes.
// Thread safety: all methods may be called concurrently. value() includes every Add that
//   happened before it.

#ifndef MERIDIAN_COMMON_TELEMETRY_COUNTER_H_
#define MERIDIAN_COMMON_TELEMETRY_COUNTER_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "common/telemetry/thread_cell.h"

namespace meridian {

class Counter {
 public:
  Counter() = default;
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  void Add(uint64_t count = 1) {
    cells_[ThreadCell()].count.fetch_add(count, std::memory_order_relaxed);
  }

  uint64_t value() const {
    uint64_t sum = 0;
    for (const Cell& cell : cells_) sum += cell.count.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  struct alignas(kCacheLine) Cell {
    std::atomic<uint64_t> count{0};
  };
  std::array<Cell, kThreadCells> cells_;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_TELEMETRY_COUNTER_H_
