#include "common/engine/adaptive_policy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace meridian {
namespace {

constexpr size_t kResolution = 256;        // Ticks a capacity.
constexpr size_t kBytesResolution = 4096;  // Of the most entries that the bytes can be.
constexpr size_t kLeastCharge = 128;
constexpr size_t kFirstGuessCharge = 512;  // When nothing is there to tell.
constexpr size_t kLearnLeast = 64;         // Requests.
constexpr double kRemakeFactor = 1.5;      // Of the capacity, when the ghosts are made anew.

uint64_t Spread(uint32_t hash) {
  uint64_t x = hash * uint64_t{0x9E3779B97F4A7C15};
  x ^= x >> 32;
  return x * 0xC4CEB9FE1A85EC53;
}

// A charge as the nearest eighth of an octave, and back.
uint8_t SizeCodeOf(float charge) {
  return static_cast<uint8_t>(std::min(8 * std::log2(charge) + 0.5f, 255.0f));
}
const std::array<float, 256> kChargeOfCode = [] {
  std::array<float, 256> charges = {};
  for (size_t code = 0; code < charges.size(); ++code) {
    charges[code] = std::exp2(static_cast<float>(code) / 8);
  }
  return charges;
}();

size_t MostEntries(PolicyLimits limits) {
  if (limits.entries != 0) return limits.entries;
  return std::max<size_t>(limits.bytes / kLeastCharge, 1);
}

float PowerOf2(int weight) { return std::ldexp(1.0f, weight); }

}  // namespace

std::vector<std::unique_ptr<EvictionPolicy>> AdaptivePolicy::Create(
    const std::vector<PolicyLimits>& shards, Goal goal, KeyHasher hasher, uint64_t seed) {
  std::vector<std::unique_ptr<EvictionPolicy>> policies;
  const auto learner = std::make_shared<ReuseLearner>(
      shards.size(), MostEntries(shards[0]),
      shards[0].entries != 0 ? kResolution : kBytesResolution, XorShift(~seed));
  for (size_t i = 0; i < shards.size(); ++i) {
    policies.push_back(std::make_unique<AdaptivePolicy>(shards[i], goal, hasher, learner,
                                                        shards.size(), seed + i));
  }
  return policies;
}

AdaptivePolicy::AdaptivePolicy(PolicyLimits limits, Goal goal, KeyHasher hasher,
                               std::shared_ptr<ReuseLearner> learner, size_t shards, uint64_t seed)
    : limits_(limits),
      goal_(goal),
      hasher_(hasher),
      learner_(std::move(learner)),
      shards_(shards),
      random_(seed),
      rules_{.scale = ReuseScale(1, 1), .worth = {}, .sample = {}} {
  Learn();
}

size_t AdaptivePolicy::Capacity() const {
  size_t capacity = limits_.entries != 0 ? limits_.entries : MostEntries(limits_);
  if (limits_.bytes == 0) return capacity;
  const double mean = known_.size() < kLearnLeast ? static_cast<double>(kFirstGuessCharge)
                                                  : charges_ / static_cast<double>(known_.size());
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
  learner_->Learn(capacity, bytes_are_short ? limits_.bytes : limits_.entries, bytes_are_short);
  RenewRules();
  const double change = static_cast<double>(capacity) / static_cast<double>(ghosts_for_);
  if (ghosts_for_ == 0 || change > kRemakeFactor || change < 1 / kRemakeFactor) {
    ghosts_for_ = capacity;
    ghosts_.Resize((capacity <= kSmall ? kGhostsOfSmall : kGhosts) * capacity, capacity);
  }
  // All shards together learn each time that the capacity of all was asked for an eighth.
  learn_at_ = requests_ + std::max(kLearnLeast, capacity / 8) * shards_;
}

void AdaptivePolicy::RenewRules() {
  const ReuseTable before = rules_.table;
  learner_->Renew(&rules_);
  if (rules_.table != before) candidates_.Clear();
}

float AdaptivePolicy::ChargeOf(const EntryNode& node) const {
  return static_cast<float>(std::max<size_t>(node.charge(limits_.charge), 1));
}

float AdaptivePolicy::WorthOf(const Known& known) const {
  const size_t reuse_class = static_cast<size_t>(ReuseClassOf(known.state));
  const size_t bucket = static_cast<size_t>(AgeBucketOf(AgeOf(known)));
  float worth = rules_.worth[reuse_class][bucket];
  if (weighted_ != 0) worth *= PowerOf2(EntryNode::At(known.node)->weight());
  return goal_ == Goal::kHits && rules_.bytes_are_short ? worth / kChargeOfCode[known.size] : worth;
}

void AdaptivePolicy::Use(EntryNode& node, ReuseState state) {
  Known& known = KnownOf(node);
  known.used_at = static_cast<uint16_t>(Tick());
  known.state = state;
  StopAgeOfNext();
  if (rules_.sample.MayHave(node.policy_bits)) {
    const uint32_t hash = hasher_.Of(node);
    if (rules_.sample.Has(Spread(hash))) {
      const float charge = rules_.bytes_are_short ? ChargeOf(node) : 1.0f;
      const float cost = PowerOf2(node.weight()) * (goal_ == Goal::kByteHits ? charge : 1.0f);
      learner_->Record({hash, state, charge, cost}, requests_ - told_requests_);
      told_requests_ = requests_;
    }
  }
  if (learner_->Version() != rules_.version) RenewRules();
  if (requests_ >= learn_at_) Learn();
}

// Each request looks at another entry, so that all are looked at before their ticks come round.
void AdaptivePolicy::StopAgeOfNext() {
  if (++age_hand_ >= known_.size()) age_hand_ = 0;
  Known& known = known_[age_hand_];
  if (AgeOf(known) > kOldest) known.used_at = static_cast<uint16_t>(Tick() - kOldest);
}

void AdaptivePolicy::OnInsert(EntryNode& node) {
  ++requests_;
  const uint32_t hash = hasher_.Of(node);
  ReuseState state = kFirstUse;
  if (const auto ghost = ghosts_.Take(Spread(hash), requests_)) {
    state = rules_.scale.Next(
        ghost->state, static_cast<uint32_t>(ghost->distance >> rules_.scale.tick_shift()), random_);
  }
  node.policy_bits = ReuseSample::BitsOf(Spread(hash));
  node.policy_index = static_cast<uint32_t>(known_.size());
  known_.push_back(
      {.node = node.handle(), .used_at = 0, .state = state, .size = SizeCodeOf(ChargeOf(node))});
  if (limits_.bytes != 0) charges_ += ChargeOf(node);
  weighted_ += node.weight() != 0;
  newcomer_ = &node;
  Use(node, state);
}

void AdaptivePolicy::OnHit(EntryNode& node) {
  ++requests_;
  const Known& known = KnownOf(node);
  Use(node, rules_.scale.Next(known.state, AgeOf(known), random_));
}

void AdaptivePolicy::OnReplace(EntryNode& old, EntryNode& node) {
  OnMove(old, node);
  node.policy_bits = old.policy_bits;
  KnownOf(node).size = SizeCodeOf(ChargeOf(node));
  if (limits_.bytes != 0) charges_ += ChargeOf(node) - ChargeOf(old);
  weighted_ += node.weight() != 0;
  weighted_ -= old.weight() != 0;
  OnHit(node);
}

void AdaptivePolicy::OnMove(EntryNode& old, EntryNode& node) {
  node.policy_index = old.policy_index;
  KnownOf(node).node = node.handle();
  if (newcomer_ == &old) newcomer_ = &node;
}

void AdaptivePolicy::OnRemove(EntryNode& node) {
  const uint32_t index = node.policy_index;
  const uint64_t used_at =
      requests_ - (uint64_t{AgeOf(known_[index])} << rules_.scale.tick_shift());
  ghosts_.Put(Spread(hasher_.Of(node)), known_[index].state, used_at, requests_);
  if (limits_.bytes != 0) charges_ -= ChargeOf(node);
  weighted_ -= node.weight() != 0;
  if (newcomer_ == &node) newcomer_ = nullptr;
  if (index + 1 < known_.size()) {
    known_[index] = known_.back();
    EntryNode::At(known_[index].node)->policy_index = index;
  }
  known_.pop_back();
}

EntryNode& AdaptivePolicy::Victim() {
  const uint32_t count = static_cast<uint32_t>(known_.size());
  const uint32_t newcomer = newcomer_ == nullptr ? CandidatePool::kNone : newcomer_->policy_index;
  const float bar =
      newcomer_ == nullptr ? std::numeric_limits<float>::infinity() : WorthOf(known_[newcomer]);
  const uint32_t lowest = candidates_.Lowest(
      count, newcomer, bar, random_, [this](uint32_t index) { return WorthOf(known_[index]); });
  if (lowest != CandidatePool::kNone) return *EntryNode::At(known_[lowest].node);
  // Refused; or the draws met nothing but the newcomer.
  return newcomer_ != nullptr ? *newcomer_ : *EntryNode::At(known_[0].node);
}

}  // namespace meridian
