#include "tests/support/fake_l2_store.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "common/base/hash.h"
#include "server/node/fence.h"
#include "server/node/record.h"
#include "tests/support/fake_l2_store_state.h"

namespace meridian {
namespace {

// A time that a record cannot name but as its last one.
const absl::Time kEndless = absl::FromUnixMillis((int64_t{1} << 48) - 1);

std::vector<L2WriteResult> FailedWrites(size_t count, const absl::Status& status) {
  L2WriteResult failed;
  failed.status = status;
  return std::vector<L2WriteResult>(count, failed);
}

}  // namespace

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
                      std::function<Answer(State&)> work, bool replica_ok) {
  state_->executor.Post([state = state_, deadline, callback = std::move(callback),
                         fail = std::move(fail), work = std::move(work), replica_ok]() mutable {
    std::optional<Answer> answer;
    {
      absl::MutexLock lock(&state->mu);
      if (absl::Status refusal = state->Refusal(deadline, replica_ok); !refusal.ok()) {
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
  FetchFrom(/*replica_ok=*/true, std::move(keys), deadline, std::move(callback));
}

void FakeL2Store::FetchFromPrimary(std::vector<L2Key> keys, absl::Time deadline,
                                   FetchCallback callback) {
  FetchFrom(/*replica_ok=*/false, std::move(keys), deadline, std::move(callback));
}

void FakeL2Store::FetchFrom(bool replica_ok, std::vector<L2Key> keys, absl::Time deadline,
                            FetchCallback callback) {
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
          records[i].from_replica = state.replica != nullptr;
        }
        return records;
      },
      replica_ok);
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
              const auto& log = state.logs[read.slot];
              auto entry = std::upper_bound(
                  log.begin(), log.end(), read.after,
                  [](LogPosition after, const LogEntry& one) { return after < one.position; });
              for (; entry != log.end() && slice.entries.size() < limit; ++entry) {
                slice.entries.push_back(*entry);
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
              stored == nullptr ? Version() : Header::Of(stored->bytes, state.clock.Now()).version);
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
          const Header header = Header::Of(stored.bytes, state.clock.Now());
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
          if (Header::Of(it->second.bytes, state.clock.Now()).version == fence.version) {
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
              uses.back().evictable = record->expires_at < kEndless &&
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

uint64_t FakeL2Store::Generation() const {
  absl::MutexLock lock(&state_->mu);
  return state_->generation;
}

FakeL2Store::Calls FakeL2Store::calls() const {
  absl::MutexLock lock(&state_->mu);
  return state_->calls;
}

}  // namespace meridian
