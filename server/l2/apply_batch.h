// How entries are named in Redis, and how writes are packed for scripts/apply.lua. Pure functions.
//
// Keys (frozen, docs/wire.md): entry m:{<slot>}:e:<namespace>:<key>, changelog m:{<slot>}:log,
// cursor m:{<slot>}:cur:<source region>, fences of the slot m:{<slot>}:fences. A changelog entry has
// one field, whose value is the version's text followed by <namespace>:<key>. Its name is "c", or "d"
// for a tombstone that is not evicted.

#ifndef MERIDIAN_SERVER_L2_APPLY_BATCH_H_
#define MERIDIAN_SERVER_L2_APPLY_BATCH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/l2/redis_command.h"
#include "server/l2/reply.h"
#include "server/node/l2_store.h"

namespace meridian {

inline constexpr char kRemovalField[] = "d";

std::string EntryRedisKey(const L2Key& key);
// nullopt for what EntryRedisKey does not make.
std::optional<L2Key> ParseEntryRedisKey(std::string_view text);
std::string LogRedisKey(uint32_t slot);
std::string FencesRedisKey(uint32_t slot);
std::string CursorRedisKey(uint32_t slot, std::string_view source_region);

// Redis' stream ids: "<ms>-<sequence>".
std::string PositionText(LogPosition position);
std::optional<LogPosition> ParsePosition(std::string_view text);

// The value of a changelog entry's field; nullopt when nobody of ours wrote it.
std::optional<LogEntry> ParseLogField(LogPosition position, std::string_view field);

// A cursor that moves with the writes.
struct CursorMove {
  std::string key;  // CursorRedisKey.
  LogPosition position;
};

// Packs `writes`[i] for all i of `indices`. `count_key` names the number that counts changes;
// empty: nobody counts. REQUIRES: CheckWrite (l2_write_check.h) accepts them.
RedisCommand PackWrites(std::string_view name, const std::vector<L2Write>& writes,
                        const std::vector<size_t>& indices, absl::Time now, uint64_t max_log_length,
                        const CursorMove* cursor, std::string_view count_key);

// One element of the script's answer.
L2WriteResult UnpackResult(const Reply& reply, const L2Write& write);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_APPLY_BATCH_H_
