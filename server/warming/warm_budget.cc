#include "server/warming/warm_budget.h"

#include <algorithm>
#include <cmath>

namespace meridian {
namespace {

constexpr double kEnoughToSay = 8;
constexpr absl::Duration kReport = absl::Seconds(5);  // Until the first word of what was brought in.
constexpr double kMostDebt = 1.25;  // Credits. Beyond one there is no room, only the floor.
constexpr double kForgiven = 0.5;   // Of a debt, at most, for each key that the floor reads.
constexpr absl::Duration kHistoryStep = absl::Minutes(1);

double Difference(uint64_t now, uint64_t before) {
  return static_cast<double>(now - std::min(now, before));
}

}  // namespace

WarmBudget::WarmBudget(WarmBudgetOptions options, absl::Duration now)
    : options_(options),
      rate_(std::min(options.first, options.ceiling)),
      floor_(std::min(options.least, options.ceiling)),
      is_trusted_(options.trusted),
      updated_at_(now) {
  history_.emplace_back(now, 0);
  Afford(kReport);
}

void WarmBudget::SetCeiling(double ceiling) {
  const bool was_full = rate_ >= options_.ceiling;
  options_.ceiling = ceiling;
  floor_ = std::min(floor_, ceiling);
  rate_ = was_full ? ceiling : std::min(rate_, ceiling);
}

void WarmBudget::Restore(const Memory& memory, const WarmOutcomes& outcomes, absl::Duration now) {
  rate_ = std::clamp(memory.rate, floor_, options_.ceiling);
  gained_ = std::clamp(memory.gained, -kMostDebt * options_.credit,
                       static_cast<double>(outcomes.used));
  is_trusted_ = options_.trusted && memory.is_trusted;
  seen_ = outcomes;
  updated_at_ = now;
  history_.clear();
  // Those that wait still have all their time again.
  history_.emplace_back(now, outcomes.used + outcomes.unused + outcomes.lost);
  Afford(kReport);
}

double WarmBudget::Overdue(const WarmOutcomes& outcomes, absl::Duration now) {
  if (now - history_.back().first >= kHistoryStep) history_.emplace_back(now, outcomes.warmed);
  while (history_.size() > 1 && now - history_[1].first >= options_.patience) history_.pop_front();
  if (now - history_.front().first < options_.patience) return 0;
  return Difference(history_.front().second, outcomes.used + outcomes.unused + outcomes.lost);
}

void WarmBudget::Update(const WarmOutcomes& outcomes, double requests, absl::Duration now) {
  const double overdue = Overdue(outcomes, now);
  Score fresh;
  fresh.used = Difference(outcomes.used, seen_.used);
  // One that ends unused after all was counted when its patience ended; one that is used was not
  // in vain.
  fresh.vain = Difference(outcomes.unused, seen_.unused) + overdue - overdue_;
  fresh.displaced = Difference(outcomes.displaced, seen_.displaced);
  const double kept = std::exp2(-absl::FDivDuration(now - updated_at_, options_.half_life));
  recent_.used = recent_.used * kept + fresh.used;
  recent_.vain = std::max(recent_.vain * kept + fresh.vain, 0.0);
  recent_.displaced = recent_.displaced * kept + fresh.displaced;
  fresh_.used += fresh.used;
  fresh_.vain += fresh.vain;
  fresh_.displaced += fresh.displaced;
  seen_ = outcomes;
  overdue_ = overdue;
  floor_ = std::min(std::max(options_.least, options_.probe_share * requests), options_.ceiling);
  if (fresh_.decided() >= options_.verdict) Judge();
  rate_ = std::max(rate_, floor_);
  Gain(fresh, now - updated_at_);
  Afford(now - updated_at_);
  updated_at_ = now;
}

void WarmBudget::Gain(const Score& fresh, absl::Duration passed) {
  const absl::Duration half_life = gained_ > 0 ? options_.half_life : options_.debt_half_life;
  const double forgotten = gained_ * (1 - std::exp2(-absl::FDivDuration(passed, half_life)));
  gained_ -= std::max(forgotten, -kForgiven * floor_ * absl::ToDoubleSeconds(passed));
  gained_ += fresh.used - fresh.vain - fresh.displaced;
  gained_ = std::max(gained_, -kMostDebt * options_.credit);
}

void WarmBudget::Afford(absl::Duration passed) {
  if (is_trusted_ || std::isinf(options_.credit)) {
    affordable_ = std::numeric_limits<double>::infinity();
    return;
  }
  const double ended = static_cast<double>(seen_.used + seen_.unused + seen_.lost) + overdue_;
  const double waiting = std::max(static_cast<double>(seen_.warmed) - ended, 0.0);
  const double room = std::max(options_.credit + gained_ - waiting, 0.0);
  affordable_ = room / std::max(absl::ToDoubleSeconds(passed), 1.0);
}

void WarmBudget::Judge() {
  const double gain = fresh_.used - fresh_.vain - fresh_.displaced;
  fresh_ = {};
  if (gain <= 0) {
    rate_ = std::max(rate_ / 2, floor_);
    is_trusted_ = false;
    return;
  }
  rate_ = std::min(rate_ + options_.step * options_.ceiling, options_.ceiling);
  is_trusted_ |= options_.trusted && rate_ >= options_.ceiling;
}

std::optional<double> WarmBudget::precision() const {
  if (recent_.decided() < kEnoughToSay) return std::nullopt;
  return recent_.used / recent_.decided();
}

double WarmBudget::net_benefit() const {
  if (recent_.decided() < 1) return 0;
  return (recent_.used - recent_.vain - recent_.displaced) / recent_.decided();
}

}  // namespace meridian
