#include "server/figures/alert_rules.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/figures/namespace_goals.h"

namespace meridian {
namespace {

// Bounds of requirement 2-14.
// Over how long is looked back.
constexpr absl::Duration kLately = absl::Minutes(15);
constexpr absl::Duration kBeforeFrom = absl::Minutes(14);
constexpr double kMinHitRate = 0.75;
constexpr double kMaxResponseSeconds = 0.1;
constexpr double kMaxErrors = 0.01;
constexpr double kMaxFilled = 0.90;  // Of what is provisioned.
constexpr double kMaxWarmFailures = 0.10;
// Bounds of requirement 0-21.
constexpr double kHitRateBefore = 0.80;
constexpr double kMaxSlowdown = 0.05;
constexpr double kMoreErrors = 0.0005;
// What a process may take for a given L1: a quarter of it for pages and mirrors, 64 MiB of hints
// and 192 MiB for the rest (docs/operations.md, sizing).
constexpr double kBesideL1 = 1.25;
constexpr double kRestBytes = 256.0 * 1024 * 1024;
// Below these, a ratio says nothing.
constexpr uint64_t kFewReads = 100;
constexpr uint64_t kFewCalls = 20;
constexpr uint64_t kFewWarmed = 10;
constexpr uint64_t kFewEntries = 100;

constexpr absl::Duration kLate = absl::Seconds(2);
constexpr absl::Duration kStuck = absl::Seconds(60);
constexpr absl::Duration kHintsWait = absl::Seconds(60);

constexpr char kInfo[] = "info";
constexpr char kWarning[] = "warning";
constexpr char kCritical[] = "critical";
constexpr char kNodeDown[] = "MeridianNodeDown";
constexpr char kOfCoordinator[] = "coordinator";  // A label.

class Rules {
 public:
  Rules(const RegionFigures& figures, absl::Duration now, absl::Time wall)
      : figures_(figures), now_(now), wall_(wall), goals_(figures) {}

  void Nodes() {
    std::set<uint64_t> epochs;
    uint64_t l2_used = 0;
    uint64_t l2_limit = 0;
    Clocks();
    for (const auto& [id, node] : figures_.nodes()) {
      if (!node.IsAlive(now_)) {
        Add(kNodeDown, kCritical, {}, {{"node", id}}, 1,
            node.is_member
                ? absl::StrFormat("node %s is a member and does not answer: %s", id, node.problem)
                : absl::StrFormat("node %s has gone without draining", id));
        continue;
      }
      if (!node.answered.has_value()) continue;
      const admin::v1::GetStatusResponse& status = node.figures.status();
      if (node.known.member.state == MemberState::kServing) epochs.insert(status.epoch());
      Redis(id, status);
      l2_used = std::max(l2_used, node.figures.l2_used_bytes());  // All look at the same.
      l2_limit = std::max(l2_limit, node.figures.l2_limit_bytes());
      Memory(id, node.figures);
      Given(id, node.figures);
      if (const uint64_t end = node.figures.certificate_expires_unix_ms(); end > 0) {
        Certificate("node", id, absl::FromUnixMillis(static_cast<int64_t>(end)));
      }
    }
    if (const double filled = Share(l2_used, l2_limit); filled > kMaxFilled) {
      Add("MeridianRedisMemoryHigh", kWarning, absl::Minutes(1), {}, filled,
          absl::StrFormat("the regional Redis uses %.0f %% of its memory", 100 * filled));
    }
    if (epochs.size() > 1) {
      Add("MeridianEpochsDisagree", kWarning, absl::Seconds(10), {},
          static_cast<double>(*epochs.rbegin() - *epochs.begin()),
          absl::StrFormat("nodes follow epochs from %d to %d", *epochs.begin(), *epochs.rbegin()));
    }
  }

  void Calls() {
    const NodeCounts counts = figures_.history().Over(absl::Minutes(1)).Of(&RegionCounts::all);
    if (counts.calls < kFewCalls) return;
    const double errors = Share(counts.failed_calls, counts.calls);
    if (errors > kMaxErrors) {
      Add("MeridianErrors", kCritical, absl::Seconds(15), {}, errors,
          absl::StrFormat("%.1f %% of the calls of the last minute failed", 100 * errors));
    }
    const double p99 = counts.call_latency.Quantile(0.99);
    if (p99 > kMaxResponseSeconds) {
      Add("MeridianSlow", kCritical, absl::Seconds(15), {}, p99,
          absl::StrFormat("p99 of the calls of the last minute is %.0f ms", 1000 * p99));
    }
  }

  // Keys that fail in calls that do not: BatchGet is OK when the origin of its keys is away.
  void FailedReads() {
    const auto window = figures_.history().Over(absl::Minutes(1));
    for (const std::string& name : window.end->Names()) {
      const ReadCounts reads = ReadsSince(*window.begin, *window.end, name);
      if (reads.reads() + reads.errors < kFewReads) continue;
      const double errors = ErrorShare(reads);
      if (errors <= kMaxErrors) continue;
      Add("MeridianErrors", kCritical, absl::Seconds(15), {{"namespace", name}}, errors,
          absl::StrFormat("%.1f %% of the reads of %s in the last minute failed", 100 * errors,
                          name));
    }
  }

  void HitRates() {
    const auto window = figures_.history().Over(kJudgedOver);
    for (const std::string& name : window.end->Names()) {
      const double goal = goals_.Of(name).hit_rate;
      const Judged rate =
          JudgeHitRate(ReadsSince(*window.begin, *window.end, name), goal > 0 ? goal : kMinHitRate);
      if (!rate.IsMissed()) continue;
      std::string summary = absl::StrFormat("hit rate of %s was %.1f %% in the last 5 minutes",
                                            name, 100 * rate.value);
      if (goal > 0) absl::StrAppendFormat(&summary, "; its goal is %g %%", 100 * goal);
      Add("MeridianLowHitRate", kWarning, absl::Minutes(2), {{"namespace", name}}, rate.value,
          std::move(summary));
    }
  }

  // Requirements 1-01 and 4-07: by what the policies ask for; without a goal nobody says what is
  // slow.
  void SlowReads() {
    const auto window = figures_.history().Over(kJudgedOver);
    for (const std::string& name : window.end->Names()) {
      const NamespaceGoals goals = goals_.Of(name);
      if (goals.l1_latency == 0 && goals.l2_latency == 0) continue;
      const ReadCounts reads = ReadsSince(*window.begin, *window.end, name);
      SlowTier(name, "l1", reads.l1, goals.l1_latency);
      SlowTier(name, "l2", reads.l2, goals.l2_latency);
    }
  }

  // By namespace: an origin that one node does not reach may be asked by the others.
  void Origins() {
    std::map<std::string, std::set<std::string>> away;
    for (const auto& [id, node] : figures_.nodes()) {
      if (!node.IsAlive(now_)) continue;
      for (const admin::v1::OriginFigures& origin : node.figures.origins()) {
        if (origin.breaker() != "closed") away[origin.namespace_()].insert(id);
      }
    }
    for (const auto& [name, nodes] : away) {
      Add("MeridianOriginBreakerOpen", kWarning, absl::Minutes(1), {{"namespace", name}},
          static_cast<double>(nodes.size()),
          absl::StrFormat("the origin of %s failed too often and is not asked by %s", name,
                          absl::StrJoin(nodes, ", ")));
    }
  }

  void Staleness() {
    const auto lately = figures_.history().Over(kLately);
    const uint64_t places = lately.end->staleness_incidents - lately.begin->staleness_incidents;
    if (places == 0) return;
    Add("MeridianStale", kWarning, {}, {}, static_cast<double>(places),
        absl::StrFormat("%d places had an older value than they should, in the last 15 minutes",
                        places));
  }

  // Requirement 0-21: what would take a change back.
  void WorseThanBefore() {
    const auto before = figures_.history().Over(kBeforeFrom, absl::Minutes(2));
    if (before.time < absl::Minutes(3)) return;
    const NodeCounts a = before.Of(&RegionCounts::all);
    const NodeCounts b = figures_.history().Over(absl::Minutes(2)).Of(&RegionCounts::all);
    WorseReadErrors(a.reads, b.reads);
    if (a.reads.reads() < kFewReads || b.reads.reads() < kFewReads) return;
    const double old_rate = Share(a.reads.hits(), a.reads.reads());
    const double new_rate = Share(b.reads.hits(), b.reads.reads());
    if (old_rate >= kHitRateBefore && new_rate < kHitRateBefore) {
      Worse("hit_rate", new_rate,
            absl::StrFormat("the hit rate fell from %.1f to %.1f %%", 100 * old_rate,
                            100 * new_rate));
    }
    if (a.calls < kFewCalls || b.calls < kFewCalls) return;
    const double old_mean = a.call_latency.sum / static_cast<double>(a.calls);
    const double new_mean = b.call_latency.sum / static_cast<double>(b.calls);
    // What is some tens of microseconds moves by more than 5 % by itself.
    if (new_mean > old_mean * (1 + kMaxSlowdown) && new_mean - old_mean > 0.001) {
      Worse("latency", new_mean,
            absl::StrFormat("calls take %.2f ms, and took %.2f ms", 1000 * new_mean,
                            1000 * old_mean));
    }
    const double old_errors = Share(a.failed_calls, a.calls);
    const double new_errors = Share(b.failed_calls, b.calls);
    if (b.failed_calls > 0 && new_errors > old_errors + kMoreErrors) {
      Worse("errors", new_errors,
            absl::StrFormat("%.2f %% of the calls fail, and %.2f %% did", 100 * new_errors,
                            100 * old_errors));
    }
  }

  void Replication() {
    const auto lately = figures_.history().Over(kLately);
    for (const admin::v1::ReplicationLink& link : figures_.Links(now_)) {
      const std::map<std::string, std::string> labels = {{"from", link.from()}, {"to", link.to()}};
      const double lag = static_cast<double>(link.lag_ms()) / 1000;
      if (const uint64_t changes = Since(lately.begin->dropped, lately.end->dropped, link.to());
          changes > 0) {
        Add("MeridianReplicationDropped", kWarning, {}, labels, static_cast<double>(changes),
            absl::StrFormat("%d changes were left out on their way to %s: malformed, or refused",
                            changes, link.to()));
      }
      if (link.state() == "cut") {
        Add("MeridianReplicationCut", kWarning, absl::Minutes(15), labels, 1,
            absl::StrFormat("an operator has stopped replication to %s", link.to()));
        continue;
      }
      if (lag > absl::ToDoubleSeconds(kLate)) {
        Add("MeridianReplicationLag", kWarning, absl::Seconds(30), labels, lag,
            absl::StrFormat("changes arrive in %s %.1f s late", link.to(), lag));
      }
      if (lag > absl::ToDoubleSeconds(kStuck)) {
        Add("MeridianReplicationStuck", kCritical, {}, labels, lag,
            absl::StrFormat("a change waits for %.0f s to go to %s: %s", lag, link.to(),
                            link.problem()));
      }
      if (const uint64_t keys = Since(lately.begin->repaired, lately.end->repaired, link.to());
          keys > 0) {
        Add("MeridianReplicationLost", kWarning, {}, labels, static_cast<double>(keys),
            absl::StrFormat("%d keys had not arrived in %s: a comparison found and sent them", keys,
                            link.to()));
      }
    }
  }

  void Warming(const CountHistory<WarmCounts>& warming) {
    const auto window = warming.Last(kLately);
    for (const auto& [name, keys] : window.counts.namespaces) {
      const double failed = Share(keys.failed, keys.all);
      if (keys.all >= kFewWarmed && failed > kMaxWarmFailures) {
        Add("MeridianWarmingFails", kWarning, {}, {{"namespace", name}}, failed,
            absl::StrFormat("%.0f %% of the keys of %s that warm jobs read fail", 100 * failed,
                            name));
      }
      const uint64_t over = keys.used + keys.unused;
      const double useful = Share(keys.used, over);
      if (over >= kFewEntries && useful < 0.2) {
        Add("MeridianWarmUseless", kInfo, absl::Minutes(1), {{"namespace", name}}, useful,
            absl::StrFormat("only %.0f %% of the warmed entries of %s were asked for", 100 * useful,
                            name));
      }
    }
  }

  void Standby(const CoordinatorView& view) {
    if (!view.clock_problem.empty()) {
      Add("MeridianClockOff", kCritical, {}, {{kOfCoordinator, view.coordinator}}, 1,
          absl::StrFormat("coordinator %s must not lead: %s", view.coordinator,
                          view.clock_problem));
    }
    if (!view.problem.empty()) {
      Add("MeridianRedisAway", kCritical, absl::Seconds(5), {{kOfCoordinator, view.coordinator}}, 0,
          absl::StrFormat(
              "coordinator %s does not reach the regional Redis, so that it cannot lead, "
              "nor know who does: %s",
              view.coordinator, view.problem));
    } else if (!view.knows_leader) {
      Add("MeridianNoCoordinatorLeads", kCritical, absl::Seconds(10), {}, 0,
          "no coordinator leads: no node can join or leave, and nobody looks for other alerts");
    }
  }

  void Own(const CoordinatorView& view) {
    Certificate(kOfCoordinator, view.coordinator, view.certificates_end);
    // Of the region, not of this coordinator: the label is that of Prometheus' rule.
    for (const std::string& id : view.missed) {
      Add("MeridianCoordinatorDown", kWarning, absl::Seconds(20), {{"instance", id}}, 1,
          absl::StrFormat("coordinator %s has gone without a goodbye; %s leads", id,
                          view.coordinator));
    }
  }

  std::vector<AlertCondition> Take() { return std::move(conditions_); }

 private:
  void SlowTier(const std::string& name, const char* tier, const HistogramSnapshot& latency,
                double goal) {
    const Judged p95 = JudgeLatency(latency, goal);
    if (!p95.IsMissed()) return;
    Add("MeridianSlowReads", kWarning, absl::Minutes(2), {{"namespace", name}, {"tier", tier}},
        p95.value,
        absl::StrFormat("p95 of the reads of %s that %s answered in the last 5 minutes is %.3g ms; "
                        "its goal is %g ms",
                        name, tier, 1000 * p95.value, 1000 * goal));
  }

  static uint64_t Since(const std::map<std::string, uint64_t>& earlier,
                        const std::map<std::string, uint64_t>& now, const std::string& region) {
    const auto after = now.find(region);
    if (after == now.end()) return 0;
    const auto before = earlier.find(region);
    return after->second - (before == earlier.end() ? 0 : before->second);
  }

  // A node that is refused is no member any more, or never was.
  void Clocks() {
    std::map<std::string, std::string> off = figures_.RefusedClocks(now_);
    for (const auto& [id, node] : figures_.nodes()) {
      if (!node.IsAlive(now_) || node.figures.clock_problem().empty()) continue;
      off[id] = node.figures.clock_problem();
    }
    for (const auto& [id, problem] : off) {
      Add("MeridianClockOff", kCritical, {}, {{"node", id}}, 1,
          absl::StrFormat("node %s takes no writes: %s", id, problem));
    }
  }

  // What was given to a node, and is not where it should be.
  void Given(const std::string& id, const admin::v1::GetFiguresResponse& figures) {
    const absl::Duration oldest =
        absl::Milliseconds(static_cast<int64_t>(figures.hints_oldest_ms()));
    if (oldest > kHintsWait) {
      Add("MeridianHintsWait", kCritical, {}, {{"node", id}}, absl::ToDoubleSeconds(oldest),
          absl::StrFormat("writes that node %s accepted without Redis have waited in its memory "
                          "for %.0f s",
                          id, absl::ToDoubleSeconds(oldest)));
    }
    if (!figures.policies_problem().empty()) {
      Add("MeridianPoliciesRefused", kWarning, absl::Minutes(1), {{"node", id}}, 1,
          absl::StrFormat("node %s goes on with older policies: %s", id,
                          figures.policies_problem()));
    }
  }

  // A full L1 is what a cache is for; a process that outgrows its L1 is not.
  void Memory(const std::string& id, const admin::v1::GetFiguresResponse& figures) {
    const double room =
        kBesideL1 * static_cast<double>(figures.status().l1_limit_bytes()) + kRestBytes;
    const double filled = static_cast<double>(figures.resident_bytes()) / room;
    if (filled <= kMaxFilled) return;
    Add("MeridianMemoryHigh", kWarning, absl::Minutes(1), {{"node", id}}, filled,
        absl::StrFormat("the process of node %s takes %.0f %% of what its L1 and the rest may", id,
                        100 * filled));
  }

  void Redis(const std::string& id, const admin::v1::GetStatusResponse& status) {
    if (status.l2_size() == 0 || status.l2(0).address().empty()) return;
    const admin::v1::L2Status& l2 = status.l2(0);
    if (!l2.connected()) {
      Add("MeridianRedisAway", kCritical, absl::Seconds(5), {{"node", id}}, 0,
          absl::StrFormat("node %s does not reach the regional Redis: %s", id, l2.problem()));
    }
    if (l2.breaker() == "open") {
      Add("MeridianRedisCircuitOpen", kWarning, absl::Seconds(5), {{"node", id}}, 1,
          absl::StrFormat("node %s does not ask the regional Redis: it failed too often", id));
    }
  }

  // `what`: "node" or "coordinator".
  void Certificate(const char* what, const std::string& id, absl::Time end) {
    const absl::Duration left = end - wall_;
    if (left > absl::Hours(14 * 24)) return;
    const std::string of = absl::StrFormat("a certificate that %s %s uses", what, id);
    Add("MeridianCertificateExpires", left < absl::Hours(3 * 24) ? kCritical : kWarning, {},
        {{what, id}}, absl::ToDoubleSeconds(left),
        left < absl::ZeroDuration()
            ? of + " has expired"
            : absl::StrFormat("%s expires in %.1f days", of, absl::ToDoubleHours(left) / 24));
  }

  static double ErrorShare(const ReadCounts& reads) {
    return Share(reads.errors, reads.reads() + reads.errors);
  }

  // When all fail there are no other reads to compare.
  void WorseReadErrors(const ReadCounts& before, const ReadCounts& now) {
    if (before.reads() + before.errors < kFewReads || now.reads() + now.errors < kFewReads) return;
    const double old_errors = ErrorShare(before);
    const double new_errors = ErrorShare(now);
    if (now.errors == 0 || new_errors <= old_errors + kMoreErrors) return;
    Worse("read_errors", new_errors,
          absl::StrFormat("%.2f %% of the reads fail, and %.2f %% did", 100 * new_errors,
                          100 * old_errors));
  }

  void Worse(const char* what, double value, std::string summary) {
    Add("MeridianWorseThanBefore", kWarning, absl::Minutes(1), {{"what", what}}, value,
        std::move(summary));
  }

  void Add(const char* name, const char* severity, absl::Duration after,
           std::map<std::string, std::string> labels, double value, std::string summary) {
    conditions_.push_back({name, severity, after, std::move(labels), std::move(summary), value});
  }

  const RegionFigures& figures_;
  const absl::Duration now_;
  const absl::Time wall_;
  const GoalTable goals_;
  std::vector<AlertCondition> conditions_;
};

}  // namespace

WarmCounts& WarmCounts::operator-=(const WarmCounts& earlier) {
  for (auto& [name, keys] : namespaces) {
    const auto before = earlier.namespaces.find(name);
    if (before == earlier.namespaces.end()) continue;
    keys.all -= std::min(keys.all, before->second.all);
    keys.failed -= std::min(keys.failed, before->second.failed);
    keys.used -= std::min(keys.used, before->second.used);
    keys.unused -= std::min(keys.unused, before->second.unused);
  }
  return *this;
}

std::vector<std::string> AlertNames() {
  return {kNodeDown,
          "MeridianCoordinatorDown",
          "MeridianNoCoordinatorLeads",
          "MeridianEpochsDisagree",
          "MeridianErrors",
          "MeridianSlow",
          "MeridianLowHitRate",
          "MeridianSlowReads",
          "MeridianWorseThanBefore",
          "MeridianMemoryHigh",
          "MeridianRedisMemoryHigh",
          "MeridianRedisAway",
          "MeridianRedisCircuitOpen",
          "MeridianReplicationLag",
          "MeridianReplicationStuck",
          "MeridianReplicationCut",
          "MeridianReplicationLost",
          "MeridianReplicationDropped",
          "MeridianStale",
          "MeridianClockOff",
          "MeridianHintsWait",
          "MeridianPoliciesRefused",
          "MeridianOriginBreakerOpen",
          "MeridianWarmingFails",
          "MeridianWarmUseless",
          "MeridianCertificateExpires"};
}

absl::Duration AlertWindow(const std::string& name) {
  if (name == "MeridianWorseThanBefore") return kBeforeFrom;
  for (const char* lately : {"MeridianReplicationLost", "MeridianReplicationDropped",
                             "MeridianStale", "MeridianWarmingFails"}) {
    if (name == lately) return kLately;
  }
  if (name == "MeridianLowHitRate" || name == "MeridianSlowReads") return kJudgedOver;
  return absl::ZeroDuration();
}

std::vector<AlertCondition> Conditions(const RegionFigures& figures,
                                       const CountHistory<WarmCounts>& warming, absl::Duration now,
                                       absl::Time wall) {
  Rules rules(figures, now, wall);
  rules.Nodes();
  rules.Calls();
  rules.FailedReads();
  rules.HitRates();
  rules.SlowReads();
  rules.Origins();
  rules.Staleness();
  rules.WorseThanBefore();
  rules.Replication();
  rules.Warming(warming);
  return rules.Take();
}

std::vector<AlertCondition> StandbyConditions(const CoordinatorView& view) {
  const RegionFigures none;
  Rules rules(none, absl::ZeroDuration(), absl::InfinitePast());
  rules.Standby(view);
  return rules.Take();
}

std::vector<AlertCondition> OwnConditions(const CoordinatorView& view, absl::Time wall) {
  const RegionFigures none;
  Rules rules(none, absl::ZeroDuration(), wall);
  rules.Own(view);
  return rules.Take();
}

bool IsOfCoordinator(const coordinator::v1::Alert& alert) {
  return alert.labels().count(kOfCoordinator) > 0;
}

const std::string* MissedNode(const coordinator::v1::Alert& alert) {
  const auto node = alert.labels().find("node");
  const bool missed = alert.name() == kNodeDown && alert.state() == "firing";
  return missed && node != alert.labels().end() ? &node->second : nullptr;
}

}  // namespace meridian
