#include "common/engine/w_tinylfu_policy.h"

#include <algorithm>
#include <cmath>

namespace meridian {
namespace {

constexpr double kFirstWindow = 0.01;
// The window and the protected segment share this; the rest is probation.
constexpr double kWindowAndProtected = kFirstWindow + 0.8 * (1 - kFirstWindow);
constexpr double kFirstStep = 0.0625;
constexpr double kStepDecay = 0.98;
constexpr double kRestart = 0.05;
// A candidate that is at least so frequent is let in at times although the victim is more so.
constexpr int kWarm = 6;
constexpr uint64_t kWarmOdds = 128;
// What one insertion moves between the regions after a step of the climber.
constexpr int kMovesPerInsert = 64;

PolicyLimits Less(PolicyLimits from, PolicyLimits part) {
  const auto rest = [](size_t all, size_t less) { return all > less ? all - less : size_t{0}; };
  return {.bytes = rest(from.bytes, part.bytes),
          .entries = rest(from.entries, part.entries),
          .charge = from.charge};
}

}  // namespace

WTinyLfuPolicy::WTinyLfuPolicy(PolicyLimits limits, KeyHasher hasher, uint64_t seed)
    : limits_(limits),
      hasher_(hasher),
      sketch_(limits.entries),
      window_(slots_, limits.charge),
      probation_(slots_, limits.charge),
      protected_(slots_, limits.charge),
      random_(seed | 1),
      window_share_(kFirstWindow),
      step_(-kFirstStep) {
  SetBounds();
}

void WTinyLfuPolicy::SetBounds() {
  const PolicyLimits main = ShareOf(limits_, 1 - window_share_);
  window_limits_ = Less(limits_, main);
  // A window of nothing would be one without a bound.
  if (limits_.bytes != 0) window_limits_.bytes = std::max<size_t>(window_limits_.bytes, 1);
  if (limits_.entries != 0) window_limits_.entries = std::max<size_t>(window_limits_.entries, 1);
  protected_limits_ = ShareOf(limits_, kWindowAndProtected - window_share_);
}

PolicyQueue& WTinyLfuPolicy::QueueOf(const EntryNode& node) {
  switch (node.policy_bits) {
    case kWindow:
      return window_;
    case kProbation:
      return probation_;
    default:
      return protected_;
  }
}

void WTinyLfuPolicy::MoveTo(Region region, EntryNode& node) {
  QueueOf(node).Remove(node);
  node.policy_bits = region;
  QueueOf(node).PushFront(node);
}

void WTinyLfuPolicy::OnInsert(EntryNode& node) {
  Climb();
  Rebalance();
  victim_ = nullptr;
  candidate_ = nullptr;
  ++misses_;
  node.policy_bits = kWindow;
  window_.PushFront(node);
  // Bounded by bytes alone, how many entries fit is seen as they come.
  if (limits_.entries == 0) {
    sketch_.Grow(window_.size() + probation_.size() + protected_.size());
  }
  sketch_.Count(hasher_.Of(node));
  // A newcomer displaces about its own size; after a step of the climber more may wait.
  for (int i = 0; i < kMovesPerInsert && window_.Exceeds(window_limits_) && window_.size() > 1;
       ++i) {
    EntryNode& leaving = window_.back();
    MoveTo(kProbation, leaving);
    if (candidate_ == nullptr) candidate_ = &leaving;
  }
}

void WTinyLfuPolicy::OnHit(EntryNode& node) {
  victim_ = nullptr;
  ++hits_;
  sketch_.Count(hasher_.Of(node));
  if (node.policy_bits != kProbation) {
    QueueOf(node).MoveToFront(node);
    return;
  }
  if (candidate_ == &node) candidate_ = nullptr;
  MoveTo(kProtected, node);
  while (protected_.Exceeds(protected_limits_) && protected_.size() > 1) {
    MoveTo(kProbation, protected_.back());
  }
}

void WTinyLfuPolicy::OnRemove(EntryNode& node) {
  victim_ = nullptr;
  if (candidate_ == &node) candidate_ = nullptr;
  QueueOf(node).Remove(node);
}

void WTinyLfuPolicy::OnEvict(EntryNode& node) {
  // The next candidate is the next that left the window, if more room is wanted.
  EntryNode* const next = candidate_ == nullptr ? nullptr : probation_.TowardsFront(*candidate_);
  OnRemove(node);
  candidate_ = next;
}

void WTinyLfuPolicy::OnReplace(EntryNode& old, EntryNode& node) {
  node.policy_bits = old.policy_bits;
  if (candidate_ == &old) candidate_ = nullptr;
  QueueOf(old).Replace(old, node);
  OnHit(node);
}

void WTinyLfuPolicy::OnMove(EntryNode& old, EntryNode& node) {
  QueueOf(old).Replace(old, node);
  if (candidate_ == &old) candidate_ = &node;
  if (victim_ == &old) victim_ = &node;
}

EntryNode& WTinyLfuPolicy::Victim() {
  if (victim_ != nullptr) return *victim_;
  EntryNode* candidate = candidate_;
  if (candidate == nullptr && !window_.empty()) candidate = &window_.back();
  EntryNode* oldest = nullptr;
  if (!probation_.empty()) {
    oldest = &probation_.back();
  } else if (!protected_.empty()) {
    oldest = &protected_.back();
  }
  if (oldest == nullptr || oldest == candidate) {
    victim_ = candidate;
  } else if (candidate == nullptr) {
    victim_ = oldest;
  } else {
    victim_ = Admits(*candidate, *oldest) ? oldest : candidate;
  }
  return *victim_;
}

bool WTinyLfuPolicy::Admits(const EntryNode& candidate, const EntryNode& victim) {
  const int frequency = sketch_.Estimate(hasher_.Of(candidate));
  if (frequency > sketch_.Estimate(hasher_.Of(victim))) return true;
  if (frequency < kWarm) return false;
  // xorshift64 (Marsaglia, 2003).
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return (random_ >> 32) % kWarmOdds == 0;
}

void WTinyLfuPolicy::Climb() {
  const uint64_t requests = hits_ + misses_;
  if (requests < sketch_.period()) return;
  const double hit_rate = static_cast<double>(hits_) / static_cast<double>(requests);
  const double change = hit_rate - last_hit_rate_;
  const double step = change >= 0 ? step_ : -step_;
  step_ = std::abs(change) >= kRestart ? std::copysign(kFirstStep, step) : step * kStepDecay;
  last_hit_rate_ = hit_rate;
  hits_ = misses_ = 0;
  window_share_ = std::clamp(window_share_ + step, 0.0, kWindowAndProtected);
  growing_ = step > 0;
  SetBounds();
}

EntryNode* WTinyLfuPolicy::NextForWindow() {
  if (!growing_ || (probation_.empty() && protected_.empty())) return nullptr;
  EntryNode& next = probation_.empty() ? protected_.back() : probation_.back();
  const bool fits = (limits_.bytes == 0 ||
                     window_.bytes() + next.charge(limits_.charge) <= window_limits_.bytes) &&
                    (limits_.entries == 0 || window_.size() < window_limits_.entries);
  return fits ? &next : nullptr;
}

void WTinyLfuPolicy::Rebalance() {
  for (int moves = 0; moves < kMovesPerInsert; ++moves) {
    if (window_.Exceeds(window_limits_) && window_.size() > 1) {
      MoveTo(kProbation, window_.back());
    } else if (protected_.Exceeds(protected_limits_) && protected_.size() > 1) {
      MoveTo(kProbation, protected_.back());
    } else if (EntryNode* next = NextForWindow(); next != nullptr) {
      MoveTo(kWindow, *next);
    } else {
      growing_ = false;
      break;
    }
  }
}

}  // namespace meridian
