#include "common/engine/adaptive_policy.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace meridian {
namespace {

constexpr size_t kResolution = 256;        // Ticks a capacity.
constexpr size_t kBytesResolution = 4096;  // Of the most entries that the bytes can be.
constexpr size_t kLeastCharge = 128;
constexpr size_t kFirstGuessCharge = 512;  // When nothing is there to tell.
constexpr size_t kLearnLeast = 64;         // Requests.
constexpr double kRemakeFactor = 1.5;      // Of the capacity, when ghosts and audit are made anew.

uint64_t Spread(uint32_t hash) {
  uint64_t x = hash * uint64_t{0x9E3779B97F4A7C15};
  x ^= x >> 32;
  return x * 0xC4CEB9FE1A85EC53;
}

// The policy's two words in the node: its index in nodes_; the tick of its last use and its state.
uint32_t IndexOf(const EntryNode& node) { return node.policy_links.prev; }
void SetIndex(EntryNode& node, uint32_t index) { node.policy_links.prev = index; }
uint32_t WordOf(const EntryNode& node) { return node.policy_links.next; }
void SetWord(EntryNode& node, uint32_t word) { node.policy_links.next = word; }
ReuseState StateOf(const EntryNode& node) { return static_cast<ReuseState>(WordOf(node) & 255); }
uint32_t TickOf(const EntryNode& node) { return WordOf(node) >> 8; }

size_t MostEntries(PolicyLimits limits) {
  if (limits.entries != 0) return limits.entries;
  return std::max<size_t>(limits.bytes / kLeastCharge, 1);
}

float PowerOf2(int weight) { return std::ldexp(1.0f, weight); }

}  // namespace

AdaptivePolicy::AdaptivePolicy(PolicyLimits limits, Goal goal, uint64_t seed)
    : limits_(limits),
      goal_(goal),
      random_(seed),
      scale_(MostEntries(limits), limits.entries != 0 ? kResolution : kBytesResolution) {
  Learn();
}

size_t AdaptivePolicy::Capacity() const {
  size_t capacity = limits_.entries != 0 ? limits_.entries : MostEntries(limits_);
  if (limits_.bytes == 0) return capacity;
  const double mean = nodes_.size() < kLearnLeast ? static_cast<double>(kFirstGuessCharge)
                                                  : charges_ / static_cast<double>(nodes_.size());
  return std::clamp<size_t>(
      static_cast<size_t>(static_cast<double>(limits_.bytes) / std::max(mean, 1.0)), 1, capacity);
}

bool AdaptivePolicy::Resize(PolicyLimits limits) {
  if ((limits.bytes == 0) != (limits_.bytes == 0) || limits.charge != limits_.charge) return false;
  // Ticks that are too long or too short for the new capacity make another policy.
  const double factor =
      static_cast<double>(MostEntries(limits)) / static_cast<double>(MostEntries(limits_));
  if (factor > 4 || factor < 0.25) return false;
  limits_ = limits;
  Learn();
  return true;
}

void AdaptivePolicy::Learn() {
  const size_t capacity = Capacity();
  const bool bytes_are_short = limits_.entries == 0 || capacity < limits_.entries;
  if (bytes_are_short != bytes_are_short_) audit_for_ = 0;
  bytes_are_short_ = bytes_are_short;
  if (audit_ == nullptr || capacity != scale_.capacity()) {
    scale_.SetCapacity(capacity);
    StableFrequencyWorth(scale_, &worth_[kStableWorth]);
    DistanceWorth(scale_, &worth_[kDistanceWorth]);
    RecencyWorth(&worth_[kRecencyWorth]);
  }
  const double change = static_cast<double>(capacity) / static_cast<double>(audit_for_);
  if (audit_for_ == 0 || change > kRemakeFactor || change < 1 / kRemakeFactor) {
    audit_for_ = capacity;
    const size_t room = bytes_are_short_ ? limits_.bytes : limits_.entries;
    audit_ = std::make_unique<ReuseAudit>(capacity, room, XorShift(random_()));
    ghosts_.Resize((capacity <= kSmall ? kGhostsOfSmall : kGhosts) * capacity, capacity);
  }
  model_.Solve(scale_, &worth_[kLearnedWorth]);
  learn_at_ = requests_ + std::max(kLearnLeast, capacity / 8);
}

float AdaptivePolicy::ChargeOf(const EntryNode& node) const {
  return static_cast<float>(std::max<size_t>(node.charge(limits_.charge), 1));
}

float AdaptivePolicy::WorthOf(const EntryNode& node) const {
  const size_t reuse_class = static_cast<size_t>(ReuseClassOf(StateOf(node)));
  const size_t bucket = static_cast<size_t>(AgeBucketOf(AgeOf(TickOf(node))));
  float worth = worth_[audit_->Best()][reuse_class][bucket];
  if (node.weight() != 0) worth *= PowerOf2(node.weight());
  return goal_ == Goal::kHits && bytes_are_short_ ? worth / ChargeOf(node) : worth;
}

void AdaptivePolicy::Use(EntryNode& node, ReuseState state) {
  SetWord(node, (Tick() & kTickMask) << 8 | state);
  const uint64_t hash = Spread(node.hash());
  if (audit_->IsSampled(hash)) {
    const float charge = bytes_are_short_ ? ChargeOf(node) : 1.0f;
    const float cost = PowerOf2(node.weight()) * (goal_ == Goal::kByteHits ? charge : 1.0f);
    const ReuseTable before = audit_->Best();
    audit_->Record({node.hash(), Tick(), state, charge, cost}, worth_, &model_);
    if (audit_->Best() != before) candidates_.Clear();
  }
  if (requests_ >= learn_at_) Learn();
}

void AdaptivePolicy::Place(EntryNode& node, uint32_t index) {
  nodes_[index] = node.handle();
  SetIndex(node, index);
}

void AdaptivePolicy::OnInsert(EntryNode& node) {
  ++requests_;
  ReuseState state = kFirstUse;
  if (const auto ghost = ghosts_.Take(Spread(node.hash()), requests_)) {
    state = scale_.Next(ghost->state, static_cast<uint32_t>(ghost->distance >> scale_.tick_shift()),
                        random_);
  }
  nodes_.push_back(node.handle());
  Place(node, static_cast<uint32_t>(nodes_.size() - 1));
  if (limits_.bytes != 0) charges_ += ChargeOf(node);
  newcomer_ = &node;
  Use(node, state);
}

void AdaptivePolicy::OnHit(EntryNode& node) {
  ++requests_;
  Use(node, scale_.Next(StateOf(node), AgeOf(TickOf(node)), random_));
}

void AdaptivePolicy::OnReplace(EntryNode& old, EntryNode& node) {
  Place(node, IndexOf(old));
  SetWord(node, WordOf(old));
  if (limits_.bytes != 0) charges_ += ChargeOf(node) - ChargeOf(old);
  if (newcomer_ == &old) newcomer_ = &node;
  OnHit(node);
}

void AdaptivePolicy::OnMove(EntryNode& old, EntryNode& node) {
  Place(node, IndexOf(old));
  SetWord(node, WordOf(old));
  if (newcomer_ == &old) newcomer_ = &node;
}

void AdaptivePolicy::OnRemove(EntryNode& node) {
  const uint64_t used_at = requests_ - (uint64_t{AgeOf(TickOf(node))} << scale_.tick_shift());
  ghosts_.Put(Spread(node.hash()), StateOf(node), used_at, requests_);
  if (limits_.bytes != 0) charges_ -= ChargeOf(node);
  if (newcomer_ == &node) newcomer_ = nullptr;
  const uint32_t index = IndexOf(node);
  EntryNode& last = *EntryNode::At(nodes_.back());
  nodes_.pop_back();
  if (&last != &node) Place(last, index);
}

EntryNode& AdaptivePolicy::Victim() {
  const uint32_t count = static_cast<uint32_t>(nodes_.size());
  const uint32_t newcomer = newcomer_ == nullptr ? CandidatePool::kNone : IndexOf(*newcomer_);
  const float bar =
      newcomer_ == nullptr ? std::numeric_limits<float>::infinity() : WorthOf(*newcomer_);
  const uint32_t lowest = candidates_.Lowest(count, newcomer, bar, random_, [this](uint32_t index) {
    return WorthOf(*EntryNode::At(nodes_[index]));
  });
  if (lowest != CandidatePool::kNone) return *EntryNode::At(nodes_[lowest]);
  // Refused; or the draws met nothing but the newcomer.
  return newcomer_ != nullptr ? *newcomer_ : *EntryNode::At(nodes_[0]);
}

}  // namespace meridian
