#include "server/figures/region_figures.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace meridian {
namespace {

// The worse a state is, the larger.
int Badness(const std::string& state) {
  constexpr const char* kOrder[] = {"streaming", "catching_up", "repairing", "disconnected", "cut"};
  const auto* it = std::find(std::begin(kOrder), std::end(kOrder), state);
  return static_cast<int>(it - std::begin(kOrder));
}

}  // namespace

void RegionFigures::SetNodes(std::vector<FollowedNode> nodes, absl::Duration now) {
  std::set<std::string> present;
  for (FollowedNode& known : nodes) {
    const std::string id = known.member.id;
    present.insert(id);
    auto [it, is_new] = nodes_.try_emplace(id);
    Node& node = it->second;
    if (is_new || !node.is_member || node.known.member.incarnation != known.member.incarnation) {
      node.since = now;
      node.answered.reset();
      node.problem.clear();
      refused_.erase(id);  // Its clock is right again.
    }
    node.is_member = true;
    node.known = std::move(known);
  }
  size_t gone = 0;
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    Node& node = it->second;
    if (present.count(it->first) > 0) {
      ++it;
      continue;
    }
    if (node.is_member) Gone(&node, now);
    if (now - node.since > kKept || ++gone > kMaxGone) {
      it = nodes_.erase(it);
    } else {
      ++it;
    }
  }
}

void RegionFigures::Gone(Node* node, absl::Duration now) {
  node->is_member = false;
  node->since = now;
  node->history = {};
}

void RegionFigures::Miss(const std::string& id, absl::Duration since) {
  const auto [it, is_new] = nodes_.try_emplace(id);
  if (!is_new) return;
  it->second.known.member.id = id;
  Gone(&it->second, since);
}

void RegionFigures::RefuseClock(const std::string& id, std::string problem, absl::Duration now) {
  if (refused_.size() >= kMaxGone) {
    for (auto it = refused_.begin(); it != refused_.end();) {
      it = now - it->second.at > kRefused ? refused_.erase(it) : std::next(it);
    }
    if (refused_.size() >= kMaxGone && refused_.count(id) == 0) return;
  }
  refused_[id] = {std::move(problem), now};
}

std::map<std::string, std::string> RegionFigures::RefusedClocks(absl::Duration now) const {
  std::map<std::string, std::string> problems;
  for (const auto& [id, refusal] : refused_) {
    if (now - refusal.at <= kRefused) problems[id] = refusal.problem;
  }
  return problems;
}

void RegionFigures::Take(const std::string& id, admin::v1::GetFiguresResponse figures,
                         absl::Duration now) {
  const auto it = nodes_.find(id);
  if (it == nodes_.end() || !it->second.is_member) return;
  Node& node = it->second;
  // The first answer is where counting begins: what came before was perhaps counted by another
  // leader, and has no time.
  if (node.answered.has_value() || node.figures.incarnation() != 0) {
    counts_ += Growth(node.figures, figures);
    read_times_.Take(node.figures, figures);
  }
  for (const admin::v1::NamespaceFigures& row : figures.namespaces()) {
    told_[{row.namespace_(), row.policy_version()}] = now;
  }
  if (node.figures.incarnation() != figures.incarnation()) node.history = {};
  node.history.Add(CountsOf(figures).all, now);
  node.answered = now;
  node.problem.clear();
  node.figures = std::move(figures);
}

void RegionFigures::Fail(const std::string& id, std::string problem) {
  const auto it = nodes_.find(id);
  if (it != nodes_.end() && it->second.is_member) it->second.problem = std::move(problem);
}

void RegionFigures::ForgetVersions(absl::Duration now) {
  for (auto it = told_.begin(); it != told_.end();) {
    if (now - it->second <= kKept) {
      ++it;
      continue;
    }
    counts_.Forget(it->first);
    read_times_.Forget(it->first);
    it = told_.erase(it);
  }
}

void RegionFigures::Tick(absl::Duration now, absl::Time wall) {
  ForgetVersions(now);
  NodeCounts since = counts_.all;
  since -= history_.empty() ? counts_.all : history_.last().all;
  const double seconds =
      history_.empty() ? 0 : std::max(0.001, absl::ToDoubleSeconds(now - last_tick_));
  last_tick_ = now;
  history_.Add(counts_, now);
  const auto rate = [seconds](uint64_t count) {
    return seconds == 0 ? 0.0 : static_cast<double>(count) / seconds;
  };
  SeriesPoint point;
  point.at = wall;
  point.calls = rate(since.calls);
  point.l1_hits = rate(since.reads.l1.count());
  point.l2_hits = rate(since.reads.l2.count());
  point.misses = rate(since.reads.miss.count());
  point.errors = rate(since.reads.errors);
  point.call_latency = std::move(since.call_latency);
  for (const auto& [id, node] : nodes_) {
    if (!node.IsAlive(now)) continue;
    ++point.nodes_alive;
    point.l1_bytes += node.figures.status().l1_bytes();
  }
  for (const admin::v1::ReplicationLink& link : Links(now)) {
    point.lag = std::max(point.lag, absl::Milliseconds(static_cast<int64_t>(link.lag_ms())));
  }
  series_.push_back(std::move(point));
  while (series_.size() > kMaxPoints) series_.pop_front();
}

void RegionFigures::Clear() { *this = RegionFigures(); }

std::vector<admin::v1::GetFiguresResponse> RegionFigures::Answers(absl::Duration now) const {
  std::vector<admin::v1::GetFiguresResponse> answers;
  for (const auto& [id, node] : nodes_) {
    if (node.IsAlive(now) && node.answered.has_value()) answers.push_back(node.figures);
  }
  return answers;
}

std::vector<admin::v1::ReplicationLink> RegionFigures::Links(absl::Duration now) const {
  std::map<std::string, admin::v1::ReplicationLink> links;  // By target.
  for (const auto& [id, node] : nodes_) {
    if (!node.IsAlive(now)) continue;
    for (const admin::v1::ReplicationLink& link : node.figures.links()) {
      admin::v1::ReplicationLink& sum = links[link.to()];
      if (sum.to().empty() || Badness(link.state()) > Badness(sum.state())) {
        sum.set_state(link.state());
      }
      sum.set_from(link.from());
      sum.set_to(link.to());
      sum.set_lag_ms(std::max(sum.lag_ms(), link.lag_ms()));
      sum.set_backlog(sum.backlog() + link.backlog());
      sum.set_applied_total(sum.applied_total() + link.applied_total());
      sum.set_repairing_slots(sum.repairing_slots() + link.repairing_slots());
      if (sum.problem().empty()) sum.set_problem(link.problem());
    }
  }
  std::vector<admin::v1::ReplicationLink> list;
  for (auto& [to, link] : links) list.push_back(std::move(link));
  return list;
}

}  // namespace meridian
