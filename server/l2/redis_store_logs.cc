// What RedisStore does besides entries: changelogs, cursors, fences and the upkeep of a region.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/l2/apply_batch.h"
#include "server/l2/changelog_replies.h"
#include "server/l2/redis_plan.h"
#include "server/l2/redis_store.h"
#include "server/l2/resp_writer.h"

namespace meridian {
namespace {

using Lane = RedisLane;

// How calls went whose answers say nothing else.
absl::Status FirstError(const RedisReplies& replies) {
  absl::Status status;
  for (const auto& reply : replies) status.Update(reply.status());
  return status;
}

}  // namespace

void RedisStore::ReadLogs(std::vector<LogRead> reads, size_t limit, absl::Time deadline,
                          LogCallback callback) {
  std::vector<KeyRange> ranges;
  std::vector<RedisCommand> commands;
  {
    const RedisPlan plan = PlanFor(reads.size(), [&](size_t i) { return reads[i].slot; });
    std::vector<LogRead> ordered;
    ordered.reserve(reads.size());
    for (size_t i = 0; i < reads.size(); ++i) ordered.push_back(reads[plan.At(i)]);
    reads = std::move(ordered);
    ranges = plan.ranges;
  }
  for (const KeyRange& range : ranges) {
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
    SetSlot(reads[range.begin].slot, &commands.back());
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
  route_->ChangeCount(deadline, std::move(callback));
}

void RedisStore::LogEnds(std::vector<uint32_t> slots, absl::Time deadline,
                         PositionsCallback callback) {
  RedisPlan plan = PlanFor(slots.size(), [&](size_t i) { return slots[i]; });
  std::vector<RedisCommand> commands;
  for (const KeyRange& range : plan.ranges) {
    commands.push_back(ScriptOf("log_ends", kLogEndsScript, range.begin, range.end,
                                [&](size_t i) { return LogRedisKey(slots[plan.At(i)]); }));
    SetSlot(slots[plan.At(range.begin)], &commands.back());
  }
  route_->Submit(
      Lane::kRead, std::move(commands), deadline,
      [plan = std::move(plan), count = slots.size(), callback = std::move(callback)](
          const RedisReplies& replies) { callback(InOrder(TakePositions(replies, count), plan)); });
}

void RedisStore::FetchCursors(std::string source_region, std::vector<uint32_t> slots,
                              absl::Time deadline, PositionsCallback callback) {
  RedisPlan plan = PlanFor(slots.size(), [&](size_t i) { return slots[i]; });
  std::vector<RedisCommand> commands;
  for (const KeyRange& range : plan.ranges) {
    commands.push_back(MgetOf("cursors", range.begin, range.end, [&](size_t i) {
      return CursorRedisKey(slots[plan.At(i)], source_region);
    }));
    SetSlot(slots[plan.At(range.begin)], &commands.back());
  }
  route_->Submit(
      Lane::kRead, std::move(commands), deadline,
      [plan = std::move(plan), count = slots.size(), callback = std::move(callback)](
          const RedisReplies& replies) { callback(InOrder(TakePositions(replies, count), plan)); });
}

void RedisStore::ListFences(uint32_t slot, absl::Time deadline, FencesCallback callback) {
  std::string bytes;
  RespWriter writer(&bytes);
  writer.Begin(2);
  writer.Add("HGETALL");
  writer.Add(FencesRedisKey(slot));
  RedisCommand command = RedisCommand::Plain("fences", std::move(bytes));
  SetSlot(slot, &command);
  route_->Submit(Lane::kRead, Only(std::move(command)), deadline,
                 [callback = std::move(callback)](const RedisReplies& replies) {
                   if (!replies[0].ok()) return callback(replies[0].status());
                   callback(TakeFences(*replies[0]));
                 });
}

void RedisStore::ForgetFences(uint32_t slot, std::vector<LogEntry> fences, absl::Time deadline,
                              StatusCallback callback) {
  std::vector<RedisCommand> commands;
  for (size_t begin = 0; begin < fences.size(); begin += options_.max_keys_per_call) {
    const size_t end = std::min(fences.size(), begin + options_.max_keys_per_call);
    std::string bytes;
    RespWriter writer(&bytes);
    writer.AddNumber(static_cast<int64_t>(1 + end - begin));
    writer.Add(FencesRedisKey(slot));
    for (size_t i = begin; i < end; ++i) {
      writer.Add(EntryRedisKey({slot, fences[i].name_space, fences[i].key}));
    }
    for (size_t i = begin; i < end; ++i) writer.Add(fences[i].version.ToText());
    commands.push_back(RedisCommand::Call("forget_fences", kForgetFencesScript,
                                          2 + 2 * (end - begin), std::move(bytes)));
    SetSlot(slot, &commands.back());
  }
  if (commands.empty()) return callback(absl::OkStatus());
  route_->Submit(Lane::kWrite, std::move(commands), deadline,
                 [callback = std::move(callback)](const RedisReplies& replies) {
                   callback(FirstError(replies));
                 });
}

void RedisStore::MeasureLogs(std::vector<uint32_t> slots, absl::Time deadline,
                             LogSizesCallback callback) {
  RedisPlan plan = PlanFor(slots.size(), [&](size_t i) { return slots[i]; });
  std::vector<RedisCommand> commands;
  for (const KeyRange& range : plan.ranges) {
    commands.push_back(ScriptOf("log_sizes", kLogSizesScript, range.begin, range.end,
                                [&](size_t i) { return LogRedisKey(slots[plan.At(i)]); }));
    SetSlot(slots[plan.At(range.begin)], &commands.back());
  }
  route_->Submit(Lane::kRead, std::move(commands), deadline,
                 [plan = std::move(plan), count = slots.size(),
                  callback = std::move(callback)](const RedisReplies& replies) {
                   const absl::StatusOr<std::vector<uint64_t>> numbers =
                       TakeNumbers(replies, 2 * count);
                   if (!numbers.ok()) return callback(numbers.status());
                   std::vector<LogSize> sizes(count);
                   for (size_t i = 0; i < count; ++i) {
                     sizes[i] = {(*numbers)[2 * i], (*numbers)[2 * i + 1]};
                   }
                   callback(InOrder<LogSize>(std::move(sizes), plan));
                 });
}

void RedisStore::TrimLogs(std::vector<LogTrim> trims, absl::Time deadline,
                          StatusCallback callback) {
  const RedisPlan plan = PlanFor(trims.size(), [&](size_t i) { return trims[i].slot; });
  std::vector<RedisCommand> commands;
  for (const KeyRange& range : plan.ranges) {
    std::vector<std::string> entries;
    for (size_t i = range.begin; i < range.end; ++i) {
      entries.push_back(absl::StrCat(trims[plan.At(i)].entries));
    }
    commands.push_back(ScriptOf(
        "trim_logs", kTrimLogsScript, range.begin, range.end,
        [&](size_t i) { return LogRedisKey(trims[plan.At(i)].slot); }, entries));
    SetSlot(trims[plan.At(range.begin)].slot, &commands.back());
  }
  if (commands.empty()) return callback(absl::OkStatus());
  route_->Submit(Lane::kWrite, std::move(commands), deadline,
                 [callback = std::move(callback)](const RedisReplies& replies) {
                   callback(FirstError(replies));
                 });
}

void RedisStore::SweepTombstones(std::vector<L2Key> keys, absl::Duration evictable_after,
                                 absl::Time deadline, TombstonesCallback callback) {
  RedisPlan plan = PlanFor(keys.size(), [&](size_t i) { return keys[i].slot; });
  std::vector<RedisCommand> commands;
  for (const KeyRange& range : plan.ranges) {
    commands.push_back(ScriptOf("sweep_tombstones", kSweepTombstonesScript, range.begin, range.end,
                                [&](size_t i) { return EntryRedisKey(keys[plan.At(i)]); },
                                {absl::StrCat(absl::ToInt64Milliseconds(evictable_after))}));
    SetSlot(keys[plan.At(range.begin)].slot, &commands.back());
  }
  route_->Submit(Lane::kWrite, std::move(commands), deadline,
                 [plan = std::move(plan), count = keys.size(),
                  callback = std::move(callback)](const RedisReplies& replies) {
                   const absl::StatusOr<std::vector<uint64_t>> numbers =
                       TakeNumbers(replies, 2 * count);
                   if (!numbers.ok()) return callback(numbers.status());
                   std::vector<TombstoneUse> uses(count);
                   for (size_t i = 0; i < count; ++i) {
                     uses[i] = {(*numbers)[2 * i], (*numbers)[2 * i + 1] == 1};
                   }
                   callback(InOrder<TombstoneUse>(std::move(uses), plan));
                 });
}

}  // namespace meridian
