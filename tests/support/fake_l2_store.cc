#include "tests/support/fake_l2_store.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/hash.h"
#include "server/node/fence.h"
#include "server/node/record.h"

namespace meridian {
namespace {

struct Stored {
  std::string bytes;
  absl::Time forget_at;
};

// The header of stored bytes; a foreign value has none and loses against every write.
struct Header {
  Version version;
  bool live = false;
  uint64_t written = 0;  // What fences are compared with.
};

Header HeaderOf(std::string_view bytes, absl::Time now) {
  const absl::StatusOr<Record> record = ParseRecord(bytes);
  if (!record.ok()) return {};
  return {record->version, record->kind == RecordKind::kValue && record->expires_at > now,
          record->written_hlc()};
}

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

// A time that a record cannot name but as its last one.
const absl::Time kEndless = absl::FromUnixMillis((int64_t{1} << 48) - 1);

bool IsRemoval(const L2Write& write) {
  const absl::StatusOr<Record> record = ParseRecord(write.record);
  return write.kind == L2WriteKind::kPut && record.ok() &&
         record->kind == RecordKind::kTombstone && !write.evictable &&
         write.retention > kEvictableRetention;
}

absl::Status CheckWrite(const L2Write& write) {
  if (write.kind == L2WriteKind::kPut &&
      (write.record.size() < kRecordHeaderSize ||
       write.record.compare(0, Version::kTextSize, write.version.ToText()) != 0)) {
    return absl::InvalidArgumentError("a write's record does not have the write's version");
  }
  if (write.retention <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("a write without retention");
  }
  return absl::OkStatus();
}

std::vector<L2WriteResult> FailedWrites(size_t count, const absl::Status& status) {
  L2WriteResult failed;
  failed.status = status;
  return std::vector<L2WriteResult>(count, failed);
}

}  // namespace

struct FakeL2Store::Saved {
  std::map<std::pair<std::string, std::string>, Stored> entries;
  std::map<uint32_t, std::deque<LogEntry>> logs;
  std::map<uint32_t, LogPosition> log_ends;
  std::map<std::pair<std::string, uint32_t>, LogPosition> cursors;
};

struct FakeL2Store::State {
  State(const Clock& c, Executor& e) : clock(c), executor(e) {}

  const Clock& clock;
  Executor& executor;
  mutable absl::Mutex mu;
  std::map<std::pair<std::string, std::string>, Stored> entries ABSL_GUARDED_BY(mu);
  std::map<uint32_t, std::deque<LogEntry>> logs ABSL_GUARDED_BY(mu);
  uint64_t changes ABSL_GUARDED_BY(mu) = 0;
  std::map<uint32_t, LogPosition> log_ends ABSL_GUARDED_BY(mu);
  std::map<std::pair<std::string, uint32_t>, LogPosition> cursors ABSL_GUARDED_BY(mu);
  uint64_t generation ABSL_GUARDED_BY(mu) = 0;
  Calls calls ABSL_GUARDED_BY(mu);
  std::deque<absl::Status> failures ABSL_GUARDED_BY(mu);
  std::deque<absl::Status> lost_replies ABSL_GUARDED_BY(mu);
  std::vector<std::function<void()>> held ABSL_GUARDED_BY(mu);
  bool holding ABSL_GUARDED_BY(mu) = false;
  bool answers_in_tasks ABSL_GUARDED_BY(mu) = false;
  int hold_next ABSL_GUARDED_BY(mu) = 0;
  bool available ABSL_GUARDED_BY(mu) = true;
  bool closed ABSL_GUARDED_BY(mu) = false;
  absl::Duration clock_offset ABSL_GUARDED_BY(mu);

  // Why a call that arrives now cannot be served.
  absl::Status Refusal(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (closed) return absl::UnavailableError("the store is closed");
    if (!available) return absl::UnavailableError("the store was made unavailable");
    if (!failures.empty()) {
      absl::Status failure = failures.front();
      failures.pop_front();
      return failure;
    }
    if (clock.Now() >= deadline) return absl::DeadlineExceededError("deadline passed");
    return absl::OkStatus();
  }

  const Stored* Find(std::string_view name_space, std::string_view key) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    const auto it = entries.find({std::string(name_space), std::string(key)});
    if (it == entries.end() || it->second.forget_at <= clock.Now()) return nullptr;
    return &it->second;
  }

  void AppendLog(const L2Write& write) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (write.logged) {
      LogPosition& end = log_ends[write.key.slot];
      const uint64_t ms = static_cast<uint64_t>(absl::ToUnixMillis(clock.Now()));
      end = ms > end.ms ? LogPosition{ms, 0} : LogPosition{end.ms, end.sequence + 1};
      ++changes;
      logs[write.key.slot].push_back(
          {end, write.version, write.key.name_space, write.key.key, IsRemoval(write)});
    }
  }

  L2WriteResult ApplyOne(const L2Write& write) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (absl::Status status = CheckWrite(write); !status.ok()) {
      return FailedWrites(1, status).front();
    }
    const absl::Time now = clock.Now();
    const Stored* stored = Find(write.key.name_space, write.key.key);
    Header header = stored == nullptr ? Header() : HeaderOf(stored->bytes, now);
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

  std::vector<L2WriteResult> ApplyAll(const std::vector<L2Write>& writes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    std::vector<L2WriteResult> results;
    results.reserve(writes.size());
    for (const L2Write& write : writes) results.push_back(ApplyOne(write));
    calls.applied_writes += writes.size();
    return results;
  }
};

FakeL2Store::FakeL2Store(const Clock& clock, Executor& executor)
    : state_(std::make_shared<State>(clock, executor)) {}

FakeL2Store::~FakeL2Store() {
  {
    absl::MutexLock lock(&state_->mu);
    state_->closed = true;
  }
  ReleaseReplies();
}

template <typename Answer>
void FakeL2Store::Run(absl::Time deadline, std::function<void(Answer)> callback,
                      std::function<Answer(absl::Status)> fail,
                      std::function<Answer(State&)> work) {
  state_->executor.Post([state = state_, deadline, callback = std::move(callback),
                         fail = std::move(fail), work = std::move(work)]() mutable {
    std::optional<Answer> answer;
    {
      absl::MutexLock lock(&state->mu);
      if (absl::Status refusal = state->Refusal(deadline); !refusal.ok()) {
        answer = fail(refusal);
      } else {
        answer = work(*state);
        if (!state->lost_replies.empty()) {
          answer = fail(state->lost_replies.front());
          state->lost_replies.pop_front();
        }
      }
      if (state->holding || state->hold_next > 0) {
        if (state->hold_next > 0) --state->hold_next;
        state->held.push_back(
            [callback = std::move(callback), answer = *std::move(answer)] { callback(answer); });
        return;
      }
      if (state->answers_in_tasks) {
        state->executor.Post(
            [callback = std::move(callback), answer = *std::move(answer)] { callback(answer); });
        return;
      }
    }
    callback(*std::move(answer));
  });
}

void FakeL2Store::Fetch(std::vector<L2Key> keys, absl::Time deadline, FetchCallback callback) {
  using Answer = std::vector<L2Record>;
  const size_t count = keys.size();
  {
    absl::MutexLock lock(&state_->mu);
    ++state_->calls.fetch;
    state_->calls.fetched_keys += count;
  }
  Run<Answer>(
      deadline, std::move(callback),
      [count](absl::Status status) {
        return Answer(count, L2Record{std::move(status), {}});
      },
      [keys = std::move(keys)](State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) {
        Answer records(keys.size());
        for (size_t i = 0; i < keys.size(); ++i) {
          const Stored* stored = state.Find(keys[i].name_space, keys[i].key);
          if (stored != nullptr) records[i].record = Buffer::CopyOf(stored->bytes);
        }
        return records;
      });
}

void FakeL2Store::Apply(std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback) {
  using Answer = std::vector<L2WriteResult>;
  const size_t count = writes.size();  // Before `writes` is moved: arguments have no order.
  {
    absl::MutexLock lock(&state_->mu);
    ++state_->calls.apply;
  }
  Run<Answer>(
      deadline, std::move(callback),
      [count](absl::Status status) { return FailedWrites(count, status); },
      [writes = std::move(writes)](State& state)
          ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) { return state.ApplyAll(writes); });
}

void FakeL2Store::ReadLogs(std::vector<LogRead> reads, size_t limit, absl::Time deadline,
                           LogCallback callback) {
  using Answer = absl::StatusOr<std::vector<LogSlice>>;
  {
    absl::MutexLock lock(&state_->mu);
    ++state_->calls.read_logs;
  }
  Run<Answer>(
      deadline, std::move(callback), [](absl::Status status) -> Answer { return status; },
      [reads = std::move(reads), limit](State& state)
          ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) -> Answer {
            std::vector<LogSlice> slices;
            for (const LogRead& read : reads) {
              LogSlice slice{read.slot, {}};
              for (const LogEntry& entry : state.logs[read.slot]) {
                if (slice.entries.size() == limit) break;
                if (entry.position > read.after) slice.entries.push_back(entry);
              }
              if (!slice.entries.empty()) slices.push_back(std::move(slice));
            }
            return slices;
          });
}

void FakeL2Store::ChangeCount(absl::Time deadline, CountCallback callback) {
  using Answer = absl::StatusOr<uint64_t>;
  {
    absl::MutexLock lock(&state_->mu);
    ++state_->calls.change_count;
  }
  Run<Answer>(
      deadline, std::move(callback), [](absl::Status status) -> Answer { return status; },
      [](State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) -> Answer { return state.changes; });
}

void FakeL2Store::ServerTime(absl::Time deadline, TimeCallback callback) {
  using Answer = absl::StatusOr<absl::Time>;
  Run<Answer>(
      deadline, std::move(callback), [](absl::Status status) -> Answer { return status; },
      [](State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) -> Answer {
        return state.clock.Now() + state.clock_offset;
      });
}

void FakeL2Store::LogEnds(std::vector<uint32_t> slots, absl::Time deadline,
                          PositionsCallback callback) {
  using Answer = absl::StatusOr<std::vector<LogPosition>>;
  {
    absl::MutexLock lock(&state_->mu);
    ++state_->calls.log_ends;
  }
  Run<Answer>(
      deadline, std::move(callback), [](absl::Status status) -> Answer { return status; },
      [slots = std::move(slots)](State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) -> Answer {
        std::vector<LogPosition> ends;
        for (const uint32_t slot : slots) ends.push_back(state.log_ends[slot]);
        return ends;
      });
}

void FakeL2Store::FetchCursors(std::string source_region, std::vector<uint32_t> slots,
                               absl::Time deadline, PositionsCallback callback) {
  using Answer = absl::StatusOr<std::vector<LogPosition>>;
  {
    absl::MutexLock lock(&state_->mu);
    ++state_->calls.fetch_cursors;
  }
  Run<Answer>(
      deadline, std::move(callback), [](absl::Status status) -> Answer { return status; },
      [slots = std::move(slots), source_region = std::move(source_region)](State& state)
          ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) -> Answer {
            std::vector<LogPosition> positions;
            for (const uint32_t slot : slots) {
              positions.push_back(state.cursors[{source_region, slot}]);
            }
            return positions;
          });
}

void FakeL2Store::ApplyReplicated(std::string source_region, uint32_t slot, LogPosition cursor,
                                  std::vector<L2Write> writes, absl::Time deadline,
                                  ApplyCallback callback) {
  using Answer = std::vector<L2WriteResult>;
  const size_t count = writes.size();
  {
    absl::MutexLock lock(&state_->mu);
    ++state_->calls.apply_replicated;
  }
  Run<Answer>(
      deadline, std::move(callback),
      [count](absl::Status status) { return FailedWrites(count, status); },
      [writes = std::move(writes), source_region = std::move(source_region), slot,
       cursor](State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) {
        Answer results = state.ApplyAll(writes);
        LogPosition& stored = state.cursors[{source_region, slot}];
        stored = std::max(stored, cursor);
        return results;
      });
}

void FakeL2Store::Scan(std::string from, size_t count, absl::Time deadline, ScanCallback callback) {
  using Answer = absl::StatusOr<L2ScanPage>;
  {
    absl::MutexLock lock(&state_->mu);
    ++state_->calls.scan;
  }
  Run<Answer>(
      deadline, std::move(callback), [](absl::Status status) -> Answer { return status; },
      [from = std::move(from),
       count](State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) -> Answer {
        // A place is the last key that was given: "<namespace>:<key>".
        auto it = state.entries.begin();
        if (!from.empty()) {
          const size_t colon = from.find(':');
          it = state.entries.upper_bound({from.substr(0, colon), from.substr(colon + 1)});
        }
        L2ScanPage page;
        for (; it != state.entries.end() && page.keys.size() < std::max<size_t>(count, 1); ++it) {
          const auto& [name_space, key] = it->first;
          if (state.Find(name_space, key) == nullptr) continue;
          page.keys.push_back({SlotOf(name_space, key), name_space, key});
        }
        if (it != state.entries.end() && !page.keys.empty()) {
          page.next = page.keys.back().name_space + ":" + page.keys.back().key;
        }
        return page;
      });
}

void FakeL2Store::FetchVersions(std::vector<L2Key> keys, absl::Time deadline,
                                VersionsCallback callback) {
  using Answer = absl::StatusOr<std::vector<Version>>;
  {
    absl::MutexLock lock(&state_->mu);
    ++state_->calls.fetch_versions;
  }
  Run<Answer>(
      deadline, std::move(callback), [](absl::Status status) -> Answer { return status; },
      [keys = std::move(keys)](State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) -> Answer {
        std::vector<Version> versions;
        for (const L2Key& key : keys) {
          const Stored* stored = state.Find(key.name_space, key.key);
          versions.push_back(
              stored == nullptr ? Version() : HeaderOf(stored->bytes, state.clock.Now()).version);
        }
        return versions;
      });
}

void FakeL2Store::ListFences(uint32_t slot, absl::Time deadline, FencesCallback callback) {
  using Answer = absl::StatusOr<std::vector<LogEntry>>;
  Run<Answer>(
      deadline, std::move(callback), [](absl::Status status) -> Answer { return status; },
      [slot](State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) -> Answer {
        std::vector<LogEntry> fences;
        for (const auto& [name, stored] : state.entries) {
          const Header header = HeaderOf(stored.bytes, state.clock.Now());
          const auto fence = ParseFenceKey(name.first, name.second, header.version);
          if (!fence || !header.live || FenceKey(*fence).slot != slot) continue;
          fences.push_back({{}, header.version, name.first, name.second});
        }
        return fences;
      });
}

void FakeL2Store::ForgetFences(uint32_t slot, std::vector<LogEntry> fences, absl::Time deadline,
                               StatusCallback callback) {
  Run<absl::Status>(
      deadline, std::move(callback), [](absl::Status status) { return status; },
      [fences = std::move(fences)](State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) {
        for (const LogEntry& fence : fences) {
          const auto it = state.entries.find({fence.name_space, fence.key});
          if (it == state.entries.end()) continue;
          if (HeaderOf(it->second.bytes, state.clock.Now()).version == fence.version) {
            state.entries.erase(it);
          }
        }
        return absl::OkStatus();
      });
}

void FakeL2Store::MeasureLogs(std::vector<uint32_t> slots, absl::Time deadline,
                              LogSizesCallback callback) {
  using Answer = absl::StatusOr<std::vector<LogSize>>;
  Run<Answer>(
      deadline, std::move(callback), [](absl::Status status) -> Answer { return status; },
      [slots = std::move(slots)](State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) -> Answer {
        std::vector<LogSize> sizes;
        for (const uint32_t slot : slots) {
          LogSize size;
          for (const LogEntry& entry : state.logs[slot]) {
            ++size.entries;
            size.bytes += sizeof(entry) + entry.name_space.size() + entry.key.size();
          }
          sizes.push_back(size);
        }
        return sizes;
      });
}

void FakeL2Store::TrimLogs(std::vector<LogTrim> trims, absl::Time deadline,
                           StatusCallback callback) {
  Run<absl::Status>(
      deadline, std::move(callback), [](absl::Status status) { return status; },
      [trims = std::move(trims)](State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) {
        for (const LogTrim& trim : trims) {
          std::deque<LogEntry>& log = state.logs[trim.slot];
          while (log.size() > trim.entries) log.pop_front();
        }
        return absl::OkStatus();
      });
}

void FakeL2Store::SweepTombstones(std::vector<L2Key> keys, absl::Duration evictable_after,
                                  absl::Time deadline, TombstonesCallback callback) {
  using Answer = absl::StatusOr<std::vector<TombstoneUse>>;
  Run<Answer>(
      deadline, std::move(callback), [](absl::Status status) -> Answer { return status; },
      [keys = std::move(keys), evictable_after](State& state)
          ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mu) -> Answer {
        std::vector<TombstoneUse> uses;
        for (const L2Key& key : keys) {
          uses.emplace_back();
          const Stored* stored = state.Find(key.name_space, key.key);
          const absl::StatusOr<Record> record =
              ParseRecord(stored == nullptr ? std::string_view() : stored->bytes);
          if (!record.ok() || record->kind != RecordKind::kTombstone) continue;
          if (record->expires_at < state.clock.Now()) {
            state.entries.erase({key.name_space, key.key});
            continue;
          }
          uses.back().bytes = stored->bytes.size() + key.key.size();
          uses.back().evictable =
              record->expires_at < kEndless &&
              record->version.time() < state.clock.Now() - evictable_after;
        }
        return uses;
      });
}

L2Health FakeL2Store::Health() const {
  absl::MutexLock lock(&state_->mu);
  L2Health health;
  health.connected = state_->available;
  health.breaker = state_->available ? "closed" : "open";
  health.address = "fake";
  if (!state_->available) health.problem = "the store was made unavailable";
  return health;
}

void FakeL2Store::FailNext(absl::Status status, int calls) {
  absl::MutexLock lock(&state_->mu);
  state_->failures.insert(state_->failures.end(), static_cast<size_t>(calls), status);
}

void FakeL2Store::LoseNextReply(absl::Status status, int calls) {
  absl::MutexLock lock(&state_->mu);
  state_->lost_replies.insert(state_->lost_replies.end(), static_cast<size_t>(calls), status);
}

void FakeL2Store::SetAvailable(bool available) {
  absl::MutexLock lock(&state_->mu);
  state_->available = available;
}

void FakeL2Store::SetClockOffset(absl::Duration offset) {
  absl::MutexLock lock(&state_->mu);
  state_->clock_offset = offset;
}

void FakeL2Store::HoldReplies() {
  absl::MutexLock lock(&state_->mu);
  state_->holding = true;
}

void FakeL2Store::HoldNextReply(int calls) {
  absl::MutexLock lock(&state_->mu);
  state_->hold_next = calls;
}

void FakeL2Store::ReleaseReplies() {
  std::vector<std::function<void()>> held;
  {
    absl::MutexLock lock(&state_->mu);
    state_->holding = false;
    state_->hold_next = 0;
    held.swap(state_->held);
  }
  for (const auto& reply : held) reply();
}

void FakeL2Store::AnswerInTasks() {
  absl::MutexLock lock(&state_->mu);
  state_->answers_in_tasks = true;
}

void FakeL2Store::TrimLog(uint32_t slot, size_t keep) {
  absl::MutexLock lock(&state_->mu);
  std::deque<LogEntry>& log = state_->logs[slot];
  while (log.size() > keep) log.pop_front();
}

void FakeL2Store::LoseLog(uint32_t slot) {
  absl::MutexLock lock(&state_->mu);
  state_->logs[slot].clear();
  state_->log_ends[slot] = LogPosition{};
}

std::shared_ptr<const FakeL2Store::Saved> FakeL2Store::Save() const {
  absl::MutexLock lock(&state_->mu);
  return std::make_shared<Saved>(
      Saved{state_->entries, state_->logs, state_->log_ends, state_->cursors});
}

void FakeL2Store::GoBackTo(const Saved& saved, bool noticed) {
  absl::MutexLock lock(&state_->mu);
  state_->entries = saved.entries;
  state_->logs = saved.logs;
  state_->log_ends = saved.log_ends;
  state_->cursors = saved.cursors;
  ++state_->changes;
  if (noticed) ++state_->generation;
}

uint64_t FakeL2Store::Generation() const {
  absl::MutexLock lock(&state_->mu);
  return state_->generation;
}

FakeL2Store::Calls FakeL2Store::calls() const {
  absl::MutexLock lock(&state_->mu);
  return state_->calls;
}

std::optional<std::string> FakeL2Store::Peek(std::string_view name_space,
                                             std::string_view key) const {
  absl::MutexLock lock(&state_->mu);
  const Stored* stored = state_->Find(name_space, key);
  if (stored == nullptr) return std::nullopt;
  return stored->bytes;
}

void FakeL2Store::Evict(std::string_view name_space, std::string_view key) {
  absl::MutexLock lock(&state_->mu);
  state_->entries.erase({std::string(name_space), std::string(key)});
}

void FakeL2Store::Plant(const L2Key& key, std::string bytes, absl::Duration retention) {
  absl::MutexLock lock(&state_->mu);
  state_->entries[{key.name_space, key.key}] = {std::move(bytes), state_->clock.Now() + retention};
}

}  // namespace meridian
