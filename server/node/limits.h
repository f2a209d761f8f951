// The limits of keys, values, batches, tags and TTLs, and their errors: refused before anything
// runs.

#ifndef MERIDIAN_SERVER_NODE_LIMITS_H_
#define MERIDIAN_SERVER_NODE_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "common/rpc/error.h"
#include "meridian/cache/v1/cache_service.pb.h"

namespace meridian {

// Of entries that Meridian itself writes (heartbeats, orders to stop replication): nobody else may.
inline constexpr std::string_view kInternalNamespace = "_meridian";

namespace limits {

inline constexpr size_t kMaxNamespaceBytes = 64;
inline constexpr size_t kMaxKeyBytes = 1024;
inline constexpr size_t kMaxValueBytes = size_t{8} << 20;
inline constexpr size_t kMaxBatchEntries = 1000;
inline constexpr size_t kMaxBatchBytes = size_t{32} << 20;
inline constexpr int kMaxTags = 32;
inline constexpr size_t kMaxTagBytes = 256;
inline constexpr size_t kMaxRequestIdBytes = 64;
inline constexpr size_t kMaxStateHintBytes = 64;
inline constexpr uint64_t kMaxTtlMs = 365ull * 24 * 3600 * 1000;

// Each returns the error, or nullopt when all is well. `field` names the place in the request.
std::optional<Error> CheckNamespace(std::string_view name_space);
// Of a call that writes.
std::optional<Error> CheckWritableNamespace(std::string_view name_space);
std::optional<Error> CheckKey(std::string_view key, std::string_view field);
// Of an invalidation by tag or by prefix.
std::optional<Error> CheckTag(std::string_view tag, std::string_view field);
std::optional<Error> CheckPrefix(std::string_view prefix, std::string_view field);
std::optional<Error> CheckTtl(uint64_t ttl_ms, std::string_view field);
std::optional<Error> CheckBatch(size_t entries, size_t bytes, std::string_view field);
std::optional<Error> CheckHeader(const cache::v1::RequestHeader& header);
// What is not built yet gives UNIMPLEMENTED.
std::optional<Error> CheckReadOptions(const cache::v1::ReadOptions& options);
// All of one entry, of which `key` is the form that is cached; fields that are not built yet give
// UNIMPLEMENTED.
std::optional<Error> CheckSetEntry(const cache::v1::SetEntry& entry, std::string_view key,
                                   std::string_view field);

}  // namespace limits
}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_LIMITS_H_
