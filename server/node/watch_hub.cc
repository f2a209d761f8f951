#include "server/node/watch_hub.h"

#include <algorithm>
#include <utility>

#include "common/rpc/topology_proto.h"
#include "common/rpc/wire_format.h"

namespace meridian {
namespace {

using Response = cache::v1::WatchResponse;

constexpr uint32_t kEventsTag = WireTag(Response::kEventsFieldNumber, WireType::kBytes);
constexpr size_t kEventOverhead = sizeof(std::string) + 16;

void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

void AppendField(uint32_t field, uint64_t value, std::string* out) {
  if (value == 0) return;
  AppendVarint(WireTag(field, WireType::kVarint), out);
  AppendVarint(value, out);
}

// As a field `events` of a WatchResponse.
void AppendEvent(const cache::v1::WatchEvent& event, std::string* out) {
  AppendVarint(kEventsTag, out);
  AppendVarint(event.ByteSizeLong(), out);
  event.AppendToString(out);
}

uint64_t Milliseconds(absl::Duration monotonic) {
  return static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(monotonic), 0));
}

uint64_t HashOf(uint32_t slot, std::string_view name_space, std::string_view key, Version version) {
  return Hash64(key, Hash64(name_space, version.hlc + slot) ^ version.region);
}

}  // namespace

void WatchHub::Changed(uint32_t slot, std::string_view name_space, std::string_view key,
                       Version version) {
  TellChange(slot, name_space, key, version, Echo::kKnown);
}

void WatchHub::MayChange(uint32_t slot, std::string_view name_space, std::string_view key,
                         Version version) {
  TellChange(slot, name_space, key, version, Echo::kUnknown);
}

void WatchHub::TellChange(uint32_t slot, std::string_view name_space, std::string_view key,
                          Version version, Echo echo) {
  // Who begins to follow later asks later, too, and then this change is in the answer.
  if (!recording_.load()) return;
  {
    absl::MutexLock lock(&mu_);
    if (!recording_.load(std::memory_order_relaxed)) return;
    const uint64_t hash = HashOf(slot, name_space, key, version);
    uint64_t& recent = recent_[hash % kRecent];
    if (recent == hash) {
      ++stats_.duplicates;
      return;
    }
    if (echo == Echo::kKnown) recent = hash;
    scratch_.Clear();
    scratch_.set_slot(slot);
    scratch_.set_namespace_(name_space.data(), name_space.size());
    scratch_.set_key(key.data(), key.size());
    ToProto(version, scratch_.mutable_version());
    Append(slot);
  }
  Tell();
}

void WatchHub::Fenced(std::string_view name_space, FenceKind kind, std::string_view scope,
                      Version version) {
  if (!recording_.load()) return;
  {
    absl::MutexLock lock(&mu_);
    if (!recording_.load(std::memory_order_relaxed)) return;
    scratch_.Clear();
    scratch_.set_namespace_(name_space.data(), name_space.size());
    cache::v1::WatchFence* fence = scratch_.mutable_fence();
    if (kind == FenceKind::kTag) fence->set_tag(scope.data(), scope.size());
    if (kind == FenceKind::kPrefix) fence->set_prefix(scope.data(), scope.size());
    ToProto(version, scratch_.mutable_version());
    Append(kEverySlot);
    settle_step_ = kFirstSettle;
    settle_at_ = clock_.Monotonic() + settle_step_;
  }
  Tell();
}

void WatchHub::SlotFollowed(uint32_t slot) {
  {
    absl::MutexLock lock(&mu_);
    TellGap(slot, /*ended=*/false);
    followed_[slot].store(true, std::memory_order_release);
  }
  Tell();
}

void WatchHub::SlotLost(uint32_t slot) {
  {
    absl::MutexLock lock(&mu_);
    if (!followed_[slot].load(std::memory_order_relaxed)) return;
    followed_[slot].store(false, std::memory_order_release);
    TellGap(slot, /*ended=*/true);
  }
  Tell();
}

void WatchHub::SlotGap(uint32_t slot) {
  {
    absl::MutexLock lock(&mu_);
    if (!followed_[slot].load(std::memory_order_relaxed)) return;
    TellGap(slot, /*ended=*/false);
  }
  Tell();
}

void WatchHub::AllGap() {
  {
    absl::MutexLock lock(&mu_);
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
      if (followed_[slot].load(std::memory_order_relaxed)) TellGap(slot, /*ended=*/false);
    }
  }
  Tell();
}

void WatchHub::TellGap(uint32_t slot, bool ended) {
  ++stats_.slot_gaps;
  if (!recording_.load(std::memory_order_relaxed)) return;
  scratch_.Clear();
  scratch_.set_slot(slot);
  scratch_.mutable_gap()->set_ended(ended);
  Append(slot);
}

void WatchHub::CaughtUp(absl::Duration at) {
  {
    absl::MutexLock lock(&mu_);
    complete_ = std::max(complete_, at);
    if (complete_ < settle_at_) return;
    ++settles_;
    settle_step_ *= 3;
    settle_at_ =
        settle_step_ <= kLongestSettle ? complete_ + settle_step_ : absl::InfiniteDuration();
  }
  Tell();
}

void WatchHub::Append(uint32_t slot) {
  Event event{slot, {}};
  AppendEvent(scratch_, &event.encoded);
  ring_bytes_ += event.encoded.size() + kEventOverhead;
  ring_.push_back(std::move(event));
  ++last_;
  ++stats_.events;
  Trim();
  if (stats_.readers == 0 && ++unread_ >= options_.max_events) Rest();
}

void WatchHub::Trim() {
  while (ring_.size() > options_.max_events || ring_bytes_ > options_.max_bytes) {
    ring_bytes_ -= ring_.front().encoded.size() + kEventOverhead;
    ring_.pop_front();
  }
}

void WatchHub::Rest() {
  recording_.store(false);
  ring_.clear();
  ring_bytes_ = 0;
  recent_.fill(0);
  ++last_;  // Stands for all that is not kept: nobody can go on from before.
}

WatchHub::Reader WatchHub::Open(SlotSet slots, uint64_t resume_after, uint64_t incarnation) {
  absl::MutexLock lock(&mu_);
  recording_.store(true);
  ++stats_.readers;
  unread_ = 0;
  Reader reader;
  reader.slots = slots;
  const uint64_t first_kept = last_ - ring_.size();  // Everything after this number is there.
  const bool known = incarnation == options_.incarnation && resume_after >= first_kept &&
                     resume_after <= last_ && resume_after != 0;
  if (known) ++stats_.resumed;
  reader.sent = known ? resume_after : last_;
  reader.told = known ? resume_after : 0;
  reader.all_lost = !known && resume_after != 0;
  reader.settled = settles_;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    if (slots[slot] && !followed_[slot].load(std::memory_order_relaxed)) reader.ended.set(slot);
  }
  return reader;
}

void WatchHub::Close(const Reader&) {
  absl::MutexLock lock(&mu_);
  --stats_.readers;
}

bool WatchHub::Read(Reader* reader, bool alive, std::string* message) {
  absl::MutexLock lock(&mu_);
  const bool first = !std::exchange(reader->opened, true);
  std::string events;
  cache::v1::WatchEvent gap;
  const auto tell_gap = [&](uint32_t slot, bool ended) {
    gap.set_slot(slot);
    gap.mutable_gap()->set_ended(ended);
    AppendEvent(gap, &events);
  };
  if (reader->sent < last_ - ring_.size()) {
    ++stats_.overruns;
    reader->all_lost = true;
    reader->sent = last_;
  }
  if (std::exchange(reader->all_lost, false)) {
    // What is not followed any more comes as ended: its own event may be among those lost.
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
      if (reader->slots[slot]) tell_gap(slot, !followed_[slot].load(std::memory_order_relaxed));
    }
  } else if (reader->ended.any()) {
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
      if (reader->ended[slot]) tell_gap(slot, /*ended=*/true);
    }
  }
  reader->ended.reset();
  for (size_t i = ring_.size() - (last_ - reader->sent); i < ring_.size(); ++i) {
    if (events.size() >= options_.message_bytes) break;
    const Event& event = ring_[i];
    if (event.slot == kEverySlot || reader->slots[event.slot]) events += event.encoded;
    ++reader->sent;
  }
  const bool at_the_end = reader->sent == last_;
  const bool settled = at_the_end && std::exchange(reader->settled, settles_) != settles_;
  if (events.empty() && !alive && !first && !settled) return false;
  const absl::Duration now = clock_.Monotonic();
  message->clear();
  AppendField(Response::kSequenceFieldNumber, reader->sent, message);
  AppendField(Response::kIncarnationFieldNumber, options_.incarnation, message);
  AppendField(Response::kPreviousFieldNumber, reader->told, message);
  AppendField(Response::kSentAtMsFieldNumber, Milliseconds(now), message);
  if (at_the_end) {
    AppendField(Response::kCompleteAtMsFieldNumber,
                Milliseconds(options_.own_writes_only ? now : complete_), message);
  }
  *message += events;
  reader->told = reader->sent;
  return true;
}

WatchStats WatchHub::Stats() const {
  absl::MutexLock lock(&mu_);
  WatchStats stats = stats_;
  stats.ring_events = ring_.size();
  stats.ring_bytes = ring_bytes_;
  return stats;
}

}  // namespace meridian
