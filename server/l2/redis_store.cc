#include "server/l2/redis_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/l2/apply_batch.h"
#include "server/l2/resp_writer.h"

namespace meridian {
namespace {

using Lane = RedisLane;

absl::Status UnexpectedReply(std::string_view command) {
  return absl::InternalError(
      absl::StrCat("Redis answered ", std::string(command), " with something unexpected"));
}

std::vector<RedisCommand> Only(RedisCommand command) {
  std::vector<RedisCommand> commands;
  commands.push_back(std::move(command));
  return commands;
}

// `key_of`(i) for i in [begin, end) are the keys.
template <typename KeyOf>
RedisCommand MgetOf(std::string_view name, size_t begin, size_t end, KeyOf key_of) {
  std::string bytes;
  RespWriter writer(&bytes);
  writer.Begin(1 + end - begin);
  writer.Add("MGET");
  for (size_t i = begin; i < end; ++i) writer.Add(key_of(i));
  return RedisCommand::Plain(name, std::move(bytes));
}

// A script that has keys only.
template <typename KeyOf>
RedisCommand ScriptOf(std::string_view name, const Script& script, size_t begin, size_t end,
                      KeyOf key_of) {
  std::string bytes;
  RespWriter writer(&bytes);
  writer.AddNumber(static_cast<int64_t>(end - begin));
  for (size_t i = begin; i < end; ++i) writer.Add(key_of(i));
  return RedisCommand::Call(name, script, 1 + end - begin, std::move(bytes));
}

// The results of one chunk of writes.
void TakeResults(const absl::StatusOr<Reply>& reply, const std::vector<size_t>& indices,
                 const std::vector<L2Write>& writes, std::vector<L2WriteResult>* results) {
  absl::Status status = reply.status();
  if (status.ok() && (!reply->is_array() || reply->elements.size() != indices.size())) {
    status = UnexpectedReply("apply");
  }
  for (size_t i = 0; i < indices.size(); ++i) {
    L2WriteResult& result = (*results)[indices[i]];
    if (status.ok()) {
      result = UnpackResult(reply->elements[i], writes[indices[i]]);
    } else {
      result.status = status;
    }
  }
}

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
    // A foreign entry has no version and no key: readers pass over it, and are not stopped by it.
    if (!entry) entry = LogEntry{*position, Version(), "", ""};
    slice->entries.push_back(*std::move(entry));
  }
  return absl::OkStatus();
}

// XREAD's streams come in the order of the request, without those that have nothing new.
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

// The positions in the replies of several calls, "" and nil being {0, 0}.
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

}  // namespace

absl::Status RedisStoreOptions::Validate() const {
  RETURN_IF_ERROR(client.Validate());
  if (max_log_length < 1)
    return absl::InvalidArgumentError("redis: max_log_length is 0, must be at least 1");
  if (max_keys_per_call < 1 || max_keys_per_call > 4096) {
    return absl::InvalidArgumentError(
        absl::StrCat("redis: max_keys_per_call is ", max_keys_per_call, ", must be 1-4096"));
  }
  if (max_bytes_per_call < 1)
    return absl::InvalidArgumentError("redis: max_bytes_per_call is 0, must be at least 1");
  return absl::OkStatus();
}

struct RedisStore::FetchCall {
  std::vector<L2Key> keys;
  std::vector<L2Record> records;
  absl::Time deadline;
  FetchCallback callback;
};

struct RedisStore::ReplicateCall {
  std::vector<L2Write> writes;
  std::vector<std::vector<size_t>> chunks;
  size_t next_chunk = 0;
  std::vector<L2WriteResult> results;
  CursorMove cursor;
  absl::Time deadline;
  ApplyCallback callback;
};

absl::StatusOr<std::unique_ptr<RedisStore>> RedisStore::Create(EventLoop& loop,
                                                               RedisStoreOptions options,
                                                               const Clock& clock,
                                                               L2Observer* observer) {
  RETURN_IF_ERROR(options.Validate());
  ASSIGN_OR_RETURN(std::unique_ptr<RedisRoute> route,
                   OpenRoute(loop, options.client, clock, observer));
  return std::unique_ptr<RedisStore>(new RedisStore(std::move(options), clock, std::move(route)));
}

std::vector<RedisStore::Range> RedisStore::RangesOf(size_t count) const {
  std::vector<Range> ranges;
  for (size_t begin = 0; begin < count; begin += options_.max_keys_per_call) {
    ranges.push_back({begin, std::min(count, begin + options_.max_keys_per_call)});
  }
  return ranges;
}

void RedisStore::Fetch(std::vector<L2Key> keys, absl::Time deadline, FetchCallback callback) {
  auto call = std::make_shared<FetchCall>();
  call->records.resize(keys.size());
  call->keys = std::move(keys);
  call->deadline = deadline;
  call->callback = std::move(callback);
  std::vector<Range> ranges = RangesOf(call->keys.size());
  FetchRanges(std::move(call), std::move(ranges));
}

void RedisStore::FetchRanges(std::shared_ptr<FetchCall> call, std::vector<Range> ranges) {
  std::vector<RedisCommand> commands;
  for (const Range& range : ranges) {
    commands.push_back(MgetOf("mget", range.begin, range.end,
                              [&](size_t i) { return EntryRedisKey(call->keys[i]); }));
  }
  const absl::Time deadline = call->deadline;
  route_->Submit(Lane::kRead, std::move(commands), deadline,
                 [this, call = std::move(call), ranges](RedisReplies replies) {
                   OnFetched(call, ranges, std::move(replies));
                 });
}

// An answer that was too large is asked for again in halves: many large values are no error, only
// one that is too large alone is.
void RedisStore::OnFetched(const std::shared_ptr<FetchCall>& call, const std::vector<Range>& ranges,
                           RedisReplies replies) {
  std::vector<Range> halves;
  for (size_t r = 0; r < ranges.size(); ++r) {
    const Range range = ranges[r];
    const size_t size = range.end - range.begin;
    absl::Status status = replies[r].status();
    if (status.code() == absl::StatusCode::kOutOfRange && size > 1) {
      halves.push_back({range.begin, range.begin + size / 2});
      halves.push_back({range.begin + size / 2, range.end});
      continue;
    }
    if (status.code() == absl::StatusCode::kOutOfRange) {
      status = absl::ResourceExhaustedError(status.message());
    }
    if (status.ok() && (!replies[r]->is_array() || replies[r]->elements.size() != size)) {
      status = UnexpectedReply("MGET");
    }
    for (size_t i = 0; i < size; ++i) {
      L2Record& record = call->records[range.begin + i];
      if (status.ok()) {
        record.record = std::move(replies[r]->elements[i].bytes);
      } else {
        record.status = status;
      }
    }
  }
  if (halves.empty()) {
    call->callback(std::move(call->records));
  } else {
    FetchRanges(call, std::move(halves));
  }
}

std::vector<std::vector<size_t>> RedisStore::ChunksOf(const std::vector<L2Write>& writes,
                                                      std::vector<L2WriteResult>* results) const {
  std::vector<std::vector<size_t>> chunks;
  size_t bytes = 0;
  for (size_t i = 0; i < writes.size(); ++i) {
    if (absl::Status status = CheckWrite(writes[i]); !status.ok()) {
      (*results)[i].status = std::move(status);
      continue;
    }
    const size_t size = writes[i].record.size() + writes[i].key.key.size();
    if (chunks.empty() || chunks.back().size() == options_.max_keys_per_call ||
        bytes + size > options_.max_bytes_per_call) {
      chunks.emplace_back();
      bytes = 0;
    }
    chunks.back().push_back(i);
    bytes += size;
  }
  return chunks;
}

void RedisStore::Apply(std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback) {
  std::vector<L2WriteResult> results(writes.size());
  std::vector<std::vector<size_t>> chunks = ChunksOf(writes, &results);
  const absl::Time now = clock_.Now();
  std::vector<RedisCommand> commands;
  for (const std::vector<size_t>& chunk : chunks) {
    commands.push_back(PackWrites("apply", writes, chunk, now, options_.max_log_length, nullptr));
  }
  // The records are packed; what is needed of the writes is their versions.
  for (L2Write& write : writes) std::string().swap(write.record);
  route_->Submit(
      Lane::kWrite, std::move(commands), deadline,
      [writes = std::move(writes), chunks = std::move(chunks), results = std::move(results),
       callback = std::move(callback)](const RedisReplies& replies) mutable {
        for (size_t i = 0; i < chunks.size(); ++i) {
          TakeResults(replies[i], chunks[i], writes, &results);
        }
        callback(std::move(results));
      });
}

void RedisStore::ApplyReplicated(std::string source_region, uint32_t slot, LogPosition cursor,
                                 std::vector<L2Write> writes, absl::Time deadline,
                                 ApplyCallback callback) {
  auto call = std::make_shared<ReplicateCall>();
  call->results.resize(writes.size());
  call->chunks = ChunksOf(writes, &call->results);
  if (call->chunks.empty()) call->chunks.emplace_back();  // Moves the cursor all the same.
  call->writes = std::move(writes);
  call->cursor = {CursorRedisKey(slot, source_region), cursor};
  call->deadline = deadline;
  call->callback = std::move(callback);
  ReplicateNext(std::move(call));
}

// One chunk after the other, the cursor with the last: it must not pass a write that was not made.
void RedisStore::ReplicateNext(std::shared_ptr<ReplicateCall> call) {
  const std::vector<size_t>& chunk = call->chunks[call->next_chunk++];
  const bool last = call->next_chunk == call->chunks.size();
  RedisCommand command = PackWrites("replicate", call->writes, chunk, clock_.Now(),
                                    options_.max_log_length, last ? &call->cursor : nullptr);
  const absl::Time deadline = call->deadline;
  route_->Submit(Lane::kReplicate, Only(std::move(command)), deadline,
                 [this, call = std::move(call), &chunk, last](const RedisReplies& replies) {
                   TakeResults(replies[0], chunk, call->writes, &call->results);
                   const bool all_made = std::all_of(chunk.begin(), chunk.end(), [&](size_t i) {
                     const absl::StatusCode code = call->results[i].status.code();
                     return code == absl::StatusCode::kOk ||
                            code == absl::StatusCode::kFailedPrecondition;
                   });
                   if (!last && all_made && replies[0].ok()) {
                     ReplicateNext(call);
                     return;
                   }
                   for (size_t c = call->next_chunk; c < call->chunks.size(); ++c) {
                     for (const size_t i : call->chunks[c]) {
                       call->results[i].status =
                           absl::UnavailableError("not sent: an earlier write of the call failed");
                     }
                   }
                   // A call without writes has no result to carry an error; the cursor is read back
                   // anyway.
                   call->callback(std::move(call->results));
                 });
}

void RedisStore::ReadLogs(std::vector<LogRead> reads, size_t limit, absl::Time deadline,
                          LogCallback callback) {
  const std::vector<Range> ranges = RangesOf(reads.size());
  std::vector<RedisCommand> commands;
  for (const Range& range : ranges) {
    std::string bytes;
    RespWriter writer(&bytes);
    writer.Begin(4 + 2 * (range.end - range.begin));
    writer.Add("XREAD");
    writer.Add("COUNT");
    writer.AddNumber(static_cast<int64_t>(std::max<size_t>(limit, 1)));
    writer.Add("STREAMS");
    for (size_t i = range.begin; i < range.end; ++i) writer.Add(LogRedisKey(reads[i].slot));
    for (size_t i = range.begin; i < range.end; ++i) writer.Add(PositionText(reads[i].after));
    commands.push_back(RedisCommand::Plain("xread", std::move(bytes)));
  }
  route_->Submit(Lane::kRead, std::move(commands), deadline,
                 [reads = std::move(reads), ranges,
                  callback = std::move(callback)](const RedisReplies& replies) {
                   std::vector<LogSlice> slices;
                   for (size_t r = 0; r < replies.size(); ++r) {
                     absl::Status status = replies[r].status();
                     if (status.ok()) {
                       status =
                           TakeStreams(*replies[r], reads, ranges[r].begin, ranges[r].end, &slices);
                     }
                     if (!status.ok()) return callback(std::move(status));
                   }
                   callback(std::move(slices));
                 });
}

void RedisStore::ChangeCount(absl::Time deadline, CountCallback callback) {
  std::string bytes;
  RespWriter writer(&bytes);
  writer.Begin(2);
  writer.Add("GET");
  writer.Add(kChangeCountKey);
  route_->Submit(Lane::kRead, Only(RedisCommand::Plain("changes", std::move(bytes))), deadline,
                 [callback = std::move(callback)](const RedisReplies& replies) {
                   if (!replies[0].ok()) return callback(replies[0].status());
                   uint64_t count = 0;  // Nothing was written yet, or it is no number: not known.
                   if (!absl::SimpleAtoi(ToAbsl(replies[0]->text()), &count)) count = 0;
                   callback(count);
                 });
}

void RedisStore::LogEnds(std::vector<uint32_t> slots, absl::Time deadline,
                         PositionsCallback callback) {
  std::vector<RedisCommand> commands;
  for (const Range& range : RangesOf(slots.size())) {
    commands.push_back(ScriptOf("log_ends", kLogEndsScript, range.begin, range.end,
                                [&](size_t i) { return LogRedisKey(slots[i]); }));
  }
  route_->Submit(Lane::kRead, std::move(commands), deadline,
                 [count = slots.size(), callback = std::move(callback)](
                     const RedisReplies& replies) { callback(TakePositions(replies, count)); });
}

void RedisStore::FetchCursors(std::string source_region, std::vector<uint32_t> slots,
                              absl::Time deadline, PositionsCallback callback) {
  std::vector<RedisCommand> commands;
  for (const Range& range : RangesOf(slots.size())) {
    commands.push_back(MgetOf("cursors", range.begin, range.end,
                              [&](size_t i) { return CursorRedisKey(slots[i], source_region); }));
  }
  route_->Submit(Lane::kRead, std::move(commands), deadline,
                 [count = slots.size(), callback = std::move(callback)](
                     const RedisReplies& replies) { callback(TakePositions(replies, count)); });
}

void RedisStore::Scan(std::string from, size_t count, absl::Time deadline, ScanCallback callback) {
  std::string bytes;
  RespWriter writer(&bytes);
  writer.Begin(6);
  writer.Add("SCAN");
  writer.Add(from.empty() ? std::string_view("0") : std::string_view(from));
  writer.Add("MATCH");
  writer.Add("m:{*}:e:*");
  writer.Add("COUNT");
  writer.AddNumber(static_cast<int64_t>(std::max<size_t>(count, 1)));
  route_->Submit(
      Lane::kRead, Only(RedisCommand::Plain("scan", std::move(bytes))), deadline,
      [callback = std::move(callback)](const RedisReplies& replies) {
        if (!replies[0].ok()) return callback(replies[0].status());
        const Reply& reply = *replies[0];
        if (!reply.is_array() || reply.elements.size() != 2 || !reply.elements[1].is_array()) {
          return callback(UnexpectedReply("SCAN"));
        }
        L2ScanPage page;
        page.next = reply.elements[0].text();
        if (page.next == "0") page.next.clear();
        for (const Reply& name : reply.elements[1].elements) {
          std::optional<L2Key> key = ParseEntryRedisKey(name.text());
          if (key) page.keys.push_back(*std::move(key));
        }
        callback(std::move(page));
      });
}

void RedisStore::FetchVersions(std::vector<L2Key> keys, absl::Time deadline,
                               VersionsCallback callback) {
  std::vector<RedisCommand> commands;
  for (const Range& range : RangesOf(keys.size())) {
    commands.push_back(ScriptOf("versions", kVersionsScript, range.begin, range.end,
                                [&](size_t i) { return EntryRedisKey(keys[i]); }));
  }
  route_->Submit(
      Lane::kRead, std::move(commands), deadline,
      [count = keys.size(), callback = std::move(callback)](const RedisReplies& replies) {
        std::vector<Version> versions;
        versions.reserve(count);
        for (const auto& reply : replies) {
          if (!reply.ok()) return callback(reply.status());
          for (const Reply& element : reply->elements) {
            // Neither a hole nor what is no record has a version.
            versions.push_back(Version::FromText(element.text()).value_or(Version()));
          }
        }
        if (versions.size() != count) return callback(UnexpectedReply("versions"));
        callback(std::move(versions));
      });
}

void RedisStore::ServerTime(absl::Time deadline, TimeCallback callback) {
  std::string bytes;
  RespWriter writer(&bytes);
  writer.Begin(1);
  writer.Add("TIME");
  route_->Submit(Lane::kRead, Only(RedisCommand::Plain("time", std::move(bytes))), deadline,
                 [callback = std::move(callback)](const RedisReplies& replies) {
                   if (!replies[0].ok()) return callback(replies[0].status());
                   int64_t seconds = 0;
                   int64_t micros = 0;
                   const Reply& reply = *replies[0];
                   if (!reply.is_array() || reply.elements.size() != 2 ||
                       !absl::SimpleAtoi(ToAbsl(reply.elements[0].text()), &seconds) ||
                       !absl::SimpleAtoi(ToAbsl(reply.elements[1].text()), &micros)) {
                     return callback(UnexpectedReply("TIME"));
                   }
                   callback(absl::FromUnixSeconds(seconds) + absl::Microseconds(micros));
                 });
}

L2Health RedisStore::Health() const { return route_->Health(); }

}  // namespace meridian
