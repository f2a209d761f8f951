// OneIn: sampling for hot paths. By chance: who takes turns never sees what has the same place in
// batches of a fixed size.

#ifndef MERIDIAN_COMMON_BASE_CHANCE_H_
#define MERIDIAN_COMMON_BASE_CHANCE_H_

#include <cstdint>

namespace meridian {

// True in one of `n` calls of a thread, on average; n in 1..65536. Some nanoseconds. Not for
// secrets: a linear congruential generator, the same in every run.
inline bool OneIn(uint32_t n) {
  thread_local uint32_t state = 0;
  state = state * 1664525 + 1013904223;
  return (state >> 16) % n == 0;
}

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_CHANCE_H_
