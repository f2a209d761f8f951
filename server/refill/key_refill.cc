#include "server/refill/key_refill.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "common/base/hash.h"
#include "server/node/l1_fill.h"
#include "server/node/record.h"

namespace meridian {
namespace {

size_t ShareOf(size_t bound) {
  return static_cast<size_t>(static_cast<double>(bound) * KeyRefill::kFullShare);
}

}  // namespace

const char* RefillOutcomeName(RefillOutcome outcome) {
  switch (outcome) {
    case RefillOutcome::kFilled:
      return "filled";
    case RefillOutcome::kResident:
      return "resident";
    case RefillOutcome::kGone:
      return "gone";
    case RefillOutcome::kRefused:
      return "refused";
    case RefillOutcome::kNoRoom:
      return "no_room";
    case RefillOutcome::kFailed:
      return "failed";
    case RefillOutcome::kLate:
      return "late";
    case RefillOutcome::kError:
      break;
  }
  return "error";
}

// A Fetch that is under way, and what L1 had seen of its keys before it.
struct KeyRefill::Batch {
  struct One {
    One(size_t index_in, L2Key name_in, const Namespace& name_space_in, const Engine& engine)
        : index(index_in),
          name(std::move(name_in)),
          name_space(name_space_in),
          key{name_space.id, name.slot, engine.HashOf(name_space.id, name.key), name.key},
          watch(engine.Watch(key)),
          token(engine.BeginFill(key)) {}
    const size_t index;  // Of the caller.
    const L2Key name;
    const Namespace& name_space;
    const EntryKey key;  // Points into `name`.
    const KeyWatch watch;
    const FillToken token;
  };
  std::vector<std::unique_ptr<One>> wanted;
  RefillBatch answer;
  Done done;
};

bool KeyRefill::CanJudge() const {
  return (context_.clock_guard == nullptr || context_.clock_guard->ok()) &&
         (context_.fences == nullptr || context_.fences->known());
}

bool KeyRefill::HasRoom(size_t bytes) const {
  const EngineOptions& options = context_.engine.options();
  if (context_.engine.bytes() + bytes > ShareOf(options.capacity_bytes)) return false;
  return options.capacity_entries == 0 ||
         context_.engine.entries() < ShareOf(options.capacity_entries);
}

bool KeyRefill::HasRoom(const Namespace& name_space, const NamespacePolicy& policy, size_t key_size,
                        const Entry& entry) const {
  const size_t charge = EntryCharge(key_size, entry);
  if (!HasRoom(charge)) return false;
  for (size_t i = 0; i < std::min(policy.pools.size(), Namespace::kMaxOwnPools); ++i) {
    if (entry.pool == kSharedPool || name_space.pool(i) != entry.pool) continue;
    const PoolUse use = context_.engine.UseOf(entry.pool);
    const PoolPolicy& pool = policy.pools[i];
    if (pool.max_bytes != 0 && use.bytes + charge > ShareOf(pool.max_bytes)) return false;
    if (pool.max_entries != 0 && use.entries >= ShareOf(pool.max_entries)) return false;
  }
  return true;
}

bool KeyRefill::IsResident(std::string_view name_space, std::string_view key) const {
  const Namespace* const known = context_.namespaces.Resolve(name_space);
  if (known == nullptr) return false;
  Entry entry;
  return context_.engine.Peek(
      {known->id, SlotOf(name_space, key), context_.engine.HashOf(known->id, key), key},
      context_.clock.Monotonic(), &entry);
}

void KeyRefill::Run(std::vector<L2Key> keys, absl::Duration timeout, Done done) {
  auto batch = std::make_shared<Batch>();
  batch->answer.outcomes.assign(keys.size(), RefillOutcome::kRefused);
  batch->done = std::move(done);
  const absl::Duration now = context_.clock.Monotonic();
  const TopologyHolder::Snapshot topology = context_.topology.Get();
  std::vector<L2Key> asked;
  for (size_t i = 0; i < keys.size(); ++i) {
    const Namespace* const name_space = context_.namespaces.Resolve(keys[i].name_space);
    if (name_space == nullptr) continue;
    auto one = std::make_unique<Batch::One>(i, std::move(keys[i]), *name_space, context_.engine);
    // After the token: an owner that changes later voids it.
    const Member* const owner = topology->OwnerOf(one->name.slot);
    if (owner == nullptr || owner->id != context_.node_id) continue;
    Entry entry;
    if (context_.engine.Peek(one->key, now, &entry)) {
      batch->answer.outcomes[i] = RefillOutcome::kResident;
      continue;
    }
    asked.push_back(one->name);
    batch->wanted.push_back(std::move(one));
  }
  if (asked.empty()) return batch->done(std::move(batch->answer));
  context_.l2.FetchFromPrimary(std::move(asked), context_.clock.Now() + timeout,
                               [this, batch](const std::vector<L2Record>& records) {
                                 for (size_t i = 0; i < records.size(); ++i) {
                                   batch->answer.bytes += records[i].record.size();
                                   batch->answer.outcomes[batch->wanted[i]->index] =
                                       Take(*batch, i, records[i]);
                                 }
                                 batch->wanted.clear();
                                 batch->done(std::move(batch->answer));
                               });
}

RefillOutcome KeyRefill::Take(const Batch& batch, size_t i, const L2Record& stored) {
  if (absl::IsDeadlineExceeded(stored.status)) return RefillOutcome::kLate;
  if (absl::IsUnavailable(stored.status)) return RefillOutcome::kError;
  if (!stored.status.ok()) return RefillOutcome::kFailed;
  if (!CanJudge()) return RefillOutcome::kError;  // It could when it asked: later, again.
  if (stored.record.empty()) return RefillOutcome::kGone;
  return PutIn(batch, i, stored);
}

RefillOutcome KeyRefill::PutIn(const Batch& batch, size_t i, const L2Record& stored) {
  const Batch::One& one = *batch.wanted[i];
  const absl::StatusOr<Record> record = ParseRecord(stored.record.view());
  if (!record.ok()) return RefillOutcome::kGone;
  (void)context_.versions.Merge(record->version.hlc);  // A skewed one is refused, the value stands.
  const absl::Duration ttl = record->expires_at - context_.clock.Now();
  if (record->kind == RecordKind::kTombstone || ttl <= absl::ZeroDuration()) {
    return RefillOutcome::kGone;
  }
  const Buffer value =
      record->kind == RecordKind::kValue ? Buffer::CopyOf(record->value) : Buffer();
  return Put(one.name_space, one.key, *record, ttl, value, one.token);
}

RefillOutcome KeyRefill::Put(const Namespace& name_space, const EntryKey& key, const Record& record,
                             absl::Duration ttl, const Buffer& value, const FillToken& token) {
  if (WaitsForL2(name_space.name, key.key)) return RefillOutcome::kRefused;
  const absl::Duration now = context_.clock.Monotonic();
  const SlotPolicies policies = name_space.policies();
  const NamespacePolicy& policy = policies.Of(key.slot);
  std::optional<Entry> entry =
      EntryOfRecord(context_, name_space, policy, key, record, ttl, value, Placing::kAgain, now);
  if (!entry) return RefillOutcome::kRefused;
  if (!HasRoom(name_space, policy, key.key.size(), *entry)) return RefillOutcome::kNoRoom;
  const PutOutcome put = context_.engine.PutFill(key, *std::move(entry), now, token);
  if (put == PutOutcome::kStored) return RefillOutcome::kFilled;
  const bool is_there = put == PutOutcome::kStale || put == PutOutcome::kRenewed;
  return is_there ? RefillOutcome::kResident : RefillOutcome::kRefused;
}

bool KeyRefill::WaitsForL2(std::string_view name_space, std::string_view key) const {
  return context_.hints != nullptr && !context_.hints->empty() &&
         context_.hints->Find(name_space, key);
}

}  // namespace meridian
