// The origin of FillRaceTest, which counts who loads what, and what is known to be old since when.

#include <algorithm>

#include "tests/unit/server/node/fill_race_fixture.h"

namespace meridian {

void FillRaceTest::Load(const Namespace&, const NamespacePolicy&, std::vector<OriginKey> keys,
                        OriginSink& sink) {
  for (OriginKey& key : keys) BeginLoad(std::move(key), sink);
}

void FillRaceTest::BeginLoad(OriginKey key, OriginSink& sink) {
  const size_t index = IndexOf(key.key);
  RaceRow& row = rows_[index];
  ++row.open;
  const auto flight = std::static_pointer_cast<Flight>(key.ticket);
  const bool counted = flight->kind == FlightKind::kOwned;
  const RaceRow::Load load{row.events.load(), VersionOf(*flight)};
  if (counted) {
    absl::MutexLock lock(&row.mu);
    for (const RaceRow::Load& other : row.loads) {
      if (other.events == row.events && !row.busy &&
          row.newest <= std::min(load.version, other.version)) {
        Fail(absl::StrCat("two loads of ", key.key, ": of ", other.version, " and ", load.version,
                          ", the newest change is ", row.newest.load()));
      }
    }
    row.loads.push_back(load);
  }
  const int seen = row.value;
  {
    absl::MutexLock lock(&row.mu);
    row.seen.push_back({load.version, seen});
  }
  ++loads_;
  if (!counted) ++row.events;  // What it brings is newer than what others load.
  const bool early = loads_ % 2 == 0;
  pool_.Post([this, index, early, seen, load, counted, ticket = std::move(key.ticket), &sink] {
    RaceRow& at = rows_[index];
    const int value = early ? seen : at.value.load();
    NoteSeen(&at, load.version, value);
    pool_.Post([this, index, value, load, counted, ticket, &sink] {
      if (!counted) {
        EndEvent(&rows_[index], load.version);
      } else {
        absl::MutexLock lock(&rows_[index].mu);
        auto& loads = rows_[index].loads;
        loads.erase(std::find_if(loads.begin(), loads.end(), [&](const RaceRow::Load& one) {
          return one.version == load.version && one.events == load.events;
        }));
      }
      OriginAnswer answer;
      answer.ticket = ticket;
      answer.outcome = value % 7 == 0 ? LoadOutcome::kAbsent : LoadOutcome::kFound;
      if (value % 7 != 0) answer.value = std::to_string(value);
      if (kTagged[index]) answer.tags = {"t"};
      std::vector<OriginAnswer> answers;
      answers.push_back(std::move(answer));
      sink.OnLoaded(std::move(answers));
      --rows_[index].open;
    });
  });
}

void FillRaceTest::NoteSeen(RaceRow* row, uint64_t version, int value) {
  absl::MutexLock lock(&row->mu);
  for (RaceRow::Seen& seen : row->seen) {
    if (seen.version == version) seen.value = std::max(seen.value, value);
  }
}

void FillRaceTest::Hear(size_t index, uint64_t version) {
  RaceRow& row = rows_[index];
  absl::MutexLock lock(&row.mu);
  row.heard.insert(version);
  TellOf(index, &row);
}

void FillRaceTest::EndAround(size_t index, uint64_t version, int value) {
  RaceRow& row = rows_[index];
  absl::MutexLock lock(&row.mu);
  row.ended[version] = value;
  TellOf(index, &row);
}

void FillRaceTest::TellOf(size_t index, RaceRow* row) {
  for (auto it = row->ended.begin(); it != row->ended.end();) {
    const auto [version, value] = *it;
    if (row->heard.count(version) == 0) {
      ++it;
      continue;
    }
    it = row->ended.erase(it);
    Told(index, row, version, value);
  }
  // Others are fills, or sets of leases.
  while (row->heard.size() > 100) row->heard.erase(row->heard.begin());
}

void FillRaceTest::Told(size_t index, RaceRow* row, uint64_t version, int value) {
  bool stands = false;
  for (const RaceRow::Seen& seen : row->seen) {
    // Two nodes may give the same version: then the load's value is not stored, but whoever waits
    // for it is given it.
    if (seen.version < version || seen.value >= value) continue;
    stands = true;
    // Clocks of milliseconds, which differ.
    const absl::Duration by = Version{seen.version, 0}.time() - Version{version, 0}.time();
    if (by > std::max(-GetParam().writer_ahead, absl::ZeroDuration()) + absl::Milliseconds(1)) {
      Fail(absl::StrCat("a load of ", kNames[index], " that began before a change is newer by ",
                        absl::FormatDuration(by)));
    }
  }
  std::erase_if(row->seen, [version](const RaceRow::Seen& seen) { return seen.version < version; });
  if (stands) {
    ++overtaken_;
    return;
  }
  ++row->told;
  int before = row->least;
  while (before < value && !row->least.compare_exchange_weak(before, value)) {
  }
}

void FillRaceTest::EndEvent(RaceRow* row, uint64_t version) {
  uint64_t newest = row->newest;
  while (newest < version && !row->newest.compare_exchange_weak(newest, version)) {
  }
  ++row->events;
}

uint64_t FillRaceTest::VersionOf(Flight& flight) {
  absl::MutexLock lock(&flight.mu);
  return flight.version.hlc;
}

}  // namespace meridian
