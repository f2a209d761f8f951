// The limits of keys, values, batches, tags and TTLs, and their errors: refused before anything
// runs.

#ifndef MERIDIAN_SERVER_NODE_LIMITS_H_
#define MERIDIAN_SERVER_NODE_LIMITS_H_

#include <algorithm>
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

// It, and what is under it, as fences are.
inline bool IsInternalNamespace(std::string_view name_space) {
  const std::string_view rest =
      name_space.substr(std::min(name_space.size(), kInternalNamespace.size()));
  return name_space.substr(0, kInternalNamespace.size()) == kInternalNamespace &&
         (rest.empty() || rest.front() == '.');
}

namespace limits {

inline constexpr size_t kMaxNamespaceBytes = 64;
inline constexpr size_t kMaxKeyBytes = 1024;
inline constexpr size_t kMaxValueBytes = size_t{8} << 20;
inline constexpr size_t kMaxBatchEntries = 1000;
inline constexpr size_t kMaxBatchBytes = size_t{32} << 20;
inline constexpr int kMaxTags = 32;
inline constexpr size_t kMaxTagBytes = 256;
inline constexpr int kMaxDependencies = 32;
inline constexpr size_t kMaxRequestIdBytes = 64;
inline constexpr size_t kMaxStateHintBytes = 64;
inline constexpr size_t kMaxSessionBytes = 64;
inline constexpr uint32_t kMaxHotKeys = 1000;    // Of an answer.
inline constexpr uint32_t kDefaultHotKeys = 50;  // Of one that was not told.
inline constexpr uint64_t kMaxTtlMs = 365ull * 24 * 3600 * 1000;

// Each returns the error, or nullopt when all is well. `field` names the place in the request.
std::optional<Error> CheckNamespace(std::string_view name_space);
// Of a call that writes.
std::optional<Error> CheckWritableNamespace(std::string_view name_space);
// Of what is asked for besides keys: `options.warm_source`.
std::optional<Error> CheckOptions(const cache::v1::ReadOptions& options);
std::optional<Error> CheckKey(std::string_view key, std::string_view field);
// Of an invalidation by tag or by prefix.
std::optional<Error> CheckTag(std::string_view tag, std::string_view field);
std::optional<Error> CheckPrefix(std::string_view prefix, std::string_view field);
std::optional<Error> CheckTtl(uint64_t ttl_ms, std::string_view field);
std::optional<Error> CheckBatch(size_t entries, size_t bytes, std::string_view field);
std::optional<Error> CheckHeader(const cache::v1::RequestHeader& header);
// Of an entry that is written, or that an origin gave.
std::optional<Error> CheckDependency(std::string_view dependency, std::string_view field);
// All of one entry, of which `key` is the form that is cached.
std::optional<Error> CheckSetEntry(const cache::v1::SetEntry& entry, std::string_view key,
                                   std::string_view field);

// A lease must have been given for this key; empty: none. Whether it still holds is judged later.
std::optional<Error> CheckLease(const cache::v1::SetEntry& entry, std::string_view name_space,
                                std::string_view key, absl::Time now, std::string_view field);

}  // namespace limits
}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_LIMITS_H_
