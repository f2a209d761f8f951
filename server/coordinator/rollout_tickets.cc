#include "server/coordinator/rollout_tickets.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace meridian {
namespace {

// Why others wait for this member; empty: they need not.
std::string ColdBecause(const NodeView& node) {
  const std::string& id = node.member.id;
  if (node.member.state == MemberState::kJoining) return absl::StrCat(id, " joins");
  if (node.member.state == MemberState::kDraining) return absl::StrCat(id, " drains");
  if (node.warmth >= RolloutTickets::kWarm) return "";
  return absl::StrFormat("%s is cold (warmth %.2f)", id, node.warmth);
}

}  // namespace

std::string RolloutTickets::Ask(const std::string& node, const std::vector<NodeView>& nodes,
                                absl::Duration now) {
  if (!holder_.empty() && IsOver(nodes, now)) holder_.clear();
  if (holder_ == node) return "";
  if (!holder_.empty()) return absl::StrCat(holder_, " is being restarted");
  uint64_t incarnation = 0;
  for (const NodeView& view : nodes) {
    if (view.member.id == node) {
      incarnation = view.member.incarnation;
      continue;
    }
    if (std::string why = ColdBecause(view); !why.empty()) return why;
  }
  Give(node, incarnation, now);
  return "";
}

void RolloutTickets::GiveBack(const std::string& node, const std::vector<NodeView>& nodes) {
  if (holder_ != node) return;
  for (const NodeView& view : nodes) {
    if (view.member.id == node && view.member.incarnation == incarnation_) return Forget();
  }
}

void RolloutTickets::Give(const std::string& node, uint64_t incarnation, absl::Duration now) {
  holder_ = node;
  incarnation_ = incarnation;
  serves_since_ = now;
  away_since_ = absl::InfiniteDuration();
}

std::string RolloutTickets::Encode() const {
  return holder_.empty() ? "" : absl::StrCat(incarnation_, " ", holder_);
}

void RolloutTickets::Restore(const std::string& encoded, absl::Duration now) {
  Forget();
  const size_t end = encoded.find(' ');
  uint64_t incarnation = 0;
  if (end == std::string::npos || !absl::SimpleAtoi(encoded.substr(0, end), &incarnation)) return;
  Give(encoded.substr(end + 1), incarnation, now);
}

bool RolloutTickets::IsOver(const std::vector<NodeView>& nodes, absl::Duration now) {
  const auto it = std::find_if(nodes.begin(), nodes.end(),
                               [this](const NodeView& view) { return view.member.id == holder_; });
  if (it == nodes.end()) {
    away_since_ = std::min(away_since_, now);
    return now - away_since_ >= absence_;
  }
  away_since_ = absl::InfiniteDuration();
  if (it->member.incarnation != incarnation_) return ColdBecause(*it).empty();
  if (it->member.state != MemberState::kServing) serves_since_ = now;
  return now - serves_since_ >= kUnused;
}

}  // namespace meridian
