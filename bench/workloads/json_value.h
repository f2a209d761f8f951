// JsonValue writes what a service would cache under a key: JSON text, the same for a key each time.

#ifndef MERIDIAN_BENCH_WORKLOADS_JSON_VALUE_H_
#define MERIDIAN_BENCH_WORKLOADS_JSON_VALUE_H_

#include <string>
#include <string_view>

namespace meridian {

// Sizes are log-normal over the keys with this mean and a median of about half of it. The words
// come from a vocabulary of 2000, so that zlib finds what it finds in such documents: about 60 %.
std::string JsonValue(std::string_view key, double mean_bytes);

}  // namespace meridian

#endif  // MERIDIAN_BENCH_WORKLOADS_JSON_VALUE_H_
