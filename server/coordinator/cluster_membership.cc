#include "server/coordinator/cluster_membership.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

// No epoch of ours gets there; one that does would leave no room for higher ones.
constexpr uint64_t kMaxEpoch = uint64_t{1} << 62;
// A host name and a port.
constexpr size_t kMaxAddressSize = 255 + 6;
// Joins that keep coming are gathered no longer than this many settle times.
constexpr int kMaxSettles = 5;

absl::Status CheckReport(const NodeReport& report) {
  const Member& member = report.member;
  if (const absl::Status status = CheckName(member.id); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("FIELD_INVALID: node id ", status.message()));
  }
  if (member.weight < 1 || member.weight > 1000) {
    return absl::InvalidArgumentError(
        absl::StrCat("FIELD_INVALID: weight ", member.weight, " is not in 1..1000"));
  }
  for (const std::string* address :
       {&member.data_address, &member.peer_address, &member.admin_address, &member.http_address}) {
    const bool optional = address == &member.admin_address || address == &member.http_address;
    if (optional && address->empty()) continue;
    if (address->size() > kMaxAddressSize || !CheckAddress(*address).ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("FIELD_INVALID: ", QuoteKey(*address), " is not an address host:port"));
    }
  }
  if (report.epoch >= kMaxEpoch) {
    return absl::InvalidArgumentError(absl::StrCat("FIELD_INVALID: epoch ", report.epoch));
  }
  return absl::OkStatus();
}

bool SameButState(Member a, const Member& b) {
  a.state = b.state;
  return a == b;
}

}  // namespace

ClusterMembership::ClusterMembership(MembershipOptions options) : options_(std::move(options)) {}

void ClusterMembership::Restore(const Topology& stored, absl::Duration now) {
  assert(nodes_.empty() && epoch_ == 0);
  last_call_ = now;
  if (stored.epoch() == 0) return;
  epoch_ = stored.epoch();
  has_history_ = true;
  for (const Member& member : stored.members()) {
    Node& node = nodes_[member.id];
    node.member = member;
    node.last_heard = now;
    if (member.state != MemberState::kDraining) {
      node.last_heard += options_.takeover_grace - options_.failure_timeout;
    }
    if (member.state == MemberState::kJoining) NoteJoin(now);
  }
  changed_ = true;
}

absl::Status ClusterMembership::Register(const NodeReport& report, uint64_t session,
                                         absl::Duration now) {
  RETURN_IF_ERROR(CheckReport(report));
  NoteTime(now);
  const auto it = nodes_.find(report.member.id);
  if (it == nodes_.end()) {
    if (nodes_.size() >= kSlotCount) {
      return absl::ResourceExhaustedError(
          absl::StrCat("TOO_MANY_NODES: the region has ", nodes_.size(), " nodes already"));
    }
    Node& node = nodes_[report.member.id];
    node.member = report.member;
    node.member.state = MemberState::kJoining;
    events_.push_back(
        absl::StrCat("node ", report.member.id, " joins, ", report.member.data_address));
    NoteJoin(now);
    node.session = session;
    NoteReport(report, now, &node);
    return absl::OkStatus();
  }

  Node& node = it->second;
  const bool restarted = node.member.incarnation != report.member.incarnation;
  if (restarted && node.session != 0 && now - node.last_heard < 2 * options_.heartbeat_interval) {
    return absl::AlreadyExistsError(absl::StrCat("NODE_ID_IN_USE: another live process at ",
                                                 node.member.data_address, " is node ",
                                                 report.member.id));
  }
  if (!SameButState(node.member, report.member)) {
    const MemberState state = node.member.state;
    node.member = report.member;
    node.member.state = state;
    events_.push_back(absl::StrCat("node ", report.member.id,
                                   restarted ? " is back after a restart, " : " has moved, ",
                                   report.member.data_address));
    NoteJoin(now);
  }
  node.session = session;
  NoteReport(report, now, &node);
  return absl::OkStatus();
}

absl::Status ClusterMembership::Heartbeat(const NodeReport& report, absl::Duration now) {
  NoteTime(now);
  const auto it = nodes_.find(report.member.id);
  if (it == nodes_.end() || it->second.member.incarnation != report.member.incarnation) {
    return absl::NotFoundError(
        absl::StrCat("NODE_UNKNOWN: ", QuoteKey(report.member.id), " must register again"));
  }
  if (report.epoch >= kMaxEpoch) {
    return absl::InvalidArgumentError(absl::StrCat("FIELD_INVALID: epoch ", report.epoch));
  }
  NoteReport(report, now, &it->second);
  return absl::OkStatus();
}

void ClusterMembership::Disconnect(const std::string& id, uint64_t session, absl::Duration now) {
  NoteTime(now);
  const auto it = nodes_.find(id);
  if (it == nodes_.end() || it->second.session != session) return;
  it->second.session = 0;
  if (it->second.member.state == MemberState::kDraining) Forget(it, "has drained and left");
}

std::optional<Topology> ClusterMembership::Tick(absl::Duration now) {
  NoteTime(now);
  if (now < hold_until_) return std::nullopt;
  ForgetSilentNodes(now);
  if (now >= join_due_) {
    join_due_ = absl::InfiniteDuration();
    join_limit_ = absl::InfiniteDuration();
    changed_ = true;
    for (auto& [id, node] : nodes_) {
      if (node.member.state == MemberState::kJoining) node.member.state = MemberState::kServing;
    }
  }
  if (changed_) {
    std::optional<Topology> next = Next();
    if (!next.has_value()) return std::nullopt;
    if (!CanHandOff(*next)) return Publish(*std::move(next));
    if (!plan_.has_value()) plan_due_ = now + options_.hand_off;
    plan_ = *std::move(next);
    events_.push_back(absl::StrCat("epoch ", epoch_, " is planned"));
  }
  if (!plan_.has_value()) return std::nullopt;
  const bool late = !AllHandedOff();
  if (late && now < plan_due_) return std::nullopt;
  ++hand_offs_;
  if (late) {
    ++late_hand_offs_;
    events_.push_back(absl::StrCat("epoch ", plan_->epoch(), " waits no longer for the hand-off"));
  }
  return Publish(*std::move(plan_));
}

std::optional<Topology> ClusterMembership::Next() {
  std::vector<Member> members;
  for (const auto& [id, node] : nodes_) members.push_back(node.member);
  absl::StatusOr<Topology> topology =
      Topology::Create(epoch_ + 1, options_.region, std::move(members));
  assert(topology.ok());  // CheckReport has seen every member.
  if (!topology.ok()) return std::nullopt;
  ++epoch_;
  changed_ = false;
  return *std::move(topology);
}

Topology ClusterMembership::Publish(Topology next) {
  has_history_ = true;
  plan_.reset();
  plan_due_ = absl::InfiniteDuration();
  published_ = next;
  return next;
}

bool ClusterMembership::CanHandOff(const Topology& next) const {
  if (options_.hand_off <= absl::ZeroDuration() || !published_.has_value()) return false;
  bool moves = false;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const Member* const owner = published_->OwnerOf(slot);
    const Member* const heir = next.OwnerOf(slot);
    if (owner == nullptr) continue;
    const auto it = nodes_.find(owner->id);
    if (it == nodes_.end() || !SameButState(*owner, it->second.member)) return false;
    if (heir != nullptr && heir->id != owner->id) moves = true;
  }
  return moves;
}

bool ClusterMembership::AllHandedOff() const {
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const Member* const owner = published_->OwnerOf(slot);
    const Member* const heir = plan_->OwnerOf(slot);
    if (owner == nullptr || heir == nullptr || heir->id == owner->id) continue;
    const auto it = nodes_.find(owner->id);
    if (it != nodes_.end() && it->second.handed_off_epoch < plan_->epoch()) return false;
  }
  return true;
}

absl::Duration ClusterMembership::NextDue() const {
  absl::Duration due = join_due_;
  if (changed_ || (plan_.has_value() && AllHandedOff())) due = -absl::InfiniteDuration();
  due = std::min(due, plan_due_);
  for (const auto& [id, node] : nodes_) {
    if (!all_silent_) due = std::min(due, node.last_heard + options_.failure_timeout);
  }
  return std::max(due, hold_until_);
}

std::vector<NodeView> ClusterMembership::Nodes(absl::Duration now) const {
  std::vector<NodeView> views;
  for (const auto& [id, node] : nodes_) {
    views.push_back({node.member, std::max(now - node.last_heard, absl::ZeroDuration()), node.epoch,
                     node.warmth});
  }
  return views;
}

std::vector<std::string> ClusterMembership::TakeEvents() { return std::exchange(events_, {}); }

std::vector<std::string> ClusterMembership::TakeLeft() { return std::exchange(left_, {}); }

// Time in which this process did not run is nobody's silence.
void ClusterMembership::NoteTime(absl::Duration now) {
  const absl::Duration gap = now - last_call_;  // Negative infinity at the first call.
  if (gap > 2 * options_.heartbeat_interval) {
    for (auto& [id, node] : nodes_) node.last_heard += gap;
  }
  last_call_ = now;
}

void ClusterMembership::NoteJoin(absl::Duration now) {
  if (join_limit_ == absl::InfiniteDuration()) join_limit_ = now + kMaxSettles * options_.settle;
  join_due_ = std::min(now + options_.settle, join_limit_);
}

void ClusterMembership::NoteReport(const NodeReport& report, absl::Duration now, Node* node) {
  node->last_heard = now;
  node->epoch = report.epoch;
  node->warmth = report.warmth;
  node->handed_off_epoch = report.handed_off_epoch;
  const bool drains = report.member.state == MemberState::kDraining;
  const bool drained = node->member.state == MemberState::kDraining;
  if (drains && !drained) {
    node->member.state = MemberState::kDraining;
    events_.push_back(absl::StrCat("node ", node->member.id, " drains"));
    changed_ = true;
  } else if (!drains && drained) {
    node->member.state = MemberState::kJoining;
    events_.push_back(absl::StrCat("node ", node->member.id, " joins again"));
    NoteJoin(now);
  }
  if (report.epoch <= epoch_) return;
  // A topology that we know nothing of: ours must be newer, and when we know of no members at all,
  // its other members must have time to tell us that they are there.
  epoch_ = report.epoch;
  changed_ = true;
  if (!has_history_ && hold_until_ < now) hold_until_ = now + options_.takeover_grace;
}

void ClusterMembership::ForgetSilentNodes(absl::Duration now) {
  const auto silent = [&](const Node& node) {
    return now - node.last_heard >= options_.failure_timeout;
  };
  const bool was_silent = std::exchange(
      all_silent_, !nodes_.empty() && std::all_of(nodes_.begin(), nodes_.end(),
                                                  [&](const auto& n) { return silent(n.second); }));
  if (all_silent_) {
    if (!was_silent) events_.push_back("no node is heard; the last topology stays");
    return;
  }
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    it = silent(it->second) ? Forget(it, "is gone, its heartbeats stopped") : std::next(it);
  }
}

ClusterMembership::NodeMap::iterator ClusterMembership::Forget(NodeMap::iterator it,
                                                               std::string_view why) {
  events_.push_back(absl::StrCat("node ", it->first, " ", ToAbsl(why)));
  if (it->second.member.state == MemberState::kDraining) left_.push_back(it->first);
  changed_ = true;
  return nodes_.erase(it);
}

}  // namespace meridian
