#include "server/l2/apply_batch.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "server/l2/resp_writer.h"
#include "server/node/record.h"

namespace meridian {
namespace {

constexpr size_t kHeaderPrefixSize = 32;  // Version and expiry: what Touch rewrites.
constexpr size_t kArgumentsPerWrite = 4;
constexpr absl::Duration kForever = absl::Hours(24 * 365 * 100);

// The version and expiry at the start of a record, as AppendRecord writes them.
std::string HeaderPrefix(Version version, absl::Time expires_at) {
  Record record;
  record.version = version;
  record.expires_at = expires_at;
  std::string bytes;
  AppendRecord(record, &bytes);
  bytes.resize(kHeaderPrefixSize);
  return bytes;
}

std::string MetaOf(const L2Write& write) {
  std::string meta(1, write.kind == L2WriteKind::kTouch ? 'T' : write.logged ? 'P' : 'Q');
  switch (write.condition) {
    case L2Condition::kNone:
      meta += 'n';
      break;
    case L2Condition::kIfAbsent:
      meta += 'a';
      break;
    case L2Condition::kIfVersion:
      meta += 'v';
      meta += write.expected_version.ToText();
      break;
  }
  if (write.fenced_hlc != 0) {
    absl::StrAppend(&meta, "|", absl::Hex(write.fenced_hlc, absl::kZeroPad16));
  }
  return meta;
}

bool IsTombstone(const L2Write& write) {
  return write.kind == L2WriteKind::kPut && write.record.size() >= kRecordHeaderSize &&
         write.record[kHeaderPrefixSize] == 'T';
}

int64_t RetentionMs(const L2Write& write) {
  if (IsTombstone(write) && !write.evictable && write.retention > kEvictableRetention) return 0;
  const absl::Duration retention = write.retention;
  // Records that never expire say so by the last time that they can name.
  if (retention > kForever) return 0;
  // Redis wants at least one and adds the time of day without overflow.
  return std::clamp<int64_t>(absl::ToInt64Milliseconds(retention), 1, int64_t{1} << 52);
}

bool ParseUint(std::string_view text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

L2WriteResult Malformed(std::string_view result) {
  L2WriteResult answer;
  answer.status =
      absl::InternalError(absl::StrCat("the apply script answered '", QuoteKey(result), "'"));
  return answer;
}

}  // namespace

std::string EntryRedisKey(const L2Key& key) {
  return absl::StrCat("m:{", key.slot, "}:e:", key.name_space, ":", key.key);
}

std::optional<L2Key> ParseEntryRedisKey(std::string_view text) {
  constexpr std::string_view kBegin = "m:{";
  constexpr std::string_view kMiddle = "}:e:";
  if (text.substr(0, kBegin.size()) != kBegin) return std::nullopt;
  text.remove_prefix(kBegin.size());
  const size_t middle = text.find(kMiddle);
  if (middle == std::string_view::npos) return std::nullopt;
  L2Key key;
  if (!absl::SimpleAtoi(ToAbsl(text.substr(0, middle)), &key.slot)) return std::nullopt;
  text.remove_prefix(middle + kMiddle.size());
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  key.name_space = text.substr(0, colon);
  key.key = text.substr(colon + 1);
  return key;
}

std::string LogRedisKey(uint32_t slot) { return absl::StrCat("m:{", slot, "}:log"); }

std::string FencesRedisKey(uint32_t slot) { return absl::StrCat("m:{", slot, "}:fences"); }

std::string CursorRedisKey(uint32_t slot, std::string_view source_region) {
  return absl::StrCat("m:{", slot, "}:cur:", ToAbsl(source_region));
}

std::string PositionText(LogPosition position) {
  return absl::StrCat(position.ms, "-", position.sequence);
}

std::optional<LogPosition> ParsePosition(std::string_view text) {
  const size_t dash = text.find('-');
  LogPosition position;
  if (dash == std::string_view::npos || !ParseUint(text.substr(0, dash), &position.ms) ||
      !ParseUint(text.substr(dash + 1), &position.sequence)) {
    return std::nullopt;
  }
  return position;
}

std::optional<LogEntry> ParseLogField(LogPosition position, std::string_view field) {
  if (field.size() < Version::kTextSize) return std::nullopt;
  const std::optional<Version> version = Version::FromText(field.substr(0, Version::kTextSize));
  const size_t colon = field.find(':', Version::kTextSize);
  if (!version || colon == std::string_view::npos) return std::nullopt;
  LogEntry entry;
  entry.position = position;
  entry.version = *version;
  entry.name_space = field.substr(Version::kTextSize, colon - Version::kTextSize);
  entry.key = field.substr(colon + 1);
  return entry;
}

RedisCommand PackWrites(std::string_view name, const std::vector<L2Write>& writes,
                        const std::vector<size_t>& indices, absl::Time now, uint64_t max_log_length,
                        const CursorMove* cursor, std::string_view count_key) {
  std::map<uint32_t, size_t> log_of_slot;  // Slot -> index in KEYS.
  size_t bytes_needed = 256;
  for (const size_t i : indices) {
    log_of_slot.emplace(writes[i].key.slot, 0);
    bytes_needed += 128 + writes[i].key.key.size() + writes[i].record.size();
  }
  const size_t n = indices.size();
  const size_t keys =
      n + log_of_slot.size() + (cursor == nullptr ? 0 : 1) + (count_key.empty() ? 0 : 1);

  std::string bytes;
  bytes.reserve(bytes_needed);
  RespWriter writer(&bytes);
  writer.AddNumber(static_cast<int64_t>(keys));
  for (const size_t i : indices) writer.Add(EntryRedisKey(writes[i].key));
  size_t next_key = n;
  for (auto& [slot, index] : log_of_slot) {
    index = ++next_key;
    writer.Add(LogRedisKey(slot));
  }
  if (cursor != nullptr) writer.Add(cursor->key);
  if (!count_key.empty()) writer.Add(count_key);

  writer.Add(HeaderPrefix(Version(), now).substr(Version::kTextSize));
  writer.AddNumber(static_cast<int64_t>(max_log_length));
  writer.AddNumber(static_cast<int64_t>(n));
  writer.Add(cursor == nullptr ? std::string() : PositionText(cursor->position));
  for (const size_t i : indices) {
    const L2Write& write = writes[i];
    writer.Add(MetaOf(write));
    writer.AddNumber(static_cast<int64_t>(log_of_slot[write.key.slot]));
    writer.AddNumber(RetentionMs(write));
    if (write.kind == L2WriteKind::kTouch) {
      writer.Add(HeaderPrefix(write.version, write.expires_at));
    } else {
      writer.Add(write.record);
    }
  }
  return RedisCommand::Call(name, kApplyScript, 1 + keys + 4 + kArgumentsPerWrite * n,
                            std::move(bytes));
}

L2WriteResult UnpackResult(const Reply& reply, const L2Write& write) {
  const std::string_view text = reply.text();
  if (!reply.is_string() || text.empty()) return Malformed(text);
  const std::string_view rest = text.substr(1);
  L2WriteResult result;
  switch (text[0]) {
    case 'O':
      result.outcome = L2WriteOutcome::kApplied;
      result.stored = write.version;
      return result;
    case 'A':
      result.outcome = L2WriteOutcome::kAbsent;
      return result;
    case 'E':
      result.status = StatusOfError(rest);
      return result;
    case 'S':
    case 'C': {
      result.outcome = text[0] == 'S' ? L2WriteOutcome::kStale : L2WriteOutcome::kConflict;
      if (text[0] == 'C' && rest.empty()) return result;
      const std::optional<Version> stored = Version::FromText(rest);
      if (!stored) return Malformed(text);
      result.stored = *stored;
      return result;
    }
    default:
      return Malformed(text);
  }
}

}  // namespace meridian
