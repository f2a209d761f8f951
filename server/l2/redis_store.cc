#include "server/l2/redis_store.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/l2/apply_batch.h"
#include "server/l2/changelog_replies.h"
#include "server/l2/redis_plan.h"
#include "server/l2/resp_writer.h"
#include "server/node/l2_write_check.h"

namespace meridian {
namespace {

using Lane = RedisLane;

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

// What the writes that were to follow the chunk are told, which are not sent; OK: they are. A key
// of a foreign type holds up nothing.
absl::Status FailureOf(const absl::StatusOr<Reply>& reply, const std::vector<size_t>& chunk,
                       const std::vector<L2WriteResult>& results) {
  absl::Status failure = reply.status();
  for (const size_t i : chunk) {
    if (!failure.ok()) break;
    if (!absl::IsFailedPrecondition(results[i].status)) failure = results[i].status;
  }
  switch (failure.code()) {
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kDataLoss:
      // Says of a write that it is never taken: not true of these.
      return absl::InternalError(
          absl::StrCat("not sent, an earlier write of the call failed: ", failure.message()));
    default:
      return failure;
  }
}

bool IsSlotOnItsWay(const absl::Status& status) {
  return !status.ok() && RedisErrorKind(RedisErrorOf(status)) == "TRYAGAIN";
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
  RedisPlan plan;
  std::vector<L2Record> records;
  bool replica_ok = false;
  absl::Time deadline;
  FetchCallback callback;
};

struct RedisStore::ReplicateCall {
  std::vector<L2Write> writes;
  std::vector<std::vector<size_t>> chunks;
  size_t next_chunk = 0;
  std::vector<L2WriteResult> results;
  uint32_t slot = 0;
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

void RedisStore::Fetch(std::vector<L2Key> keys, absl::Time deadline, FetchCallback callback) {
  BeginFetch(std::move(keys), /*replica_ok=*/true, deadline, std::move(callback));
}

void RedisStore::FetchFromPrimary(std::vector<L2Key> keys, absl::Time deadline,
                                  FetchCallback callback) {
  BeginFetch(std::move(keys), /*replica_ok=*/false, deadline, std::move(callback));
}

void RedisStore::BeginFetch(std::vector<L2Key> keys, bool replica_ok, absl::Time deadline,
                            FetchCallback callback) {
  auto call = std::make_shared<FetchCall>();
  call->replica_ok = replica_ok;
  call->records.resize(keys.size());
  call->keys = std::move(keys);
  call->deadline = deadline;
  call->callback = std::move(callback);
  call->plan = PlanFor(call->keys.size(), [&](size_t i) { return call->keys[i].slot; });
  std::vector<KeyRange> ranges = std::move(call->plan.ranges);
  FetchRanges(std::move(call), std::move(ranges));
}

void RedisStore::FetchRanges(std::shared_ptr<FetchCall> call, std::vector<KeyRange> ranges) {
  std::vector<RedisCommand> commands;
  for (const KeyRange& range : ranges) {
    commands.push_back(MgetOf("mget", range.begin, range.end, [&](size_t i) {
      return EntryRedisKey(call->keys[call->plan.At(i)]);
    }));
    SetSlot(call->keys[call->plan.At(range.begin)].slot, &commands.back());
    commands.back().replica_ok = call->replica_ok;
    commands.back().divisible = range.end - range.begin > 1;
  }
  const absl::Time deadline = call->deadline;
  route_->Submit(Lane::kRead, std::move(commands), deadline,
                 [this, call = std::move(call), ranges](RedisReplies replies) {
                   OnFetched(call, ranges, std::move(replies));
                 });
}

// An answer that was too large is asked for again in halves: many large values are no error, only
// one that is too large alone is. So are keys of a slot that moves between servers of a Redis
// Cluster: some are here and some are there, and only a command of one key is led to where it is.
void RedisStore::OnFetched(const std::shared_ptr<FetchCall>& call,
                           const std::vector<KeyRange>& ranges, RedisReplies replies) {
  std::vector<KeyRange> halves;
  for (size_t r = 0; r < ranges.size(); ++r) {
    const KeyRange range = ranges[r];
    const size_t size = range.end - range.begin;
    absl::Status status = replies[r].status();
    const bool split = status.code() == absl::StatusCode::kOutOfRange || IsSlotOnItsWay(status);
    if (split && size > 1) {
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
      L2Record& record = call->records[call->plan.At(range.begin + i)];
      if (status.ok()) {
        record.record = std::move(replies[r]->elements[i].bytes);
        record.from_replica = replies[r]->from_replica;
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
  std::vector<size_t> order(writes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const bool by_slot = route_->one_slot_a_command();
  if (by_slot) {
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return writes[a].key.slot < writes[b].key.slot; });
  }
  size_t bytes = 0;
  for (const size_t i : order) {
    if (absl::Status status = CheckWrite(writes[i]); !status.ok()) {
      (*results)[i].status = std::move(status);
      continue;
    }
    const size_t size = writes[i].record.size() + writes[i].key.key.size();
    if (chunks.empty() || chunks.back().size() == options_.max_keys_per_call ||
        bytes + size > options_.max_bytes_per_call ||
        (by_slot && writes[chunks.back().front()].key.slot != writes[i].key.slot)) {
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
    commands.push_back(
        PackWrites("apply", writes, chunk, now, options_.max_log_length, nullptr, CountKey()));
    SetSlot(writes[chunk.front()].key.slot, &commands.back());
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
  call->slot = slot;
  call->cursor = {CursorRedisKey(slot, source_region), cursor};
  call->deadline = deadline;
  call->callback = std::move(callback);
  ReplicateNext(std::move(call));
}

// One chunk after the other, the cursor with the last: it must not pass a write that was not made.
void RedisStore::ReplicateNext(std::shared_ptr<ReplicateCall> call) {
  const std::vector<size_t>& chunk = call->chunks[call->next_chunk++];
  const bool last = call->next_chunk == call->chunks.size();
  RedisCommand command =
      PackWrites("replicate", call->writes, chunk, clock_.Now(), options_.max_log_length,
                 last ? &call->cursor : nullptr, CountKey());
  SetSlot(call->slot, &command);
  const absl::Time deadline = call->deadline;
  route_->Submit(Lane::kReplicate, Only(std::move(command)), deadline,
                 [this, call = std::move(call), &chunk, last](const RedisReplies& replies) {
                   TakeResults(replies[0], chunk, call->writes, &call->results);
                   const absl::Status failure = FailureOf(replies[0], chunk, call->results);
                   if (!last && failure.ok()) {
                     ReplicateNext(call);
                     return;
                   }
                   for (size_t c = call->next_chunk; c < call->chunks.size(); ++c) {
                     for (const size_t i : call->chunks[c]) call->results[i].status = failure;
                   }
                   // A call without writes has no result to carry an error; the cursor is read back
                   // anyway.
                   call->callback(std::move(call->results));
                 });
}

void RedisStore::Scan(std::string from, size_t count, absl::Time deadline, ScanCallback callback) {
  route_->Scan(std::move(from), count, deadline,
               [callback = std::move(callback)](const absl::StatusOr<ScanPage>& names) {
                 if (!names.ok()) return callback(names.status());
                 L2ScanPage page;
                 page.next = names->next;
                 for (const std::string& name : names->names) {
                   std::optional<L2Key> key = ParseEntryRedisKey(name);
                   if (key) page.keys.push_back(*std::move(key));
                 }
                 callback(std::move(page));
               });
}

void RedisStore::FetchVersions(std::vector<L2Key> keys, absl::Time deadline,
                               VersionsCallback callback) {
  RedisPlan plan = PlanFor(keys.size(), [&](size_t i) { return keys[i].slot; });
  std::vector<RedisCommand> commands;
  for (const KeyRange& range : plan.ranges) {
    commands.push_back(ScriptOf("versions", kVersionsScript, range.begin, range.end,
                                [&](size_t i) { return EntryRedisKey(keys[plan.At(i)]); }));
    SetSlot(keys[plan.At(range.begin)].slot, &commands.back());
  }
  route_->Submit(Lane::kRead, std::move(commands), deadline,
                 [plan = std::move(plan), count = keys.size(),
                  callback = std::move(callback)](const RedisReplies& replies) {
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
                   callback(InOrder<Version>(std::move(versions), plan));
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

void RedisStore::FetchUsage(absl::Time deadline, UsageCallback callback) {
  usage_.Ask(*route_, deadline, std::move(callback));
}

L2Health RedisStore::Health() const { return route_->Health(); }

}  // namespace meridian
