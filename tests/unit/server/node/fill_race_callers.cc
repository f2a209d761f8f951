// Those who read, hold leases and change things in FillRaceTest.

#include <optional>

#include "server/node/lease_token.h"
#include "tests/unit/server/node/fill_race_fixture.h"

namespace meridian {

void FillRaceTest::BeginRead(Random& random) {
  auto reading = std::make_shared<Reading>();
  const size_t count = random() % 4 == 0 ? 3 : 1;
  for (size_t i = 0; i < count; ++i) {
    const size_t index = random() % kKeys;
    reading->indexes.push_back(index);
    reading->events.push_back(rows_[index].events);
    reading->least.push_back(rows_[index].least);
    reading->request.keys.push_back(kNames[index]);
  }
  reading->request.name_space = kSpace;
  ReadOptions& options = reading->request.options;
  options.force_refresh = random() % 16 == 0;
  if (random() % 2 == 0) options.max_stale = absl::Seconds(20);
  options.want_lease = !GetParam().origin && random() % 4 != 0;
  // Some leave before the answer comes.
  reading->request.deadline =
      clock_.Now() + (random() % 8 == 0 ? absl::Milliseconds(7) : absl::Seconds(1));
  ++waiting_;
  node_->reads().Read(reading->request, [this, reading](std::vector<ReadResult> results) {
    for (size_t i = 0; i < results.size(); ++i) TakeResult(*reading, i, results[i]);
    --waiting_;
  });
}

void FillRaceTest::TakeResult(const Reading& reading, size_t i, const ReadResult& result) {
  const size_t index = reading.indexes[i];
  if (!result.lease.empty()) TakeLease(index, reading.events[i], result.lease);
  if (result.state != EntryState::kOk) return;
  const int value = std::stoi(std::string(result.value.view()));
  if (value < reading.least[i]) {
    Fail(absl::StrCat(kNames[index], " was ", value, result.stale ? " (stale)" : "", " of tier ",
                      static_cast<int>(result.tier), "; ", reading.least[i],
                      " was acknowledged before"));
  }
  ++(result.stale ? stale_ : rows_[index].checked);
}

void FillRaceTest::TakeLease(size_t index, uint64_t events, std::string lease) {
  RaceRow& row = rows_[index];
  const std::optional<LeaseToken> token =
      ParseLeaseToken(lease, kSpace, kNames[index], clock_.Now());
  ASSERT_TRUE(token.has_value());
  ++leases_;
  {
    absl::MutexLock lock(&row.mu);
    const RaceRow::Lease other = row.lease;
    if (other.version != 0 && other.version < token->version.hlc &&
        token->version.time() < other.end - absl::Milliseconds(2) && other.events == row.events &&
        !row.busy) {
      Fail(absl::StrCat("two leases of ", kNames[index]));
    }
    if (other.version < token->version.hlc) {
      row.lease = {token->version.hlc, events, token->expires_at};
    }
  }
  ++row.open;
  pool_.Post([this, index, version = token->version.hlc, lease = std::move(lease)] {
    const int value = rows_[index].value;
    pool_.Post([this, index, version, value, lease] {
      RaceRow& at = rows_[index];
      --at.open;
      if (version % 16 == 3) return;  // It died.
      {
        absl::MutexLock lock(&at.mu);
        if (at.lease.version == version) at.lease.version = 0;
      }
      WriteItem item;
      item.lease = lease;
      Write(index, std::move(item), value, [this, index](const WriteResult& result) {
        ++(result.state == EntryState::kOk ? filled_ : lost_);
      });
    });
  });
}

void FillRaceTest::Write(size_t index, WriteItem item, int value,
                         std::function<void(const WriteResult&)> done) {
  struct Writing {
    std::string value;
    std::string lease;
    WriteRequest request;
  };
  auto writing = std::make_shared<Writing>();
  writing->value = std::to_string(value);
  writing->lease = std::string(item.lease);
  item.key = kNames[index];
  item.value = writing->value;
  item.lease = writing->lease;
  if (kTagged[index]) item.tags = {"t"};
  writing->request.name_space = kSpace;
  writing->request.items.push_back(std::move(item));
  writing->request.deadline = clock_.Now() + absl::Hours(1);
  ++waiting_;
  writer_->writes().Write(
      writing->request, [this, writing, done = std::move(done)](std::vector<WriteResult> results) {
        done(results[0]);
        --waiting_;
      });
}

void FillRaceTest::BeginChange(Random& random) {
  const uint64_t what = random() % 16;
  const size_t one = random() % kKeys;
  auto change = std::make_shared<Change>();
  for (size_t i = 0; i < kKeys; ++i) {
    const bool in = what == 0   ? true
                    : what == 1 ? kNames[i][0] == 'p'
                    : what == 2 ? kTagged[i]
                                : i == one;
    if (in) change->indexes.push_back(i);
  }
  for (size_t n = 0; n < change->indexes.size(); ++n) {
    if (!rows_[change->indexes[n]].busy.exchange(true)) continue;
    while (n-- > 0) rows_[change->indexes[n]].busy = false;
    return;
  }
  for (const size_t index : change->indexes) {
    RaceRow& row = rows_[index];
    ++row.events;
    if (row.open > 0) {
      ++row.races;
      ++races_;
    }
    change->values.push_back(++row.value);
  }
  if (what <= 2) {
    FenceRequest fence;
    fence.name_space = kSpace;
    fence.scope = what == 0   ? FenceScope::kNamespace
                  : what == 1 ? FenceScope::kPrefix
                              : FenceScope::kTag;
    fence.name = what == 0 ? "" : what == 1 ? "p:" : "t";
    fence.deadline = clock_.Now() + absl::Hours(1);
    ++waiting_;
    writer_->fence_path().Invalidate(std::move(fence), [this, change](FenceResult result) {
      EndChange(*change, result.result);
      --waiting_;
    });
    return;
  }
  WriteItem item;
  const bool set = what == 3 && change->values[0] % 7 != 0;
  if (!set) item.kind = WriteKind::kInvalidate;
  Write(one, std::move(item), change->values[0],
        [this, change](const WriteResult& result) { EndChange(*change, result); });
}

void FillRaceTest::EndChange(const Change& change, const WriteResult& result) {
  const bool ok = result.state == EntryState::kOk;
  if (!ok) Fail(absl::StrCat("a change failed: ", result.error->message));
  const bool told_later = GetParam().two_nodes && change.indexes.size() == 1;
  for (size_t n = 0; n < change.indexes.size(); ++n) {
    RaceRow& row = rows_[change.indexes[n]];
    // One change at a time. What went around the node is told later.
    if (ok && told_later) EndAround(change.indexes[n], result.version.hlc, change.values[n]);
    if (ok && !told_later) {
      int before = row.least;
      while (before < change.values[n] &&
             !row.least.compare_exchange_weak(before, change.values[n])) {
      }
    }
    EndEvent(&row, result.version.hlc);
    row.busy = false;
  }
}

}  // namespace meridian
