#include "server/figures/figure_collector.h"

#include <utility>

namespace meridian {

FigureCollector::FigureCollector(FigureCollectorOptions options, const Clock& clock,
                                 Executor& executor, FigureTransport& transport, Members members)
    : options_(options),
      clock_(clock),
      executor_(executor),
      transport_(transport),
      members_(std::move(members)) {}

void FigureCollector::Start() {
  executor_.Post([this] { Tick(); });
}

void FigureCollector::Tick() {
  executor_.PostAfter(options_.interval, [this] { Tick(); });
  bool leading = false;
  std::vector<FollowedNode> nodes = members_(&leading);
  if (!leading) {
    if (std::exchange(leading_, false)) figures_.Clear();
    for (const Observer& observer : observers_) observer();
    return;
  }
  leading_ = true;
  std::vector<std::string> addresses;
  for (const FollowedNode& node : nodes) addresses.push_back(node.member.admin_address);
  transport_.KeepOnly(addresses);
  const absl::Duration now = clock_.Monotonic();
  figures_.SetNodes(nodes, now);
  figures_.Tick(now, clock_.Now());
  for (const Observer& observer : observers_) observer();
  for (const FollowedNode& node : nodes) Ask(node);
}

void FigureCollector::Ask(const FollowedNode& node) {
  const std::string& id = node.member.id;
  if (node.member.admin_address.empty()) {
    figures_.Fail(id, "it has not told the address of its AdminService");
    return;
  }
  if (!asked_.insert(id).second) return;
  transport_.GetFigures(
      node.member.admin_address, options_.timeout,
      [this, executor = &executor_, id](absl::StatusOr<admin::v1::GetFiguresResponse> answer) {
        executor->Post([this, id, answer = std::move(answer)]() mutable {
          asked_.erase(id);
          if (!leading_) return;
          if (!answer.ok()) {
            figures_.Fail(id, std::string(answer.status().message()));
          } else if (answer->node() != id) {
            figures_.Fail(id, "another node answers at its address");
          } else {
            figures_.Take(id, *std::move(answer), clock_.Monotonic());
          }
        });
      });
}

}  // namespace meridian
