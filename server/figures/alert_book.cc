#include "server/figures/alert_book.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/rpc/timestamp.h"

namespace meridian {
namespace {

using coordinator::v1::Alert;

std::string KeyOf(const std::string& name, const std::map<std::string, std::string>& labels) {
  std::string key = name;
  for (const auto& [label, value] : labels) absl::StrAppend(&key, "\n", label, "=", value);
  return key;
}

}  // namespace

std::string AlertKey(const Alert& alert) {
  return KeyOf(alert.name(), {alert.labels().begin(), alert.labels().end()});
}

void AlertBook::Update(const std::vector<AlertCondition>& conditions, absl::Duration now,
                       absl::Time wall) {
  for (const AlertCondition& condition : conditions) {
    const std::string key = KeyOf(condition.name, condition.labels);
    auto it = live_.find(key);
    if (it == live_.end()) {
      if (live_.size() >= kMaxLive) continue;
      it = live_.emplace(key, Live{.alert = {}, .began = now, .held = now}).first;
      Alert& alert = it->second.alert;
      alert.set_name(condition.name);
      alert.set_state("pending");
      alert.set_runbook(absl::StrCat("docs/runbooks/", condition.name, ".md"));
      for (const auto& [label, value] : condition.labels) (*alert.mutable_labels())[label] = value;
      ToProto(wall, alert.mutable_since());
    }
    Live& live = it->second;
    live.held = now;
    live.alert.set_severity(condition.severity);
    live.alert.set_summary(condition.summary);
    live.alert.set_value(condition.value);
    if (live.firing || now - live.began < condition.after) continue;
    live.firing = true;
    live.alert.set_state("firing");
    ToProto(wall, live.alert.mutable_since());
    Tell(live.alert);
  }
  for (auto it = live_.begin(); it != live_.end();) {
    const Live& live = it->second;
    const bool over =
        live.firing ? now - live.held >= kCalm && now >= live.kept_until : live.held < now;
    if (!over) {
      ++it;
      continue;
    }
    if (it->second.firing) Resolve(std::move(it->second), wall);
    it = live_.erase(it);
  }
}

void AlertBook::Tell(const Alert& alert) {
  ++changes_;
  if (listener_ != nullptr) listener_(alert);
}

void AlertBook::Restore(const std::vector<Alert>& alerts, absl::Duration now, absl::Time wall,
                        const std::function<absl::Duration(const std::string&)>& window) {
  for (const Alert& alert : alerts) {
    if (alert.state() == "firing") {
      Inherit(alert, now, window == nullptr ? absl::ZeroDuration() : window(alert.name()));
    } else if (alert.state() == "resolved" && resolved_.size() < kMaxResolved && !IsKnown(alert)) {
      resolved_.push_back(alert);  // Older than what is there.
      const bool is_back = live_.count(AlertKey(alert)) > 0;
      if (is_back || alert.has_told_time()) continue;
      if (wall - FromProto(alert.resolved_time()) < kToldAgain) Tell(alert);
    }
  }
}

bool AlertBook::IsKnown(const Alert& ended) const {
  return std::any_of(resolved_.begin(), resolved_.end(), [&ended](const Alert& one) {
    return AlertKey(one) == AlertKey(ended) && FromProto(one.since()) == FromProto(ended.since());
  });
}

void AlertBook::Inherit(const Alert& alert, absl::Duration now, absl::Duration window) {
  const std::string key = AlertKey(alert);
  auto it = live_.find(key);
  if (it == live_.end()) {
    if (live_.size() >= kMaxLive) return;
    it = live_.emplace(key, Live{.alert = alert, .began = now, .held = now}).first;
  }
  Live& live = it->second;
  const bool is_told = live.firing;
  live.firing = true;
  live.kept_until = now + std::max(kInherited, window);
  live.alert.set_state("firing");
  *live.alert.mutable_since() = alert.since();
  if (alert.has_told_time()) *live.alert.mutable_told_time() = alert.told_time();
  if (!is_told && !alert.has_told_time()) Tell(live.alert);
}

void AlertBook::Resolve(Live live, absl::Time wall) {
  live.alert.set_state("resolved");
  live.alert.clear_told_time();  // That it fired was told.
  ToProto(wall, live.alert.mutable_resolved_time());
  resolved_.push_front(std::move(live.alert));
  if (resolved_.size() > kMaxResolved) resolved_.pop_back();
  Tell(resolved_.front());
}

void AlertBook::NoteTold(const Alert& taken, absl::Time wall) {
  const std::string key = AlertKey(taken);
  const auto note = [&](Alert* alert) {
    if (alert->state() != taken.state() || FromProto(alert->since()) != FromProto(taken.since())) {
      return;  // It has changed since.
    }
    ToProto(wall, alert->mutable_told_time());
    ++changes_;
  };
  if (const auto it = live_.find(key); it != live_.end()) note(&it->second.alert);
  for (Alert& alert : resolved_) {
    if (AlertKey(alert) == key) note(&alert);
  }
}

void AlertBook::DropPending() {
  for (auto it = live_.begin(); it != live_.end();) {
    it = it->second.firing ? std::next(it) : live_.erase(it);
  }
}

void AlertBook::KeepOnly(const std::function<bool(const Alert&)>& kept) {
  for (auto it = live_.begin(); it != live_.end();) {
    it = kept(it->second.alert) ? std::next(it) : live_.erase(it);
  }
  resolved_.erase(std::remove_if(resolved_.begin(), resolved_.end(),
                                 [&kept](const Alert& alert) { return !kept(alert); }),
                  resolved_.end());
}

std::vector<Alert> AlertBook::List(bool include_resolved) const {
  std::vector<Alert> alerts = others_;
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
  const auto count = [&counts](const Alert& alert) {
    const bool firing = alert.state() == "firing";
    ++(firing ? counts.firing : counts.pending);
    if (firing && alert.severity() == "critical") ++counts.critical;
  };
  for (const auto& [key, live] : live_) count(live.alert);
  for (const Alert& alert : others_) count(alert);
  return counts;
}

}  // namespace meridian
