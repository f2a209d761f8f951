#include "common/engine/reuse_audit.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace meridian {
namespace {

constexpr double kMissesHalfLife = 16;  // In capacities of sampled requests.
constexpr double kModelCapacities = 20;
constexpr double kModelLeast =
    4000;  // Sampled uses, at least, before the model's counts are halved.

// Sampled entries, and uses that are remembered of each.
constexpr size_t kSmall = 4096;
constexpr size_t kMostSampled = 1024;
constexpr size_t kLeastSampled = 512;
constexpr size_t kRememberedOfSmall = 32;
constexpr size_t kRemembered = 16;

}  // namespace

ReuseAudit::ReuseAudit(size_t entries, size_t room, XorShift random) : random_(random) {
  const bool whole = entries <= kSmall;
  const size_t sample =
      whole ? kMostSampled : std::clamp(entries / 128, kLeastSampled, kMostSampled);
  const double share = std::min(
      1.0, static_cast<double>(sample) / static_cast<double>(std::max<size_t>(entries, 1)));
  const double sampled = static_cast<double>(entries) * share;
  sample_ = ReuseSample(share >= 1 ? ~uint32_t{0} : static_cast<uint32_t>(share * 4294967296.0));
  share_room_ = std::max(1.0, std::floor(static_cast<double>(room) * share + 0.5));
  fade_ = std::pow(0.5, 1 / (kMissesHalfLife * std::max(sampled, 1.0)));
  fade_model_after_ = std::max(kModelLeast, kModelCapacities * sampled);
  const size_t remembered = whole ? kRememberedOfSmall : kRemembered;
  uses_.resize(
      std::max(static_cast<size_t>(static_cast<double>(remembered) * sampled), remembered));
  index_.assign(std::bit_ceil(2 * uses_.size()), kNone);
}

uint32_t* ReuseAudit::FindIndex(uint32_t hash) {
  const size_t mask = index_.size() - 1;
  size_t at = hash * uint32_t{2654435761} & mask;
  while (index_[at] != kNone && uses_[index_[at]].hash != hash) at = (at + 1) & mask;
  return &index_[at];
}

void ReuseAudit::EraseIndex(uint32_t hash) {
  const size_t mask = index_.size() - 1;
  size_t hole = static_cast<size_t>(FindIndex(hash) - index_.data());
  for (size_t at = (hole + 1) & mask; index_[at] != kNone; at = (at + 1) & mask) {
    const size_t home = uses_[index_[at]].hash * uint32_t{2654435761} & mask;
    // It may move to the hole unless its home lies between the hole and itself.
    if (((at - home) & mask) >= ((at - hole) & mask)) {
      index_[hole] = index_[at];
      hole = at;
    }
  }
  index_[hole] = kNone;
}

void ReuseAudit::CountAges(uint32_t tick, ReuseModel* model) {
  for (size_t bucket = 1; bucket < kAgeBuckets; ++bucket) {
    uint64_t& counted = counted_[bucket];
    const uint32_t begin = AgeBucketBegin(static_cast<int>(bucket));
    // What the ring no longer holds has not been counted and is not.
    if (next_ - counted >= uses_.size()) counted = next_ - uses_.size() + 1;
    for (; counted < next_; ++counted) {
      const Sample& sample = uses_[counted % uses_.size()];
      if (tick - sample.tick < begin) break;
      if (sample.latest) model->CountReached(ReuseClassOf(sample.state), static_cast<int>(bucket));
    }
    if (counted == 0) break;
  }
}

void ReuseAudit::ForgetOldest() {
  if (next_ < uses_.size()) return;
  const uint32_t at = static_cast<uint32_t>(next_ % uses_.size());
  Sample& oldest = uses_[at];
  if (!oldest.latest) return;
  EraseIndex(oldest.hash);
  for (size_t table = 0; table < kReuseTables; ++table) {
    if (oldest.places[table] != kNowhere) Drop(table, oldest.places[table]);
  }
  oldest.latest = false;
}

void ReuseAudit::Drop(size_t table, Place place) {
  Shadow& shadow = shadows_[table];
  Sample& dropped = uses_[shadow.held[place]];
  shadow.charge -= dropped.charge;
  dropped.places[table] = kNowhere;
  shadow.held[place] = shadow.held.back();
  shadow.held.pop_back();
  if (place < shadow.held.size()) uses_[shadow.held[place]].places[table] = place;
}

void ReuseAudit::Record(const Use& use, const WorthTables& tables, ReuseModel* model) {
  CountAges(use.tick, model);
  ForgetOldest();
  const uint32_t at = static_cast<uint32_t>(next_ % uses_.size());
  std::array<Place, kReuseTables> places = {kNowhere, kNowhere, kNowhere, kNowhere};
  uint32_t* found = FindIndex(use.hash);
  if (*found != kNone) {
    Sample& before = uses_[*found];
    model->CountUsed(ReuseClassOf(before.state), AgeBucketOf(use.tick - before.tick));
    places = before.places;
    for (size_t table = 0; table < kReuseTables; ++table) {
      if (places[table] == kNowhere) continue;
      shadows_[table].held[places[table]] = at;
      shadows_[table].charge +=
          static_cast<double>(use.charge) - static_cast<double>(before.charge);
    }
    before.latest = false;
  }
  *found = at;
  if (++recorded_ >= fade_model_after_) {
    recorded_ = 0;
    model->Fade();
  }
  uses_[at] = {use.hash, use.tick, use.charge, places, use.state, true};
  ++next_;
  model->CountReached(ReuseClassOf(use.state), 0);
  for (size_t table = 0; table < kReuseTables; ++table) {
    Touch(table, at, use, places[table] != kNowhere, tables[table]);
  }
  for (size_t table = 0; table < kReuseTables; ++table) {
    if (shadows_[table].misses < shadows_[best_].misses) best_ = static_cast<ReuseTable>(table);
  }
}

void ReuseAudit::Touch(size_t table, uint32_t at, const Use& use, bool held,
                       const WorthTable& worth) {
  Shadow& shadow = shadows_[table];
  shadow.misses = shadow.misses * fade_ + (held ? 0 : use.cost);
  uint32_t self = uses_[at].places[table];
  if (!held) {
    self = static_cast<uint32_t>(shadow.held.size());
    uses_[at].places[table] = static_cast<Place>(self);
    shadow.held.push_back(at);
    shadow.charge += use.charge;
  }
  const auto score = [&](uint32_t place) {
    const Sample& sample = uses_[shadow.held[place]];
    const size_t bucket = static_cast<size_t>(AgeBucketOf(use.tick - sample.tick));
    return worth[static_cast<size_t>(ReuseClassOf(sample.state))][bucket] / sample.charge;
  };
  while (shadow.charge > share_room_ && !shadow.held.empty()) {
    uint32_t victim = shadow.candidates.Lowest(static_cast<uint32_t>(shadow.held.size()), self,
                                               score(self), random_, score);
    if (victim == CandidatePool::kNone) victim = self;
    Drop(table, static_cast<Place>(victim));
    if (victim == self) break;
    self = uses_[at].places[table];  // The last one takes the place of the one that left.
  }
}

}  // namespace meridian
