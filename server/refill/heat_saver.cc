#include "server/refill/heat_saver.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "common/base/hash.h"
#include "server/node/limits.h"
#include "server/node/record.h"
#include "server/refill/slot_refill.h"

namespace meridian {
namespace {

bool IsHotter(const HeatKey& a, const HeatKey& b) { return a.weight > b.weight; }

}  // namespace

HeatSaver::HeatSaver(HeatSaverOptions options, const NodeContext& context, const KeyRefill& keys,
                     HeatTable& table, TaskGate gate)
    : options_(options), context_(context), keys_(keys), table_(table), gate_(std::move(gate)) {}

void HeatSaver::Start() { BeginRoundAfter(options_.interval); }

void HeatSaver::Hurry(std::function<void()> done) {
  hurried_.push_back(std::move(done));
  if (!in_round_) BeginRoundAfter(absl::ZeroDuration());
}

void HeatSaver::BeginRoundAfter(absl::Duration delay) {
  gate_.PostAfter(delay, [this, round = ++next_round_] {
    if (round == next_round_) BeginRound();
  });
}

void HeatSaver::BeginRound() {
  in_round_ = true;
  round_began_ = context_.clock.Monotonic();
  place_ = {};
  wanted_.assign(kSlotCount, false);
  found_.clear();
  for (const auto& [number, slot] : table_.slots()) {
    if (!slot.settled()) continue;
    wanted_[number] = true;
    found_[number].generation = slot.generation;
  }
  if (found_.empty()) return EndRound();
  Walk();
}

void HeatSaver::Walk() {
  const absl::Duration now = context_.clock.Monotonic();
  std::vector<ResidentKey> keys;
  const bool more = context_.engine.Walk(&place_, options_.walk_buckets, wanted_, now, &keys);
  for (const ResidentKey& key : keys) Note(key, now);
  gate_.PostAfter(Pause(), [this, more] { more ? Walk() : Finish(); });
}

void HeatSaver::Note(const ResidentKey& key, absl::Duration now) {
  if (key.name_space > names_.size()) names_ = context_.engine.NamespaceNames();
  const std::string& name_space = names_[key.name_space - 1];
  if (IsInternalNamespace(name_space)) return;
  Entry entry;
  const EntryKey name{key.name_space, key.slot, context_.engine.HashOf(key.name_space, key.key),
                      key.key};
  if (!context_.engine.Peek(name, now, &entry) || entry.hits == 0) return;
  std::vector<HeatKey>& keys = found_[key.slot].keys;
  if (keys.size() == HeatDigest::kMaxKeys) {
    if (keys.front().weight >= entry.hits) return;
    std::pop_heap(keys.begin(), keys.end(), IsHotter);
    keys.pop_back();
  }
  keys.push_back({name_space, key.key, entry.hits});
  std::push_heap(keys.begin(), keys.end(), IsHotter);
}

void HeatSaver::Finish() {
  const absl::Duration now = context_.clock.Monotonic();
  std::vector<Saving> batch;
  for (size_t n = 0; n < options_.save_slots && !found_.empty(); ++n) {
    auto one = found_.extract(found_.begin());
    HeatTable::Slot* const slot = table_.Find(one.key(), one.mapped().generation);
    if (slot == nullptr || !slot->settled()) continue;
    const bool fades = now - slot->faded_at >= options_.half_life;
    if (fades) slot->faded_at = now;
    HeatDigest digest = DigestOf(slot->digest, fades, std::move(one.mapped().keys));
    if (HeatDigest::Overlap(digest, slot->digest) < kSame) {
      slot->digest = std::move(digest);
      slot->saved = false;
    }
    slot->gone = 0;
    slot->resident = ResidentOf(slot->digest);
    if (now - slot->saved_at > options_.ttl / 2) slot->saved = false;
    const bool is_news = !slot->digest.empty() || slot->was_saved;
    if (!slot->saved && is_news)
      batch.push_back({one.key(), slot->generation, slot->digest.bytes()});
  }
  table_.Update();
  if (!batch.empty() && context_.CheckClock().ok()) return Save(std::move(batch));
  if (found_.empty()) return EndRound();
  gate_.PostAfter(Pause(), [this] { Finish(); });
}

HeatDigest HeatSaver::DigestOf(const HeatDigest& last, bool fades,
                               std::vector<HeatKey> found) const {
  absl::flat_hash_map<std::pair<std::string, std::string>, size_t> places;
  for (size_t i = 0; i < found.size(); ++i) places[{found[i].name_space, found[i].key}] = i;
  for (size_t place = HeatDigest::First(); place != last.End(); place = last.Next(place)) {
    const HeatDigest::Item item = last.At(place);
    const bool stays = !fades && keys_.IsResident(item.name_space, item.key);
    const uint8_t weight = stays ? item.weight : item.weight / 2;
    std::pair<std::string, std::string> name(item.name_space, item.key);
    if (const auto it = places.find(name); it != places.end()) {
      found[it->second].weight = std::max(found[it->second].weight, weight);
    } else if (weight > 0) {
      found.push_back({std::move(name.first), std::move(name.second), weight});
    }
  }
  return HeatDigest::Of(std::move(found));
}

uint32_t HeatSaver::ResidentOf(const HeatDigest& digest) const {
  uint32_t weight = 0;
  for (size_t place = HeatDigest::First(); place != digest.End(); place = digest.Next(place)) {
    const HeatDigest::Item item = digest.At(place);
    if (keys_.IsResident(item.name_space, item.key)) weight += item.weight;
  }
  return weight;
}

void HeatSaver::Save(std::vector<Saving> batch) {
  const absl::Time now = context_.clock.Now();
  std::vector<L2Write> writes;
  for (const Saving& saving : batch) {
    L2Write write;
    write.key = HeatKeyOf(saving.slot);
    write.version = context_.versions.Next();
    write.expires_at = now + options_.ttl;
    write.retention = options_.ttl;
    write.logged = false;  // Whoever needs it asks for it.
    AppendRecord({.version = write.version,
                  .expires_at = write.expires_at,
                  .raw_size = static_cast<uint32_t>(saving.bytes.size()),
                  .tags = {},
                  .value = saving.bytes},
                 &write.record);
    writes.push_back(std::move(write));
  }
  context_.l2.Apply(std::move(writes), now + options_.timeout,
                    gate_.Reply<std::vector<L2WriteResult>>(
                        [this, batch = std::move(batch)](
                            const std::vector<L2WriteResult>& results) { Saved(batch, results); }));
}

void HeatSaver::Saved(const std::vector<Saving>& batch, const std::vector<L2WriteResult>& results) {
  for (size_t i = 0; i < batch.size(); ++i) {
    const bool applied = results[i].status.ok() && results[i].outcome == L2WriteOutcome::kApplied;
    if (results[i].status.ok() && !applied) (void)context_.versions.Merge(results[i].stored.hlc);
    if (!results[i].status.ok() && !hurried_.empty()) found_.clear();  // Nobody waits for more.
    if (!applied) continue;  // The next round tries again.
    saved_.fetch_add(1, std::memory_order_relaxed);
    HeatTable::Slot* const slot = table_.Find(batch[i].slot, batch[i].generation);
    if (slot == nullptr) continue;
    slot->saved = slot->was_saved = true;
    slot->saved_at = context_.clock.Monotonic();
  }
  if (found_.empty()) return EndRound();
  gate_.PostAfter(Pause(), [this] { Finish(); });
}

void HeatSaver::EndRound() {
  in_round_ = false;
  const absl::Duration took = context_.clock.Monotonic() - round_began_;
  BeginRoundAfter(std::max(options_.tick, options_.interval - took));
  for (const std::function<void()>& done : std::exchange(hurried_, {})) done();
}

}  // namespace meridian
