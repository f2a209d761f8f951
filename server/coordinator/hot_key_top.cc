#include "server/coordinator/hot_key_top.h"

#include <map>
#include <memory>
#include <utility>

#include "server/coordinator/hot_key_lead.h"

namespace meridian {
namespace {

struct Sum {
  std::map<std::string, double> rates;  // By key.
  size_t hours_left = 0;
  size_t loaded = 0;
  absl::Status error;
  std::string name_space;
  size_t limit = 0;
  HotKeySource::Done done;

  void Add(const std::vector<HotKey>& keys) {
    for (const HotKey& key : keys) {
      if (key.name_space == name_space) rates[key.key] += key.per_second;
    }
  }
  void Finish() {
    if (loaded == 0 && rates.empty() && !error.ok()) return done(error);
    std::vector<HotKey> keys;
    for (const auto& [key, rate] : rates) keys.push_back({name_space, key, rate});
    KeepHottest(limit, &keys);
    done(keys);
  }
};

}  // namespace

void TopOfHours(const std::vector<HourLoad>& hours, std::vector<HotKey> now,
                const std::string& name_space, size_t limit, HotKeySource::Done done) {
  auto sum = std::make_shared<Sum>();
  sum->hours_left = hours.size();
  sum->name_space = name_space;
  sum->limit = limit;
  sum->done = std::move(done);
  sum->Add(now);
  if (hours.empty()) return sum->Finish();
  for (const HourLoad& load : hours) {
    load([sum](const absl::StatusOr<std::vector<HotKey>>& profile) {
      if (profile.ok()) {
        ++sum->loaded;
        sum->Add(*profile);
      } else {
        sum->error = profile.status();
      }
      if (--sum->hours_left == 0) sum->Finish();
    });
  }
}

HourLoad HourOfTheWeek(HotKeyHistory& history, absl::Time time) {
  return [&history, hour = HourOfWeek(time)](HotKeyHistory::Profile done) {
    history.Load(hour, std::move(done));
  };
}

std::vector<HourLoad> LastHours(HotKeyHistory& history, absl::Time now, int hours) {
  std::vector<HourLoad> loads;
  for (int i = 0; i < hours; ++i) {
    loads.push_back([&history, time = now - absl::Hours(i)](HotKeyHistory::Profile done) {
      history.LoadHourOf(time, std::move(done));
    });
  }
  return loads;
}

void HotKeyLead::Top(HotKeyWindow window, const std::string& name_space, size_t limit, Done done) {
  const absl::Time now = coordinator_.clock().Now();
  switch (window) {
    case HotKeyWindow::kNow:
      return done(Now(name_space, limit));
    case HotKeyWindow::kNextHour:
      return TopOfHours({HourOfTheWeek(history_, now + absl::Hours(1))}, {}, name_space, limit,
                        std::move(done));
    case HotKeyWindow::kDay:
    case HotKeyWindow::kTwoDays:
      return TopOfHours(LastHours(history_, now, window == HotKeyWindow::kDay ? 24 : 48),
                        Now(name_space, limit), name_space, limit, std::move(done));
  }
}

}  // namespace meridian
