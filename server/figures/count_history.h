// CountHistory remembers what was counted at earlier times, so that a rate over a while can be
// told: every value of the last 12 s, then one each 10 s, up to 15 min.
//
// Cost: about 100 values; Add looks at all of them. Thread safety: none.

#ifndef MERIDIAN_SERVER_FIGURES_COUNT_HISTORY_H_
#define MERIDIAN_SERVER_FIGURES_COUNT_HISTORY_H_

#include <iterator>
#include <list>
#include <memory>
#include <utility>

#include "absl/time/time.h"

namespace meridian {

// T has `T& operator-=(const T& earlier)`.
template <typename T>
class CountHistory {
 public:
  static constexpr absl::Duration kAll = absl::Seconds(12);
  static constexpr absl::Duration kStep = absl::Seconds(10);
  static constexpr absl::Duration kKept = absl::Minutes(15);

  // What was counted in a while, and how long that was; 0: nothing is known.
  struct Difference {
    T counts;
    absl::Duration time;

    double PerSecond(double count) const {
      return time <= absl::ZeroDuration() ? 0 : count / absl::ToDoubleSeconds(time);
    }
  };

  // REQUIRES: `now` does not go backwards.
  void Add(T value, absl::Duration now) {
    values_.push_back({now, std::make_shared<const T>(std::move(value))});
    absl::Duration kept = -absl::InfiniteDuration();
    for (auto it = values_.begin(); it != values_.end() && it->at < now - kAll;) {
      if (it->at < now - kKept - kStep || it->at - kept < kStep) {
        it = values_.erase(it);
      } else {
        kept = it->at;
        ++it;
      }
    }
  }

  bool empty() const { return values_.empty(); }
  // REQUIRES: not empty.
  const T& last() const { return *values_.back().value; }

  // The two ends of a while, shared: for those who want a part of the difference only.
  struct Span {
    std::shared_ptr<const T> begin;
    std::shared_ptr<const T> end;
    absl::Duration time;

    // Of one member, whose type has -=, too.
    template <typename Part>
    Part Of(Part T::*part) const {
      Part counts = end.get()->*part;
      counts -= begin.get()->*part;
      return counts;
    }
  };

  // As Between, without a copy.
  Span Over(absl::Duration from, absl::Duration to = absl::ZeroDuration()) const {
    if (values_.empty()) {
      const auto none = std::make_shared<const T>();
      return {none, none, absl::ZeroDuration()};
    }
    const Value& end = AtOrBefore(values_.back().at - to);
    const Value& begin = AtOrBefore(values_.back().at - from);
    return {begin.value, end.value, end.at - begin.at};
  }

  // From `window` before the last value, or from the oldest one, to the last.
  Difference Last(absl::Duration window) const { return Between(window, absl::ZeroDuration()); }

  // From `from` before the last value to `to` before it.
  Difference Between(absl::Duration from, absl::Duration to) const {
    const Span span = Over(from, to);
    Difference difference = {*span.end, span.time};
    difference.counts -= *span.begin;
    return difference;
  }

 private:
  struct Value {
    absl::Duration at;
    std::shared_ptr<const T> value;
  };

  // The newest one that is as old, or the oldest.
  const Value& AtOrBefore(absl::Duration at) const {
    for (auto it = values_.rbegin(); it != values_.rend(); ++it) {
      if (it->at <= at) return *it;
    }
    return values_.front();
  }

  std::list<Value> values_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_COUNT_HISTORY_H_
