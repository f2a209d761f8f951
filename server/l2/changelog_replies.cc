#include "server/l2/changelog_replies.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/l2/apply_batch.h"

namespace meridian {
namespace {

// One stream of XREAD's answer: [key, [[id, [field, value]], ...]].
absl::Status TakeStream(const Reply& stream, LogSlice* slice) {
  if (!stream.is_array() || stream.elements.size() != 2 || !stream.elements[1].is_array()) {
    return UnexpectedReply("XREAD");
  }
  for (const Reply& item : stream.elements[1].elements) {
    if (item.elements.size() != 2) return UnexpectedReply("XREAD");
    const std::optional<LogPosition> position = ParsePosition(item.elements[0].text());
    if (!position) return UnexpectedReply("XREAD");
    const Reply& fields = item.elements[1];
    std::optional<LogEntry> entry;
    if (fields.elements.size() == 2) entry = ParseLogField(*position, fields.elements[1].text());
    if (entry) entry->removal = fields.elements[0].text() == kRemovalField;
    // A foreign entry has no version and no key: readers pass over it, and are not stopped by it.
    if (!entry) entry = LogEntry{*position, Version(), "", ""};
    slice->entries.push_back(*std::move(entry));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status UnexpectedReply(std::string_view command) {
  return absl::InternalError(
      absl::StrCat("Redis answered ", std::string(command), " with something unexpected"));
}

absl::Status TakeStreams(const Reply& reply, const std::vector<LogRead>& reads, size_t begin,
                         size_t end, std::vector<LogSlice>* slices) {
  size_t next = begin;
  for (const Reply& stream : reply.elements) {
    if (stream.elements.empty()) return UnexpectedReply("XREAD");
    while (next < end && LogRedisKey(reads[next].slot) != stream.elements[0].text()) ++next;
    if (next == end) return UnexpectedReply("XREAD");
    LogSlice slice{reads[next++].slot, {}};
    RETURN_IF_ERROR(TakeStream(stream, &slice));
    if (!slice.entries.empty()) slices->push_back(std::move(slice));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<LogPosition>> TakePositions(const RedisReplies& replies, size_t count) {
  std::vector<LogPosition> positions;
  for (const auto& reply : replies) {
    RETURN_IF_ERROR(reply.status());
    for (const Reply& element : reply->elements) {
      if (element.text().empty()) {
        positions.emplace_back();
        continue;
      }
      const std::optional<LogPosition> position = ParsePosition(element.text());
      if (!position) return absl::DataLossError("a changelog position in Redis is malformed");
      positions.push_back(*position);
    }
  }
  if (positions.size() != count) return UnexpectedReply("a query for positions");
  return positions;
}

absl::StatusOr<std::vector<LogEntry>> TakeFences(const Reply& reply) {
  if (!reply.is_array() || reply.elements.size() % 2 != 0) return UnexpectedReply("HGETALL");
  std::vector<LogEntry> fences;
  for (size_t i = 0; i < reply.elements.size(); i += 2) {
    const std::string_view version = reply.elements[i + 1].text();
    std::optional<LogEntry> fence = ParseLogField(
        LogPosition(), absl::StrCat(ToAbsl(version), ToAbsl(reply.elements[i].text())));
    if (!fence || version.size() != Version::kTextSize) {
      return absl::DataLossError("a fence in Redis is malformed");
    }
    fences.push_back(*std::move(fence));
  }
  return fences;
}

absl::StatusOr<std::vector<uint64_t>> TakeNumbers(const RedisReplies& replies, size_t count) {
  std::vector<uint64_t> numbers;
  for (const auto& reply : replies) {
    RETURN_IF_ERROR(reply.status());
    for (const Reply& element : reply->elements) {
      if (element.type != Reply::Type::kInteger || element.integer < 0) {
        return UnexpectedReply("a question for sizes");
      }
      numbers.push_back(static_cast<uint64_t>(element.integer));
    }
  }
  if (numbers.size() != count) return UnexpectedReply("a question for sizes");
  return numbers;
}

}  // namespace meridian
