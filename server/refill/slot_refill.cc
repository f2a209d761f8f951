#include "server/refill/slot_refill.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "server/node/heat_namespace.h"
#include "server/node/record.h"

namespace meridian {
namespace {

// No digest is a digest without keys, and so is what is none.
HeatDigest DigestOf(const L2Record& stored, uint32_t slot, absl::Time now) {
  const absl::StatusOr<Record> record = ParseRecord(stored.record.view());
  if (!record.ok() || record->kind != RecordKind::kValue || record->expires_at <= now) return {};
  return HeatDigest::Parse(record->value, slot).value_or(HeatDigest());
}

}  // namespace

L2Key HeatKeyOf(uint32_t slot) {
  std::string key = absl::StrCat("heat:", slot);
  const uint32_t kept_in = SlotOf(kHeatNamespace, key);
  return {kept_in, std::string(kHeatNamespace), std::move(key)};
}

SlotRefill::SlotRefill(SlotRefillOptions options, KeyRefill& keys, L2Store& l2, HeatTable& table,
                       TaskGate gate, const Clock& clock, Settled settled)
    : options_(std::move(options)),
      keys_(keys),
      l2_(l2),
      table_(table),
      gate_(std::move(gate)),
      clock_(clock),
      settled_(std::move(settled)),
      fetch_backoff_(options_.backoff),
      pump_backoff_(options_.backoff),
      random_(static_cast<std::minstd_rand::result_type>(options_.seed)) {}

void SlotRefill::SetOwned(const std::vector<uint32_t>& slots) {
  table_.SetOwned(slots);
  if (!began_ && !table_.AllSettled()) {
    began_ = clock_.Monotonic();
    filled_ = 0;
  }
  FetchDigests();
}

void SlotRefill::Followed(uint32_t number) {
  table_.SetFollowed(number, true);
  const HeatTable::Slot* const slot = table_.Find(number);
  if (slot != nullptr && slot->known) Enqueue(number);
  table_.Update();
  TellSettled();
}

void SlotRefill::Lost(uint32_t slot) {
  table_.SetFollowed(slot, false);
  table_.Update();
}

void SlotRefill::FetchDigests() {
  if (fetching_) return;
  std::vector<uint32_t> slots;
  std::vector<L2Key> keys;
  // In turn: those on a server that is away do not keep the others waiting.
  std::map<uint32_t, HeatTable::Slot>& owned = table_.slots();
  auto it = owned.upper_bound(asked_last_);
  for (size_t looked = 0; looked < owned.size(); ++looked, ++it) {
    if (it == owned.end()) it = owned.begin();
    if (it->second.known) continue;
    if (options_.keys_per_second <= 0) {
      it->second.known = true;
      it->second.faded_at = clock_.Monotonic();
      continue;
    }
    if (slots.size() == options_.digests_at_once) break;
    slots.push_back(it->first);
    keys.push_back(HeatKeyOf(it->first));
    asked_last_ = it->first;
  }
  if (slots.empty()) {
    table_.Update();
    return TellSettled();
  }
  fetching_ = true;
  l2_.Fetch(std::move(keys), clock_.Now() + options_.timeout,
            gate_.Reply<std::vector<L2Record>>(
                [this, slots = std::move(slots)](const std::vector<L2Record>& records) {
                  TakeDigests(slots, records);
                }));
}

void SlotRefill::TakeDigests(const std::vector<uint32_t>& slots,
                             const std::vector<L2Record>& records) {
  fetching_ = false;
  bool failed = false;
  for (size_t i = 0; i < slots.size(); ++i) {
    HeatTable::Slot* const slot = table_.Find(slots[i]);
    if (slot == nullptr || slot->known) continue;
    if (!records[i].status.ok()) {
      failed = true;
      continue;
    }
    slot->known = true;
    slot->faded_at = clock_.Monotonic();
    slot->digest = DigestOf(records[i], slots[i], clock_.Now());
    if (slot->followed) Enqueue(slots[i]);
  }
  table_.Update();
  if (!failed) {
    fetch_backoff_.Reset();
    return FetchDigests();
  }
  fetching_ = true;
  gate_.PostAfter(fetch_backoff_.Next(Random()), [this] {
    fetching_ = false;
    FetchDigests();
  });
}

void SlotRefill::Enqueue(uint32_t number) {
  if (options_.keys_per_second <= 0) return;
  HeatTable::Slot& slot = *table_.Find(number);
  const HeatDigest& digest = slot.digest;
  for (size_t place = HeatDigest::First(); place != digest.End(); place = digest.Next(place)) {
    Push({slot.generation, static_cast<uint32_t>(place), static_cast<uint16_t>(number),
          digest.At(place).weight, 0});
    ++slot.waiting;
  }
  if (slot.waiting == 0 || pumping_) return;
  pumped_at_ = clock_.Monotonic();
  tokens_ = 0;
  byte_debt_ = 0;
  PumpAfter(options_.tick);
}

void SlotRefill::Push(Item item) {
  heap_.push_back(item);
  std::push_heap(heap_.begin(), heap_.end());
}

std::optional<SlotRefill::Item> SlotRefill::Pop() {
  if (heap_.empty()) return std::nullopt;
  std::pop_heap(heap_.begin(), heap_.end());
  const Item item = heap_.back();
  heap_.pop_back();
  return item;
}

void SlotRefill::PumpAfter(absl::Duration delay) {
  pumping_ = true;
  gate_.PostAfter(delay, [this] { Pump(); });
}

void SlotRefill::Pump() {
  const absl::Duration now = clock_.Monotonic();
  // What was not used while L2 or nobody asked is not saved up.
  const double most =
      std::max(1.0, options_.keys_per_second * absl::ToDoubleSeconds(options_.tick));
  const double passed = absl::ToDoubleSeconds(now - pumped_at_);
  tokens_ += options_.keys_per_second * passed;
  tokens_ = std::min({tokens_, 2 * most, static_cast<double>(kMaxBatch)});
  byte_debt_ = std::max(0.0, byte_debt_ - options_.bytes_per_second * passed);
  pumped_at_ = now;
  if (!keys_.CanJudge()) return PumpAfter(options_.tick);
  if (heap_.empty() || keys_.HasRoom(0)) {
    full_at_.reset();
  } else if (IsBeingFreed()) {
    return PumpAfter(options_.tick);
  } else {
    GiveUpAll();
  }
  if (byte_debt_ > 0) {
    return PumpAfter(
        std::max(options_.tick, absl::Seconds(byte_debt_ / options_.bytes_per_second)));
  }
  const size_t limit =
      std::clamp(static_cast<size_t>(kBatchBytes / value_bytes_), size_t{1}, most_);
  std::vector<Item> items;
  std::vector<L2Key> names;
  while (tokens_ >= 1 && items.size() < limit) {
    const std::optional<Item> item = Pop();
    if (!item) break;
    const HeatTable::Slot* const slot = table_.Find(item->slot, item->generation);
    if (slot == nullptr) continue;  // Lost, or dropped, meanwhile.
    const HeatDigest::Item key = slot->digest.At(item->place);
    if (keys_.IsResident(key.name_space, key.key)) {
      Count(*item, RefillOutcome::kResident);
      continue;
    }
    tokens_ -= 1;
    items.push_back(*item);
    names.push_back({item->slot, std::string(key.name_space), std::string(key.key)});
  }
  if (items.empty()) {
    pumping_ = false;
    table_.Update();
    if (!heap_.empty()) return PumpAfter(options_.tick);
    return TellSettled();
  }
  keys_.Run(std::move(names), options_.timeout,
            gate_.Reply<RefillBatch>([this, items = std::move(items)](const RefillBatch& batch) {
              Take(items, batch);
            }));
}

void SlotRefill::Take(const std::vector<Item>& items, const RefillBatch& batch) {
  const auto count = [&batch](RefillOutcome outcome) {
    return static_cast<size_t>(std::count(batch.outcomes.begin(), batch.outcomes.end(), outcome));
  };
  const size_t late = count(RefillOutcome::kLate);
  const size_t errors = late + count(RefillOutcome::kError);
  // Where nothing is answered no key is to blame, but one that is late although it was alone.
  const bool blame = errors < items.size() || (late == 1 && items.size() == 1);
  for (size_t i = 0; i < items.size(); ++i) {
    Item item = items[i];
    const bool again =
        batch.outcomes[i] == RefillOutcome::kError || batch.outcomes[i] == RefillOutcome::kLate;
    if (again && blame) ++item.attempts;
    if (again && item.attempts < kAttempts) {
      Push(item);
    } else {
      Count(item, batch.outcomes[i]);
    }
  }
  const bool failed = errors > 0;
  Learn(batch, late > 0);
  table_.Update();
  if (!failed) pump_backoff_.Reset();
  const absl::Duration used = clock_.Monotonic() - pumped_at_;
  PumpAfter(failed ? pump_backoff_.Next(Random())
                   : std::max(absl::ZeroDuration(), options_.tick - used));
}

void SlotRefill::Learn(const RefillBatch& batch, bool late) {
  byte_debt_ += static_cast<double>(batch.bytes);
  if (late) {
    most_ = std::max(size_t{1}, std::min(most_, batch.outcomes.size()) / 2);
    return;
  }
  most_ = std::min(2 * most_, kMaxBatch);
  if (batch.bytes == 0) return;
  const double now = static_cast<double>(batch.bytes) / batch.outcomes.size();
  value_bytes_ = std::max(now, (value_bytes_ + now) / 2);
}

bool SlotRefill::IsBeingFreed() {
  const size_t entries = keys_.entries();
  if (!full_at_ || entries < *full_at_) {
    full_at_ = entries;
    freed_at_ = clock_.Monotonic();
  }
  return clock_.Monotonic() - freed_at_ < kReclaim;
}

void SlotRefill::GiveUpAll() {
  for (const Item& item : std::exchange(heap_, {})) {
    if (table_.Find(item.slot, item.generation) != nullptr) Count(item, RefillOutcome::kNoRoom);
  }
}

void SlotRefill::Count(const Item& item, RefillOutcome outcome) {
  counters_[static_cast<size_t>(outcome)].fetch_add(1, std::memory_order_relaxed);
  if (outcome == RefillOutcome::kFilled) ++filled_;
  HeatTable::Slot* const slot = table_.Find(item.slot, item.generation);
  if (slot == nullptr) return;
  --slot->waiting;
  if (outcome == RefillOutcome::kFilled || outcome == RefillOutcome::kResident) {
    slot->resident += item.weight;
  } else if (outcome == RefillOutcome::kGone || outcome == RefillOutcome::kRefused) {
    slot->gone += item.weight;
  }
}

void SlotRefill::TellSettled() {
  if (!began_ || !table_.AllSettled()) return;
  settled_(clock_.Monotonic() - *std::exchange(began_, std::nullopt), filled_);
}

}  // namespace meridian
