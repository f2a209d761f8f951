#include "server/rollout/rollout_guards.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace meridian {
namespace {

using coordinator::v1::GuardReading;
using coordinator::v1::RolloutGuards;

constexpr double kP99 = 0.99;

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Of a share that was counted in `n` of them, when it is really `share`.
double ErrorOf(double share, uint64_t n) {
  return std::sqrt(share * (1 - share) / static_cast<double>(std::max<uint64_t>(n, 1)));
}

// Of the difference of two shares that are really one.
double ErrorOf(uint64_t part, uint64_t n, uint64_t other_part, uint64_t other_n) {
  const double share = Share(part + other_part, n + other_n);
  return std::hypot(ErrorOf(share, n), ErrorOf(share, other_n));
}

uint64_t Timed(const VersionReads& figures) {
  uint64_t count = 0;
  for (const uint64_t each : figures.latency) count += each;
  return count;
}

// The reads that took longer; of the bucket that `seconds` is in, in proportion.
double Slower(const VersionReads& figures, const std::vector<double>& bounds, double seconds) {
  double slower = 0;
  for (size_t i = 0; i < figures.latency.size(); ++i) {
    const double low = i == 0 ? 0 : bounds[std::min(i, bounds.size()) - 1];
    const double count = static_cast<double>(figures.latency[i]);
    if (i >= bounds.size() || seconds <= low) {
      slower += seconds <= low ? count : 0;
    } else if (seconds < bounds[i]) {
      slower += count * (bounds[i] - seconds) / (bounds[i] - low);
    }
  }
  return slower;
}

GuardReading ReadingOf(const std::string& name_space, const char* guard,
                       const VersionReads& trial) {
  GuardReading reading;
  reading.set_namespace_(name_space);
  reading.set_guard(guard);
  reading.set_reads(trial.reads());
  return reading;
}

// Of the hits among the reads that did not fail: those have a guard of their own.
GuardReading JudgeHitRate(const std::string& name_space, const VersionReads& trial,
                          const VersionReads& base, const RolloutGuards& guards) {
  GuardReading reading = ReadingOf(name_space, "hit_rate", trial);
  const uint64_t reads = trial.hits + trial.misses;
  const uint64_t others = base.hits + base.misses;
  const double rate = Share(trial.hits, reads);
  const double other = Share(base.hits, others);
  const double floor = guards.min_hit_rate();
  const double drop_limit = other - guards.max_hit_rate_drop();
  const bool enough = reads >= guards.min_reads();
  const bool compared = enough && others >= guards.min_reads();
  reading.set_trial(rate);
  reading.set_base(other);
  reading.set_limit(compared ? std::max(floor, drop_limit) : floor);
  reading.set_sure(compared || (enough && floor > 0));
  const bool below_floor = enough && floor > 0 && rate + kSigmas * ErrorOf(floor, reads) < floor;
  const bool dropped =
      compared &&
      rate + kSigmas * std::hypot(ErrorOf(rate, reads), ErrorOf(other, others)) < drop_limit;
  reading.set_breached(below_floor || dropped);
  return reading;
}

// By how many reads are slower than the bound: of those who keep it one in a hundred is, by chance
// some more.
GuardReading JudgeP99(const std::string& name_space, const VersionReads& trial,
                      const VersionReads& base, const std::vector<double>& bounds,
                      const RolloutGuards& guards) {
  GuardReading reading = ReadingOf(name_space, "p99", trial);
  const uint64_t reads = Timed(trial);
  const uint64_t others = Timed(base);
  reading.set_reads(reads);
  reading.set_trial(QuantileOf(trial, bounds, kP99));
  reading.set_base(QuantileOf(base, bounds, kP99));
  reading.set_limit(reading.base() * (1 + guards.max_p99_rise()));
  reading.set_sure(reads >= guards.min_reads() && others >= guards.min_reads());
  if (!reading.sure()) return reading;
  const double n = static_cast<double>(reads);
  const double slower = Slower(trial, bounds, reading.limit()) / n;
  // The bound itself comes from a count, too.
  const double error = std::hypot(ErrorOf(1 - kP99, reads), ErrorOf(1 - kP99, others));
  reading.set_breached(reading.trial() > reading.limit() && slower > 1 - kP99 + kSigmas * error);
  return reading;
}

GuardReading JudgeErrors(const std::string& name_space, const VersionReads& trial,
                         const VersionReads& base, const RolloutGuards& guards) {
  GuardReading reading = ReadingOf(name_space, "errors", trial);
  const uint64_t reads = trial.reads();
  const uint64_t others = base.reads();
  reading.set_trial(Share(trial.errors, reads));
  reading.set_base(Share(base.errors, others));
  reading.set_limit(reading.base() + guards.max_error_rise());
  reading.set_sure(reads >= guards.min_reads() && others >= guards.min_reads());
  const double error = ErrorOf(trial.errors, reads, base.errors, others);
  reading.set_breached(reading.sure() && trial.errors > 0 &&
                       reading.trial() > reading.limit() + kSigmas * error);
  return reading;
}

}  // namespace

double QuantileOf(const VersionReads& figures, const std::vector<double>& bounds, double share) {
  const double wanted = share * static_cast<double>(Timed(figures));
  double seen = 0;
  for (size_t i = 0; i < figures.latency.size(); ++i) {
    const double count = static_cast<double>(figures.latency[i]);
    if (count == 0 || seen + count < wanted) {
      seen += count;
      continue;
    }
    if (i >= bounds.size()) break;
    const double low = i == 0 ? 0 : bounds[i - 1];
    return low + (bounds[i] - low) * (wanted - seen) / count;
  }
  return wanted == 0 || bounds.empty() ? 0 : bounds.back();
}

std::vector<GuardReading> JudgeReads(const std::string& name_space, const VersionReads& trial,
                                     const VersionReads& base,
                                     const std::vector<double>& latency_bounds,
                                     const RolloutGuards& guards) {
  return {JudgeHitRate(name_space, trial, base, guards),
          JudgeP99(name_space, trial, base, latency_bounds, guards),
          JudgeErrors(name_space, trial, base, guards)};
}

std::string ReadingText(const GuardReading& reading) {
  return absl::StrFormat("%s: %s %.6g, the others %.6g, bound %.6g, by %d reads",
                         reading.namespace_(), reading.guard(), reading.trial(), reading.base(),
                         reading.limit(), reading.reads());
}

}  // namespace meridian
