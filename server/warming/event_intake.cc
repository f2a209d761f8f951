#include "server/warming/event_intake.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"

namespace meridian {
namespace {

uint64_t HashOf(const std::string& name_space, const std::string& key) {
  return Hash64(key, Hash64(name_space));
}

}  // namespace

EventIntake::EventIntake(EventIntakeOptions options, const Rules& rules, const Clock& clock,
                         Executor& executor, WarmMetrics& metrics, Hooks hooks)
    : options_(options),
      clock_(clock),
      executor_(executor),
      metrics_(metrics),
      hooks_(std::move(hooks)),
      bucket_(options.events_per_second, std::max(options.events_per_second, 1.0),
              clock.Monotonic()) {
  SetRules(rules);
}

void EventIntake::SetRules(const Rules& rules) {
  by_kind_.clear();
  for (const auto& [name, rule] : *rules) by_kind_.emplace(rule.kind, RulePtr(rules, &rule));
  std::erase_if(memories_, [&](const auto& memory) { return rules->count(memory.first) == 0; });
}

void EventIntake::Report(const std::vector<WarmEvent>& events, Done done) {
  Taken taken;
  const bool may = hooks_.live_jobs() < options_.max_jobs;
  while (may && taken.accepted < events.size() && Take(events[taken.accepted], &taken)) {
    ++taken.accepted;
  }
  const size_t limited = events.size() - taken.accepted;
  metrics_.events.With({"matched"}).Add(taken.matched);
  metrics_.events.With({"unmatched"}).Add(taken.accepted - taken.matched);
  metrics_.events.With({"limited"}).Add(limited);
  if (taken.accepted == 0 && limited > 0) {
    return done(absl::ResourceExhaustedError(
        may ? "EVENTS_LIMITED: more events than this coordinator takes in a second"
            : absl::StrCat("EVENTS_LIMITED: ", options_.max_jobs,
                           " warm jobs of earlier events are not over")));
  }
  if (taken.matched == 0) return done(taken);
  waiters_.push_back({taken, std::move(done)});
  FlushLater();
}

bool EventIntake::Take(const WarmEvent& event, Taken* taken) {
  const absl::Duration now = clock_.Monotonic();
  if (bucket_.Available(now) < 1) return false;
  std::vector<std::pair<RulePtr, WarmRule::Keys>> made;
  bool is_asked_for = false;
  const auto [begin, end] = by_kind_.equal_range(event.kind);
  for (auto it = begin; it != end; ++it) {
    const RulePtr& rule = it->second;
    std::optional<WarmRule::Keys> keys = rule->Expand(event);
    if (!keys.has_value()) {
      is_asked_for |= event.key.empty() && rule->IsFor(event);
      continue;
    }
    if (!HasRoom(rule, *keys)) return false;
    made.emplace_back(rule, *std::move(keys));
  }
  bucket_.Take(1, now);
  if (!made.empty() || is_asked_for) ++taken->matched;
  for (auto& [rule, keys] : made) {
    CountKeys(*rule, "unbound", keys.unbound);
    CountKeys(*rule, "invalid", keys.invalid);
    CountKeys(*rule, "cut", keys.cut);
    for (auto& [name_space, names] : keys.by_namespace) {
      Lane& lane = lanes_[{rule, name_space}];
      for (std::string& key : names) {
        const size_t size = key.size();
        const bool is_new = lane.keys.insert(std::move(key)).second;
        if (is_new) lane.bytes += size;
        if (!is_new) CountKeys(*rule, "repeated", 1);
      }
    }
  }
  return true;
}

bool EventIntake::HasRoom(const RulePtr& rule, const WarmRule::Keys& keys) const {
  for (const auto& [name_space, names] : keys.by_namespace) {
    const auto lane = lanes_.find({rule, name_space});
    if (lane == lanes_.end()) continue;  // One event alone is bounded by its rule.
    size_t bytes = lane->second.bytes;
    for (const std::string& key : names) bytes += key.size();
    if (lane->second.keys.size() + names.size() > options_.max_keys || bytes > options_.max_bytes) {
      return false;
    }
  }
  return true;
}

void EventIntake::FlushLater() {
  if (busy_ || is_planned_) return;
  is_planned_ = true;
  executor_.PostAfter(options_.gather, [this, generation = generation_] {
    if (generation == generation_) Flush();
  });
}

void EventIntake::Flush() {
  is_planned_ = false;
  if (waiters_.empty()) return;
  busy_ = true;
  told_ = std::exchange(waiters_, {});
  std::vector<WarmOrder> orders;
  for (auto& [name, lane] : std::exchange(lanes_, {})) {
    const auto& [rule, name_space] = name;
    WarmOrder order;
    order.source = "rule";
    order.name = rule->name;
    order.name_space = name_space;
    order.priority = rule->priority;
    order.deadline = rule->deadline;
    order.text.is_literal = true;
    for (const std::string& key : lane.keys) {
      if (!Remembers(*rule, name_space, key)) order.text.keys.push_back(key);
    }
    CountKeys(*rule, "repeated", lane.keys.size() - order.text.keys.size());
    if (order.text.keys.empty()) continue;
    sending_[name] = order.text.keys;
    orders.push_back(std::move(order));
  }
  if (orders.empty()) return HandleQueued(absl::OkStatus());
  hooks_.queue(std::move(orders), [this, generation = generation_](const absl::Status& status) {
    if (generation == generation_) HandleQueued(status);
  });
}

void EventIntake::HandleQueued(const absl::Status& status) {
  busy_ = false;
  for (const auto& [name, keys] : std::exchange(sending_, {})) {
    CountKeys(*name.first, status.ok() ? "queued" : "refused", keys.size());
    if (!status.ok()) continue;
    for (const std::string& key : keys) Remember(*name.first, name.second, key);
  }
  for (const Waiter& waiter : std::exchange(told_, {})) {
    waiter.done(status.ok() ? absl::StatusOr<Taken>(waiter.taken) : status);
  }
  if (!waiters_.empty()) FlushLater();
}

void EventIntake::Stop(const absl::Status& why) {
  ++generation_;
  busy_ = false;
  is_planned_ = false;
  lanes_.clear();
  sending_.clear();
  memories_.clear();
  std::vector<Waiter> unanswered = std::exchange(told_, {});
  for (Waiter& waiter : std::exchange(waiters_, {})) unanswered.push_back(std::move(waiter));
  for (const Waiter& waiter : unanswered) waiter.done(why);
}

bool EventIntake::Remembers(const WarmRule& rule, const std::string& name_space,
                            const std::string& key) {
  const auto found = memories_.find(rule.name);
  if (found == memories_.end()) return false;
  Memory& memory = found->second;
  const absl::Duration now = clock_.Monotonic();
  while (!memory.by_time.empty() && now - memory.by_time.front().first >= rule.not_again_for) {
    memory.hashes.erase(memory.by_time.front().second);
    memory.by_time.pop_front();
  }
  return memory.hashes.count(HashOf(name_space, key)) > 0;
}

void EventIntake::Remember(const WarmRule& rule, const std::string& name_space,
                           const std::string& key) {
  Memory& memory = memories_[rule.name];
  const uint64_t hash = HashOf(name_space, key);
  if (!memory.hashes.insert(hash).second) return;
  memory.by_time.emplace_back(clock_.Monotonic(), hash);
  if (memory.by_time.size() <= options_.max_remembered) return;
  memory.hashes.erase(memory.by_time.front().second);
  memory.by_time.pop_front();
}

void EventIntake::CountKeys(const WarmRule& rule, std::string_view outcome, uint64_t keys) {
  if (keys > 0) metrics_.rule_keys.With({std::string_view(rule.name), outcome}).Add(keys);
}

}  // namespace meridian
