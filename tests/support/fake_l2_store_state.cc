#include "tests/support/fake_l2_store_state.h"

#include "server/node/l2_write_check.h"
#include "server/node/record.h"

namespace meridian {
namespace {

// Gives stored bytes another version and expiry, leaving the rest as it is.
std::string WithHeader(const std::string& bytes, Version version, absl::Time expires_at) {
  Record record = *ParseRecord(bytes);
  if (record.written == 0) record.written = record.version.hlc;
  record.version = version;
  record.expires_at = expires_at;
  std::string result;
  AppendRecord(record, &result);
  return result;
}

bool IsRemoval(const L2Write& write) {
  const absl::StatusOr<Record> record = ParseRecord(write.record);
  return write.kind == L2WriteKind::kPut && record.ok() && record->kind == RecordKind::kTombstone &&
         !write.evictable && write.retention > kEvictableRetention;
}

}  // namespace

FakeL2Store::Header FakeL2Store::Header::Of(std::string_view bytes, absl::Time now) {
  const absl::StatusOr<Record> record = ParseRecord(bytes);
  if (!record.ok()) return {};
  return {record->version, record->kind == RecordKind::kValue && record->expires_at > now,
          record->written_hlc()};
}

absl::Status FakeL2Store::State::Refusal(absl::Time deadline, bool replica_ok) {
  if (closed) return absl::UnavailableError("the store is closed");
  if (!available) return absl::UnavailableError("the store was made unavailable");
  if (replica != nullptr && !replica_ok) {
    return absl::UnavailableError("L2_UNAVAILABLE: the primary was lost");
  }
  if (!failures.empty()) {
    absl::Status failure = failures.front();
    failures.pop_front();
    return failure;
  }
  if (clock.Now() >= deadline) return absl::DeadlineExceededError("deadline passed");
  return absl::OkStatus();
}

const FakeL2Store::Stored* FakeL2Store::State::Find(std::string_view name_space,
                                                    std::string_view key) const {
  const auto& source = replica != nullptr ? replica->entries : entries;
  const auto it = source.find({std::string(name_space), std::string(key)});
  if (it == source.end() || it->second.forget_at <= clock.Now()) return nullptr;
  return &it->second;
}

void FakeL2Store::State::AppendLog(const L2Write& write) {
  if (write.logged) {
    LogPosition& end = log_ends[write.key.slot];
    const uint64_t ms = static_cast<uint64_t>(absl::ToUnixMillis(clock.Now()));
    end = ms > end.ms ? LogPosition{ms, 0} : LogPosition{end.ms, end.sequence + 1};
    ++changes;
    logs[write.key.slot].push_back(
        {end, write.version, write.key.name_space, write.key.key, IsRemoval(write)});
  }
}

L2WriteResult FakeL2Store::State::ApplyOne(const L2Write& write) {
  if (absl::Status status = CheckWrite(write); !status.ok()) {
    L2WriteResult refused;
    refused.status = status;
    return refused;
  }
  const absl::Time now = clock.Now();
  const Stored* stored = Find(write.key.name_space, write.key.key);
  Header header = stored == nullptr ? Header() : Header::Of(stored->bytes, now);
  if (header.written <= write.fenced_hlc) header.live = false;
  const auto answer = [](L2WriteOutcome outcome, Version version) {
    return L2WriteResult{.status = absl::OkStatus(), .outcome = outcome, .stored = version};
  };

  if (header.version == write.version) return answer(L2WriteOutcome::kStale, header.version);
  const Version live_version = header.live ? header.version : Version();
  const bool holds = write.condition == L2Condition::kNone ||
                     (write.condition == L2Condition::kIfAbsent && !header.live) ||
                     (write.condition == L2Condition::kIfVersion && header.live &&
                      header.version == write.expected_version);
  if (!holds) return answer(L2WriteOutcome::kConflict, live_version);
  if (write.kind == L2WriteKind::kTouch && !header.live) {
    return answer(L2WriteOutcome::kAbsent, Version());
  }
  if (header.version > write.version) return answer(L2WriteOutcome::kStale, header.version);

  std::string bytes = write.kind == L2WriteKind::kPut
                          ? write.record
                          : WithHeader(stored->bytes, write.version, write.expires_at);
  entries[{write.key.name_space, write.key.key}] = {std::move(bytes), now + write.retention};
  AppendLog(write);
  return answer(L2WriteOutcome::kApplied, write.version);
}

std::vector<L2WriteResult> FakeL2Store::State::ApplyAll(const std::vector<L2Write>& writes) {
  std::vector<L2WriteResult> results;
  results.reserve(writes.size());
  for (const L2Write& write : writes) results.push_back(ApplyOne(write));
  calls.applied_writes += writes.size();
  return results;
}

}  // namespace meridian
