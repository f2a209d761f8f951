// Trace is recorded traffic, read from gzip text: one request a line,
// `time_s,key,value_size,ttl_s,op`.
//
// key is any 64-bit number; value_size 0 is unknown and counts as 1; ttl_s 0 is none; op is g (get)
// or s (set), and every line is a reference: on a miss the value is stored.

#ifndef MERIDIAN_BENCH_SIM_TRACE_H_
#define MERIDIAN_BENCH_SIM_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace meridian::sim {

struct Request {
  uint64_t key = 0;
  int64_t time_ns = 0;
  int64_t ttl_ns = 0;  // 0: none.
  uint32_t size = 1;
  uint64_t caller = 1;
};

struct Trace {
  std::string name;  // The file's name up to the first dot.
  std::vector<Request> requests;
  size_t unique_keys = 0;
  uint64_t footprint_bytes = 0;  // The sum of each key's largest size.
  bool has_sizes = false;
  // What rules want warmed when a key was asked for. Files have none, and one caller.
  std::unordered_map<uint64_t, std::vector<uint64_t>> related;
};

// A trace without times (0 on every line) gets a clock that ticks once a request. Returns what is
// wrong with the file, with its name and line.
absl::StatusOr<Trace> ReadTrace(const std::string& file,
                                absl::Duration tick = absl::Milliseconds(1));

// For traffic that was made, not read: counts keys and bytes of `requests`.
Trace MakeTrace(std::string name, std::vector<Request> requests);

}  // namespace meridian::sim

#endif  // MERIDIAN_BENCH_SIM_TRACE_H_
