#include "server/replication/region_cuts.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "server/node/record.h"
#include "server/replication/heartbeat.h"

namespace meridian {
namespace {

// Somebody else cuts or heals at the same time, or with a clock that is ahead.
constexpr int kMaxAttempts = 5;

}  // namespace

L2Key CutOrderKey(std::string_view from, std::string_view to) {
  std::string key = absl::StrCat("cut:", ToAbsl(from), ":", ToAbsl(to));
  const uint32_t slot = SlotOf(kInternalNamespace, key);
  return L2Key{slot, std::string(kInternalNamespace), std::move(key)};
}

bool IsCutOrder(const L2Record& stored) {
  const absl::StatusOr<Record> record = ParseRecord(stored.record.view());
  return record.ok() && record->kind == RecordKind::kValue;
}

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

void RegionCuts::Read() {
  std::vector<L2Key> keys;
  for (const std::string& region : others_) keys.push_back(KeyOf(region));
  own_.FetchFromPrimary(std::move(keys), Deadline(),
                        gate_.Reply<std::vector<L2Record>>(
                            [this](const std::vector<L2Record>& records) { Take(records); }));
}

void RegionCuts::Take(const std::vector<L2Record>& records) {
  // Each region by its own record: that of another may be on a server that is away.
  bool all = true;
  for (size_t i = 0; i < records.size(); ++i) {
    if (records[i].status.ok()) {
      TakeOne(others_[i], records[i]);
    } else {
      all = false;
    }
  }
  if (all) {
    backoff_.Reset();
    return gate_.PostAfter(kInterval, [this] { Read(); });
  }
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  gate_.PostAfter(backoff_.Next(random), [this] { Read(); });
}

void RegionCuts::TakeOne(const std::string& region, const L2Record& stored_record) {
  Order stored;
  const absl::StatusOr<Record> record = ParseRecord(stored_record.record.view());
  if (record.ok()) {
    stored = {record->version, record->kind == RecordKind::kValue, std::string(record->value)};
  }
  const bool first = known_.insert(region).second;
  const Order& known = orders_[region];
  if (stored.version < known.version) {
    // The store has lost it; or Set was faster than this read, and then this changes nothing.
    StoreAgain(region, known);
  } else if (stored.version > known.version) {
    return Obey(region, std::move(stored));
  }
  if (first) changed_(region, CutOf(region));
}

void RegionCuts::Obey(const std::string& region, Order order) {
  Order& known = orders_[region];
  if (order.version <= known.version) return;
  known = std::move(order);
  changed_(region, CutOf(region));
}

std::optional<RegionCut> RegionCuts::CutOf(const std::string& region) const {
  const auto it = orders_.find(region);
  if (it == orders_.end() || !it->second.cut) return std::nullopt;
  return RegionCut{it->second.version.time(), it->second.reason};
}

void RegionCuts::Set(const std::string& region, bool cut, std::string reason, Done done) {
  auto change = std::make_shared<Change>();
  change->region = region;
  change->cut = cut;
  change->reason = std::move(reason);
  change->done = std::move(done);
  Store(std::move(change));
}

L2Write RegionCuts::WriteOf(const std::string& region, const Order& order) const {
  L2Write write;
  write.key = KeyOf(region);
  write.version = order.version;
  write.expires_at = absl::InfiniteFuture();
  write.retention = absl::InfiniteDuration();  // Not even evicted: such keys are not volatile.
  AppendRecord({.version = write.version,
                .expires_at = write.expires_at,
                .kind = order.cut ? RecordKind::kValue : RecordKind::kTombstone,
                .raw_size = static_cast<uint32_t>(order.reason.size()),
                .tags = {},
                .value = order.reason},
               &write.record);
  return write;
}

void RegionCuts::Store(std::shared_ptr<Change> change) {
  Order order{versions_.Next(), change->cut, change->cut ? change->reason : ""};
  std::vector<L2Write> writes;
  writes.push_back(WriteOf(change->region, order));
  own_.Apply(std::move(writes), Deadline(),
             gate_.Reply<std::vector<L2WriteResult>>(
                 [this, change, order](const std::vector<L2WriteResult>& results) {
                   const L2WriteResult& result = results.front();
                   if (!result.status.ok()) return change->Finish(result.status);
                   if (result.outcome != L2WriteOutcome::kApplied) {
                     const absl::Status merged = versions_.Merge(result.stored.hlc);
                     if (!merged.ok()) return change->Finish(merged);
                     if (change->attempt++ < kMaxAttempts) return Store(change);
                     return change->Finish(absl::AbortedError(
                         "others cut or heal the region at the same time; look and try again"));
                   }
                   Obey(change->region, order);
                   change->Finish(absl::OkStatus());
                 }));
}

// What fails is repeated after the next read.
void RegionCuts::StoreAgain(const std::string& region, const Order& order) {
  std::vector<L2Write> writes;
  writes.push_back(WriteOf(region, order));
  own_.Apply(std::move(writes), Deadline(), [](const std::vector<L2WriteResult>&) {});
}

}  // namespace meridian
