#include "server/replication/region_cuts.h"

#include <memory>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "server/node/record.h"
#include "server/replication/heartbeat.h"

namespace meridian {
namespace {

// Until somebody heals it, as far as a store can keep something.
constexpr absl::Duration kKept = absl::Hours(24 * 365 * 10);
// After a heal, so that a late repetition of the cut does not win.
constexpr absl::Duration kHealKept = absl::Hours(24);

// Somebody else cuts or heals at the same time, or with a clock that is ahead.
constexpr int kMaxAttempts = 5;

}  // namespace

// One call of Set; answers also when the gate is closed before it is done.
struct RegionCuts::Change {
  std::string region;
  bool cut;
  std::string reason;
  Done done;
  int attempt = 1;

  void Finish(absl::Status status) { std::exchange(done, nullptr)(std::move(status)); }
  ~Change() {
    if (done != nullptr) done(absl::CancelledError("the node stops"));
  }
};

RegionCuts::RegionCuts(std::string own_region, std::vector<std::string> others, L2Store& own,
                       HybridClock& versions, TaskGate gate, const Clock& clock, Changed changed)
    : own_region_(std::move(own_region)),
      others_(std::move(others)),
      own_(own),
      versions_(versions),
      gate_(std::move(gate)),
      clock_(clock),
      changed_(std::move(changed)),
      backoff_(BackoffOptions{.initial = absl::Milliseconds(20), .max = kInterval}) {}

void RegionCuts::Start() {
  if (!others_.empty()) Read();
}

L2Key RegionCuts::KeyOf(const std::string& region) const {
  std::string key = absl::StrCat("cut:", own_region_, ":", region);
  const uint32_t slot = SlotOf(kInternalNamespace, key);
  return L2Key{slot, std::string(kInternalNamespace), std::move(key)};
}

void RegionCuts::Read() {
  std::vector<L2Key> keys;
  for (const std::string& region : others_) keys.push_back(KeyOf(region));
  own_.Fetch(std::move(keys), Deadline(),
             gate_.Reply<std::vector<L2Record>>(
                 [this, changes = changes_](const std::vector<L2Record>& records) {
                   Take(changes, records);
                 }));
}

void RegionCuts::Take(uint64_t changes, const std::vector<L2Record>& records) {
  for (const L2Record& record : records) {
    if (record.status.ok()) continue;
    const double random = std::uniform_real_distribution<double>(0, 1)(random_);
    return gate_.PostAfter(backoff_.Next(random), [this] { Read(); });
  }
  backoff_.Reset();
  gate_.PostAfter(kInterval, [this] { Read(); });
  if (changes != changes_) return;
  const bool first = !std::exchange(known_, true);
  for (size_t i = 0; i < records.size(); ++i) {
    std::optional<RegionCut> cut;
    const absl::StatusOr<Record> record = ParseRecord(records[i].record.view());
    if (record.ok() && record->kind == RecordKind::kValue) {
      cut = RegionCut{record->version.time(), std::string(record->value)};
    }
    if (first || cut.has_value() != (cuts_.count(others_[i]) > 0)) Obey(others_[i], cut);
  }
}

void RegionCuts::Obey(const std::string& region, std::optional<RegionCut> cut) {
  cuts_.erase(region);
  if (cut) cuts_[region] = *cut;
  changed_(region, cut);
}

void RegionCuts::Set(const std::string& region, bool cut, std::string reason, Done done) {
  auto change = std::make_shared<Change>();
  change->region = region;
  change->cut = cut;
  change->reason = std::move(reason);
  change->done = std::move(done);
  Store(std::move(change));
}

void RegionCuts::Store(std::shared_ptr<Change> change) {
  const absl::Time now = clock_.Now();
  L2Write write;
  write.key = KeyOf(change->region);
  write.version = versions_.Next();
  write.retention = change->cut ? kKept : kHealKept;
  write.expires_at = now + write.retention;
  const std::string_view value = change->cut ? std::string_view(change->reason) : "";
  AppendRecord({.version = write.version,
                .expires_at = write.expires_at,
                .kind = change->cut ? RecordKind::kValue : RecordKind::kTombstone,
                .raw_size = static_cast<uint32_t>(value.size()),
                .tags = {},
                .value = value},
               &write.record);
  const Version version = write.version;
  std::vector<L2Write> writes;
  writes.push_back(std::move(write));
  own_.Apply(std::move(writes), Deadline(),
             gate_.Reply<std::vector<L2WriteResult>>(
                 [this, change, version](const std::vector<L2WriteResult>& results) {
                   const L2WriteResult& result = results.front();
                   if (!result.status.ok()) return change->Finish(result.status);
                   if (result.outcome != L2WriteOutcome::kApplied) {
                     const absl::Status merged = versions_.Merge(result.stored.hlc);
                     if (!merged.ok()) return change->Finish(merged);
                     if (change->attempt++ < kMaxAttempts) return Store(change);
                     return change->Finish(absl::AbortedError(
                         "others cut or heal the region at the same time; look and try again"));
                   }
                   ++changes_;
                   std::optional<RegionCut> cut;
                   if (change->cut) cut = RegionCut{version.time(), change->reason};
                   Obey(change->region, std::move(cut));
                   change->Finish(absl::OkStatus());
                 }));
}

}  // namespace meridian
