#include "tests/unit/server/replication/store_wire.h"

#include <algorithm>
#include <utility>

#include "server/node/record.h"
#include "server/replication/write_refusal.h"

namespace meridian {
namespace {

// As the store's client says it.
constexpr char kOverloaded[] = "L2_OVERLOADED: 8192 requests to Redis are in flight";

}  // namespace

template <typename Send, typename Fail>
void StoreWire::Carry(absl::Time deadline, Send send, Fail fail) {
  switch (mode) {
    case Mode::kOpen:
      return executor_.PostAfter(delay, send);
    case Mode::kRefused:
      return executor_.Post([fail] { fail(absl::UnavailableError("refused")); });
    case Mode::kBreakerOpen:
      return executor_.Post(
          [fail] { fail(absl::UnavailableError("L2_CIRCUIT_OPEN: failed too often")); });
    case Mode::kSilent:
      return executor_.PostAfter(deadline - clock_.Now(),
                                 [fail] { fail(absl::DeadlineExceededError("silence")); });
  }
}

template <typename Items, typename SlotOfItem, typename Send, typename Fail>
void StoreWire::CarryTo(const Items& items, SlotOfItem slot_of, absl::Time deadline, Send send,
                        Fail fail) {
  for (const auto& item : items) {
    if (away.count(slot_of(item)) == 0) continue;
    return executor_.Post([fail] { fail(absl::UnavailableError("its server is away")); });
  }
  Carry(deadline, send, fail);
}

std::vector<uint32_t> StoreWire::AwaySlots() const {
  if (!away_is_known) return {};
  return {away.begin(), away.end()};
}

void StoreWire::Fetch(std::vector<L2Key> keys, absl::Time deadline, FetchCallback callback) {
  FetchFromPrimary(keys, deadline, [this, keys, callback](std::vector<L2Record> records) {
    for (size_t i = 0; i < keys.size(); ++i) {
      if (lags.count(keys[i].key) > 0) records[i] = {{}, {}, /*from_replica=*/true};
    }
    callback(std::move(records));
  });
}

void StoreWire::FetchFromPrimary(std::vector<L2Key> keys, absl::Time deadline,
                                 FetchCallback callback) {
  deadline = Theirs(deadline);
  if (overloaded_fetches > 0) {
    --overloaded_fetches;
    const L2Record busy{absl::ResourceExhaustedError(kOverloaded), {}};
    return executor_.Post([=] { callback(std::vector<L2Record>(keys.size(), busy)); });
  }
  if (fetched_bytes_per_second > 0) callback = Trickle(deadline, std::move(callback));
  // As of a cluster: each key has an answer of its own server.
  const auto answer = [this, keys, callback](std::vector<L2Record> records) {
    for (size_t i = 0; i < keys.size(); ++i) {
      if (away.count(keys[i].slot) > 0) {
        records[i] = L2Record{absl::UnavailableError("its server is away"), {}};
      } else if (overloaded.count(keys[i].key) > 0) {
        records[i] = L2Record{absl::ResourceExhaustedError(kOverloaded), {}};
      } else if (evicted.count(keys[i].key) > 0) {
        records[i] = L2Record{};
      } else if (too_large.count(keys[i].key) > 0) {
        records[i] = L2Record{absl::ResourceExhaustedError("the reply of Redis is too large"), {}};
      }
    }
    callback(std::move(records));
  };
  Carry(
      deadline, [=, this] { store_->Fetch(keys, deadline, answer); },
      [=](const absl::Status& status) {
        callback(std::vector<L2Record>(keys.size(), L2Record{status, {}}));
      });
}

L2Store::FetchCallback StoreWire::Trickle(absl::Time deadline, FetchCallback callback) {
  return [=, this](const std::vector<L2Record>& records) {
    size_t bytes = 0;
    for (const L2Record& record : records) bytes += record.record.size();
    fetched_bytes_ += bytes;
    most_fetched_bytes = std::max(most_fetched_bytes, fetched_bytes_);
    const absl::Time now = clock_.Now();
    fetched_at_ =
        std::max(fetched_at_, now) +
        absl::Seconds(static_cast<double>(bytes) / static_cast<double>(fetched_bytes_per_second));
    const bool late = fetched_at_ > deadline;
    executor_.PostAfter(fetched_at_ - now, [=, this] {
      fetched_bytes_ -= bytes;
      if (!late) callback(records);
    });
    if (!late) return;
    const L2Record gone{absl::DeadlineExceededError("no answer in time"), {}};
    executor_.PostAfter(deadline - now,
                        [=] { callback(std::vector<L2Record>(records.size(), gone)); });
  };
}

absl::Status StoreWire::RefusalOf(const L2Write& write) const {
  const L2Key& key = write.key;
  if (!full.ok() && (full_slots.empty() || full_slots.count(key.slot) > 0)) return full;
  const auto found = refused.find(key.key);
  if (found == refused.end()) return absl::OkStatus();
  const absl::StatusOr<Record> record = ParseRecord(write.record);
  const bool is_drop = record.ok() && record->kind == RecordKind::kTombstone;
  if (is_drop && takes_drops) return absl::OkStatus();
  return is_drop && !drop_refusal.ok() ? drop_refusal : found->second;
}

L2Store::ApplyCallback StoreWire::Refuse(std::vector<L2Write>* writes,
                                         ApplyCallback callback) const {
  std::vector<absl::Status> refusals;
  absl::Status any;
  for (const L2Write& write : *writes) {
    refusals.push_back(RefusalOf(write));
    any.Update(refusals.back());
  }
  if (any.ok()) return callback;
  if (refuses_calls) refusals.assign(writes->size(), any);
  std::vector<L2Write> rest;
  for (size_t i = 0; i < refusals.size(); ++i) {
    if (refusals[i].ok()) rest.push_back(std::move((*writes)[i]));
  }
  *writes = std::move(rest);
  return [refusals, callback = std::move(callback)](const std::vector<L2WriteResult>& results) {
    std::vector<L2WriteResult> all(refusals.size());
    auto next = results.begin();
    for (size_t i = 0; i < refusals.size(); ++i) {
      if (refusals[i].ok()) {
        all[i] = *next++;
      } else {
        all[i].status = refusals[i];
      }
    }
    callback(std::move(all));
  };
}

void StoreWire::Apply(std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback) {
  deadline = Theirs(deadline);
  callback = Refuse(&writes, std::move(callback));
  Carry(
      deadline, [=, this] { store_->Apply(writes, deadline, callback); },
      [=](const absl::Status& status) {
        L2WriteResult failed;
        failed.status = status;
        callback(std::vector<L2WriteResult>(writes.size(), failed));
      });
}

void StoreWire::ReadLogs(std::vector<LogRead> reads, size_t limit, absl::Time deadline,
                         LogCallback callback) {
  deadline = Theirs(deadline);
  if (limit > largest_read) {
    return executor_.Post([=] { callback(absl::OutOfRangeError("a reply of too many elements")); });
  }
  CarryTo(
      reads, [](const LogRead& read) { return read.slot; }, deadline,
      [=, this] {
        store_->ReadLogs(reads, limit, deadline,
                         [=, this](absl::StatusOr<std::vector<LogSlice>> slices) {
                           if (slices.ok()) {
                             LoseUnheard(&*slices);
                             Mangle(&*slices);
                           }
                           callback(std::move(slices));
                         });
      },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::LoseUnheard(std::vector<LogSlice>* slices) const {
  if (unheard.empty()) return;
  for (LogSlice& slice : *slices) {
    std::erase_if(slice.entries,
                  [this](const LogEntry& entry) { return unheard.count(entry.version) > 0; });
  }
  std::erase_if(*slices, [](const LogSlice& slice) { return slice.entries.empty(); });
}

void StoreWire::Mangle(std::vector<LogSlice>* slices) {
  if (mangler_seed == 0) return;
  if (told_.empty()) mangler_.seed(mangler_seed);
  std::vector<LogSlice> twice;
  for (LogSlice& slice : *slices) {
    std::vector<LogEntry>& told = told_[slice.slot];
    const std::vector<LogEntry> fresh = slice.entries;
    const uint64_t dice = mangler_() % 8;
    if (dice < 5) ++mangled;
    if (dice < 3 && !told.empty()) {  // Some of before come again, among them.
      for (uint64_t n = 0; n <= mangler_() % 4; ++n) {
        slice.entries.push_back(told[mangler_() % told.size()]);
      }
    }
    if (dice < 4) std::shuffle(slice.entries.begin(), slice.entries.end(), mangler_);
    if (dice == 4) twice.push_back(slice);
    told.insert(told.end(), fresh.begin(), fresh.end());
    if (told.size() > 100) told.erase(told.begin(), told.end() - 50);
  }
  slices->insert(slices->end(), twice.begin(), twice.end());
}

void StoreWire::ChangeCount(absl::Time deadline, CountCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->ChangeCount(deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::LogEnds(std::vector<uint32_t> slots, absl::Time deadline,
                        PositionsCallback callback) {
  deadline = Theirs(deadline);
  CarryTo(
      slots, [](uint32_t slot) { return slot; }, deadline,
      [=, this] { store_->LogEnds(slots, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::FetchCursors(std::string source_region, std::vector<uint32_t> slots,
                             absl::Time deadline, PositionsCallback callback) {
  deadline = Theirs(deadline);
  CarryTo(
      slots, [](uint32_t slot) { return slot; }, deadline,
      [=, this] { store_->FetchCursors(source_region, slots, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

// One after the other. What is given up at its deadline crosses and is carried out all the same,
// unless it is lost.
void StoreWire::Crawl(std::string source_region, uint32_t slot, LogPosition cursor,
                      std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback) {
  size_t bytes = 0;
  for (const L2Write& write : writes) bytes += write.record.size();
  bytes_sent += bytes;
  const absl::Time now = clock_.Now();
  free_at_ = std::max(free_at_, now) +
             absl::Seconds(static_cast<double>(bytes) / static_cast<double>(bytes_per_second));
  if (free_at_ > deadline) {
    L2WriteResult late;
    late.status = absl::DeadlineExceededError("no answer in time");
    executor_.PostAfter(deadline - now,
                        [callback, results = std::vector<L2WriteResult>(writes.size(), late)] {
                          callback(results);
                        });
    if (late_is_lost) {
      free_at_ = deadline;
      return;
    }
    callback = [](const std::vector<L2WriteResult>&) {};
  }
  executor_.PostAfter(free_at_ - now, [=, this] {
    store_->ApplyReplicated(source_region, slot, cursor, writes, absl::InfiniteFuture(), callback);
  });
}

void StoreWire::ApplyReplicated(std::string source_region, uint32_t slot, LogPosition cursor,
                                std::vector<L2Write> writes, absl::Time deadline,
                                ApplyCallback callback) {
  deadline = Theirs(deadline);
  for (const L2Write& write : writes) {
    sent.insert(write.key.key);
    if (recovers_when_probed && write.key.key.starts_with("repair-probe:")) {
      full = absl::OkStatus();
      refused.clear();
    }
    // As the script does: the cursor passes nothing that may be taken the next time.
    const absl::Status refusal = RefusalOf(write);
    if (!refusal.ok() && !IsAboutTheWrite(refusal)) cursor = LogPosition{};
  }
  callback = Refuse(&writes, std::move(callback));
  if (bytes_per_second > 0) {
    return Crawl(std::move(source_region), slot, cursor, std::move(writes), deadline,
                 std::move(callback));
  }
  CarryTo(
      std::vector<uint32_t>{slot}, [](uint32_t one) { return one; }, deadline,
      [=, this] {
        store_->ApplyReplicated(source_region, slot, cursor, writes, deadline, callback);
      },
      [=](const absl::Status& status) {
        L2WriteResult failed;
        failed.status = status;
        callback(std::vector<L2WriteResult>(writes.size(), failed));
      });
}

void StoreWire::Scan(std::string from, size_t count, absl::Time deadline, ScanCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->Scan(from, count, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::FetchVersions(std::vector<L2Key> keys, absl::Time deadline,
                              VersionsCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->FetchVersions(keys, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::ListFences(uint32_t slot, absl::Time deadline, FencesCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->ListFences(slot, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::ForgetFences(uint32_t slot, std::vector<LogEntry> fences, absl::Time deadline,
                             StatusCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->ForgetFences(slot, fences, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::MeasureLogs(std::vector<uint32_t> slots, absl::Time deadline,
                            LogSizesCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->MeasureLogs(slots, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::TrimLogs(std::vector<LogTrim> trims, absl::Time deadline, StatusCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->TrimLogs(trims, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::SweepTombstones(std::vector<L2Key> keys, absl::Duration evictable_after,
                                absl::Time deadline, TombstonesCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->SweepTombstones(keys, evictable_after, deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

void StoreWire::ServerTime(absl::Time deadline, TimeCallback callback) {
  deadline = Theirs(deadline);
  Carry(
      deadline, [=, this] { store_->ServerTime(deadline, callback); },
      [=](const absl::Status& status) { callback(status); });
}

L2Health StoreWire::Health() const {
  L2Health health = store_->Health();
  if (mode == Mode::kRefused) {
    health.connected = false;
    health.problem = "refused";
  }
  return health;
}

}  // namespace meridian
