#include "common/near/watch_follower.h"

#include <algorithm>
#include <string_view>

namespace meridian {
namespace {

Version VersionOf(const cache::v1::WatchEvent& event) {
  return {event.version().hlc(), static_cast<uint16_t>(event.version().region())};
}

}  // namespace

void WatchFollower::SetSlots(const Slots& slots) {
  const Slots gone = slots_ & ~slots;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    if (gone[slot]) Detach(slot);
  }
  slots_ = slots;
}

cache::v1::WatchRequest WatchFollower::Begin(absl::Duration now) {
  // Those that no stream was asked for are not known as of `sequence_`.
  asked_ = slots_;
  first_ = true;
  began_ = now;
  cache::v1::WatchRequest request;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    if (slots_[slot]) request.add_slots(slot);
  }
  request.set_resume_after(incarnation_ == 0 ? 0 : sequence_);
  request.set_incarnation(incarnation_);
  return request;
}

bool WatchFollower::Take(const cache::v1::WatchResponse& message) {
  if (first_) {
    if (!TakeFirst(message)) return false;
  } else if (message.incarnation() != incarnation_ || message.previous() > sequence_) {
    Forget();  // A message is missing.
    return false;
  }
  if (message.sequence() >= sequence_) {
    for (const cache::v1::WatchEvent& event : message.events()) TakeEvent(event);
    sequence_ = message.sequence();
  }
  if (message.complete_at_ms() != 0) {
    // Signed: it may be from before the stream.
    const int64_t since = static_cast<int64_t>(message.complete_at_ms() - began_at_ms_);
    complete_ = std::max(complete_, began_ + absl::Milliseconds(since));
    cache_.Heard(source_, incarnation_, complete_);
  }
  return true;
}

bool WatchFollower::TakeFirst(const cache::v1::WatchResponse& message) {
  if (message.incarnation() == 0) return false;
  const bool goes_on =
      incarnation_ == message.incarnation() && sequence_ != 0 && message.previous() == sequence_;
  if (goes_on) {
    ++resumes_;
  } else {
    if (incarnation_ != 0) ++restarts_;
    Forget();
    incarnation_ = message.incarnation();
    sequence_ = message.sequence();
    complete_ = absl::ZeroDuration();
  }
  first_ = false;
  began_at_ms_ = message.sent_at_ms();
  // Before anything of them is served; see NearCache::Fill for who asks.
  cache_.Heard(source_, incarnation_, complete_);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    if (asked_[slot] && slots_[slot] && !attached_[slot]) Attach(slot);
  }
  return true;
}

void WatchFollower::TakeEvent(const cache::v1::WatchEvent& event) {
  if (event.has_fence()) {
    const cache::v1::WatchFence& fence = event.fence();
    if (fence.has_tag()) {
      cache_.Fenced(event.namespace_(), FenceScope::kTag, fence.tag(), VersionOf(event));
    } else if (fence.has_prefix()) {
      cache_.Fenced(event.namespace_(), FenceScope::kPrefix, fence.prefix(), VersionOf(event));
    } else {
      cache_.Fenced(event.namespace_(), FenceScope::kNamespace, {}, VersionOf(event));
    }
    return;
  }
  const uint32_t slot = event.slot();
  if (slot >= kSlotCount || !slots_[slot] || !asked_[slot]) return;
  if (event.has_key()) {
    if (attached_[slot]) {
      cache_.Changed(slot, event.namespace_(), event.key(), VersionOf(event));
    }
  } else if (event.has_gap() && event.gap().ended()) {
    Detach(slot);
  } else if (attached_[slot]) {
    cache_.Gap(slot);  // Also what this build does not know: it may be anything.
  } else {
    Attach(slot);
  }
}

void WatchFollower::Attach(uint32_t slot) {
  attached_.set(slot);
  cache_.Attach(slot, source_);
}

void WatchFollower::Detach(uint32_t slot) {
  if (!attached_[slot]) return;
  attached_.reset(slot);
  cache_.Detach(slot, source_);
}

void WatchFollower::Forget() {
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) Detach(slot);
  incarnation_ = 0;
  sequence_ = 0;
}

}  // namespace meridian
