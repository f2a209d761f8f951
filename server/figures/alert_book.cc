#include "server/figures/alert_book.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

using coordinator::v1::Alert;

std::string KeyOf(const AlertCondition& condition) {
  std::string key = condition.name;
  for (const auto& [label, value] : condition.labels) {
    absl::StrAppend(&key, "\n", label, "=", value);
  }
  return key;
}

void SetTime(absl::Time time, google::protobuf::Timestamp* proto) {
  const int64_t nanos = absl::ToUnixNanos(time);
  proto->set_seconds(nanos / 1'000'000'000);
  proto->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
}

}  // namespace

void AlertBook::Update(const std::vector<AlertCondition>& conditions, absl::Duration now,
                       absl::Time wall) {
  for (const AlertCondition& condition : conditions) {
    const std::string key = KeyOf(condition);
    auto it = live_.find(key);
    if (it == live_.end()) {
      if (live_.size() >= kMaxLive) continue;
      it = live_.emplace(key, Live{.alert = {}, .began = now, .held = now}).first;
      Alert& alert = it->second.alert;
      alert.set_name(condition.name);
      alert.set_state("pending");
      alert.set_runbook(absl::StrCat("docs/runbooks/", condition.name, ".md"));
      for (const auto& [label, value] : condition.labels) (*alert.mutable_labels())[label] = value;
      SetTime(wall, alert.mutable_since());
    }
    Live& live = it->second;
    live.held = now;
    live.alert.set_severity(condition.severity);
    live.alert.set_summary(condition.summary);
    live.alert.set_value(condition.value);
    if (live.firing || now - live.began < condition.after) continue;
    live.firing = true;
    live.alert.set_state("firing");
    SetTime(wall, live.alert.mutable_since());
    if (listener_ != nullptr) listener_(live.alert);
  }
  for (auto it = live_.begin(); it != live_.end();) {
    const bool over = it->second.firing ? now - it->second.held >= kCalm : it->second.held < now;
    if (!over) {
      ++it;
      continue;
    }
    if (it->second.firing) Resolve(std::move(it->second), wall);
    it = live_.erase(it);
  }
}

void AlertBook::Resolve(Live live, absl::Time wall) {
  live.alert.set_state("resolved");
  SetTime(wall, live.alert.mutable_resolved_time());
  if (listener_ != nullptr) listener_(live.alert);
  resolved_.push_front(std::move(live.alert));
  if (resolved_.size() > kMaxResolved) resolved_.pop_back();
}

void AlertBook::Clear() {
  live_.clear();
  resolved_.clear();
}

std::vector<Alert> AlertBook::List(bool include_resolved) const {
  std::vector<Alert> alerts;
  for (const auto& [key, live] : live_) alerts.push_back(live.alert);
  std::stable_sort(alerts.begin(), alerts.end(), [](const Alert& a, const Alert& b) {
    const bool a_fires = a.state() == "firing";
    const bool b_fires = b.state() == "firing";
    if (a_fires != b_fires) return a_fires;
    return std::make_pair(a.since().seconds(), a.since().nanos()) >
           std::make_pair(b.since().seconds(), b.since().nanos());
  });
  if (include_resolved) alerts.insert(alerts.end(), resolved_.begin(), resolved_.end());
  return alerts;
}

AlertBook::Counts AlertBook::Count() const {
  Counts counts;
  for (const auto& [key, live] : live_) {
    ++(live.firing ? counts.firing : counts.pending);
    if (live.firing && live.alert.severity() == "critical") ++counts.critical;
  }
  return counts;
}

}  // namespace meridian
