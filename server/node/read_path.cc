#include "server/node/read_path.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "server/node/absence.h"
#include "server/node/entry_rules.h"
#include "server/node/key_form.h"
#include "server/node/read_call.h"
#include "server/node/routing.h"
#include "server/node/value_codec.h"

namespace meridian {
namespace {

void Add(std::atomic<uint64_t>& counter, uint64_t n) {
  counter.fetch_add(n, std::memory_order_relaxed);
}

}  // namespace

bool ReadPath::ReadMirror(const ReadRequest& request, const Namespace& name_space,
                          const KeyPolicy& form, std::string_view key, const Member& owner,
                          ReadResult* result) {
  // Who wants what is true now asks the owner. Who wants the right to fill a missing key finds that
  // it is not missing.
  if (request.options.force_refresh) return false;
  if (!request.options.warm_source.empty()) return false;  // The copy is the mirror's affair.
  // The mirror would ask for it by this name, which its owner takes for a caller's.
  if (!KeepsForm(form, key)) return false;
  ReadResult mirrored;
  if (!mirrors_->Read(request.name_space, key, owner, &mirrored)) return false;
  const uint64_t written = mirrored.written != 0 ? mirrored.written : mirrored.version.hlc;
  // Fences are in force here when they are confirmed, whatever the owner's stream has told so far.
  if (context_.engine.fences().Covers(name_space.id, key, mirrored.tags.view(), written)) {
    return false;
  }
  if (!request.options.with_tags) {
    mirrored.tags = Buffer();
    mirrored.written = 0;
  }
  if (name_space.rates.IsSampled()) {
    name_space.rates.Count(context_.engine.HashOf(name_space.id, key), key,
                           context_.clock.Monotonic());
  }
  *result = std::move(mirrored);
  return true;
}

void ReadPath::Read(const ReadRequest& request, ReadCallback callback) {
  std::vector<ReadResult> results(request.keys.size());
  const Namespace* name_space = context_.namespaces.Resolve(request.name_space);
  if (name_space == nullptr) {
    for (ReadResult& result : results)
      SetError(TooManyNamespacesError(request.name_space), &result);
    callback(std::move(results));
    return;
  }
  const TopologyHolder::Snapshot topology = context_.topology.Get();
  const uint16_t self = topology->IndexOf(context_.node_id);
  const SlotPolicies policies =
      request.policies == nullptr ? name_space->policies() : *request.policies;
  const bool warms = !request.options.warm_source.empty();
  const bool watched = policies.Any(WatchesKeys) && !warms;
  const absl::Duration monotonic = context_.clock.Monotonic();
  const absl::Time wall = context_.clock.Now();
  std::vector<MissedKey> misses;
  std::vector<uint32_t> ownerless;
  OwnerGroups groups;
  // By the version of the policies of their slots.
  std::array<uint64_t, ReadFigures::kVersions> hits = {};
  bool encoded = false;
  // Keys of ours, looked for in L1 a batch at a time.
  const size_t batch = std::min(request.keys.size(), Engine::kMaxBatch);
  absl::InlinedVector<EntryKey, 4> ours(batch);
  absl::InlinedVector<uint32_t, 4> indexes(batch);
  absl::InlinedVector<Lookup, 4> answers(batch);
  size_t waiting = 0;
  const auto look_up = [&] {
    if (request.options.force_refresh) {
      for (size_t n = 0; n < waiting; ++n) {
        answers[n].found = false;
        answers[n].token = context_.engine.BeginFill(ours[n]);
      }
    } else {
      context_.engine.GetBatch({ours.data(), waiting}, monotonic, answers.data(),
                               warms ? LookKind::kWarming : LookKind::kRequest);
    }
    for (size_t n = 0; n < waiting; ++n) {
      const EntryKey& key = ours[n];
      if (!warms && name_space->rates.IsSampled()) {
        name_space->rates.Count(key.hash, key.key, monotonic);
      }
      if (!answers[n].found) {
        if (watched) context_.activity->OnMiss(key.hash, monotonic);
        if (!warms) NoteTraffic(*name_space, TrafficKind::kMiss, key, monotonic);
        misses.push_back(MissedKey{indexes[n], key, answers[n].token});
        continue;
      }
      Entry& entry = answers[n].entry;
      const NamespacePolicy& policy = policies.Of(key.slot);
      if (watched) {
        switch (OnL1Hit(context_, *name_space, policy, key, entry, monotonic)) {
          case HitFollowUp::kNothing:
            break;
          case HitFollowUp::kReadL2:
            misses_.Refresh(*name_space, key, entry.version);
            break;
          case HitFollowUp::kLoad:
            misses_.Reload(*name_space, key);
            break;
        }
      }
      ++hits[name_space->figures->IndexOf(policies.VersionOf(key.slot))];
      ReadResult& result = results[indexes[n]];
      if (IsAbsence(entry)) {
        if (!warms) Add(name_space->counters.origin.negative_hits, 1);
        result.tier = Tier::kL1;
        continue;
      }
      result.state = EntryState::kOk;
      result.tier = Tier::kL1;
      result.encoding = entry.encoding;
      encoded |= entry.encoding != Encoding::kIdentity;
      result.raw_size = entry.raw_size;
      result.version = entry.version;
      result.ttl = entry.expires_at - monotonic;
      result.age = std::max(wall - entry.version.time(), absl::ZeroDuration());
      // Without L2 it would be written anew; with it, it would come back for what is left there.
      if (!warms) {
        NoteEntry(*name_space, TrafficKind::kHit, key, EntryCharge(key.key.size(), entry),
                  {.given = context_.l1_only ? result.ttl + result.age
                                             : std::max(policy.l1_ttl, result.ttl)},
                  monotonic);
      }
      if (request.options.with_tags) {
        result.tags = std::move(entry.tags);
        result.written = entry.written;
      }
      result.value = std::move(entry.value);
    }
    waiting = 0;
  };
  for (uint32_t i = 0; i < request.keys.size(); ++i) {
    EntryKey key;
    key.key = request.keys[i];
    key.slot = SlotOf(request.name_space, key.key);
    const uint16_t owner = topology->OwnerIndex(key.slot);
    if (owner != self || self == Topology::kNoOwner) {
      if (request.caller == Caller::kPeer) {
        SetError(NotOwnerError(*topology, key.slot, context_.node_id), &results[i]);
      } else if (owner == Topology::kNoOwner) {
        ownerless.push_back(i);
      } else if (mirrors_ != nullptr &&
                 ReadMirror(request, *name_space, policies.base().key, key.key,
                            topology->members()[owner], &results[i])) {
        ++hits[name_space->figures->IndexOf(policies.VersionOf(key.slot))];
        encoded |= results[i].encoding != Encoding::kIdentity;
      } else {
        AddToGroup(owner, i, &groups);
      }
      continue;
    }
    key.name_space = name_space->id;
    key.hash = context_.engine.HashOf(key.name_space, key.key);
    ours[waiting] = key;
    indexes[waiting] = i;
    if (++waiting == batch) look_up();
  }
  if (waiting > 0) look_up();
  for (size_t version = 0; version < hits.size() && !warms; ++version) {
    if (hits[version] == 0) continue;
    Add(name_space->counters.l1_hits, hits[version]);
    name_space->figures->Count(version, ReadTier::kL1, context_.clock.Monotonic() - monotonic,
                               hits[version]);
  }
  if (!ownerless.empty() && context_.l1_only) {
    for (const uint32_t i : ownerless) {
      SetError(Error{grpc::StatusCode::UNAVAILABLE,
                     reason::kNoOwner,
                     "no node of the region owns the key's slot yet",
                     {}},
               &results[i]);
    }
    ownerless.clear();
  }
  if (misses.empty() && ownerless.empty() && groups.empty()) {
    if (encoded && !request.options.accept_encoded) {
      InflateValues(request.options.omit_value, name_space->counters.compression, &results);
    }
    callback(std::move(results));
    return;
  }
  std::make_shared<ReadCall>(*this, context_, misses_, request, *name_space, policies, topology,
                             std::move(results), std::move(callback), monotonic)
      ->Start(misses, std::move(ownerless), std::move(groups));
}

}  // namespace meridian
