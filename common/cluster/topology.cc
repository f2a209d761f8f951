#include "common/cluster/topology.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/cluster/slot_assignment.h"

namespace meridian {
namespace {

constexpr uint32_t kMaxWeight = 1000;

absl::Status CheckMembers(const std::vector<Member>& members) {
  if (members.size() > kSlotCount) {
    return absl::InvalidArgumentError(
        absl::StrCat(members.size(), " members are more than ", kSlotCount, " slots"));
  }
  for (size_t i = 0; i < members.size(); ++i) {
    const Member& member = members[i];
    if (member.id.empty()) return absl::InvalidArgumentError("a member without an id");
    if (i > 0 && members[i - 1].id == member.id) {
      return absl::InvalidArgumentError(
          absl::StrCat("member ", QuoteKey(member.id), " listed twice"));
    }
    if (member.weight < 1 || member.weight > kMaxWeight) {
      return absl::InvalidArgumentError(absl::StrCat("member ", QuoteKey(member.id), ": weight ",
                                                     member.weight, " is not in 1..", kMaxWeight));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Topology> Topology::Create(uint64_t epoch, std::string region,
                                          std::vector<Member> members) {
  std::sort(members.begin(), members.end(),
            [](const Member& a, const Member& b) { return a.id < b.id; });
  if (absl::Status status = CheckMembers(members); !status.ok()) return status;

  Topology topology;
  topology.epoch_ = epoch;
  topology.region_ = std::move(region);
  topology.members_ = std::move(members);

  std::vector<SlotCandidate> candidates;
  std::vector<uint16_t> member_of_candidate;
  for (size_t i = 0; i < topology.members_.size(); ++i) {
    const Member& member = topology.members_[i];
    if (member.state != MemberState::kServing) continue;
    candidates.push_back({member.id, member.weight});
    member_of_candidate.push_back(static_cast<uint16_t>(i));
  }
  if (candidates.empty()) return topology;
  const SlotOwners owners = AssignSlots(candidates);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    topology.slot_owners_[slot] = member_of_candidate[owners[slot]];
  }
  return topology;
}

uint16_t Topology::IndexOf(std::string_view id) const {
  const auto it = std::lower_bound(members_.begin(), members_.end(), id,
                                   [](const Member& member, std::string_view wanted) {
                                     return std::string_view(member.id) < wanted;
                                   });
  if (it == members_.end() || it->id != id) return kNoOwner;
  return static_cast<uint16_t>(it - members_.begin());
}

std::vector<uint32_t> Topology::SlotsOf(std::string_view id) const {
  std::vector<uint32_t> slots;
  const uint16_t index = IndexOf(id);
  if (index == kNoOwner) return slots;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    if (slot_owners_[slot] == index) slots.push_back(slot);
  }
  return slots;
}

TopologyHolder::TopologyHolder() : current_(std::make_shared<const Topology>()) {}

TopologyHolder::Snapshot TopologyHolder::Get() const {
  absl::MutexLock lock(&mu_);
  return current_;
}

bool TopologyHolder::Offer(Topology topology) {
  absl::MutexLock publish(&publish_mu_);
  Snapshot previous;
  Snapshot current;
  {
    absl::MutexLock lock(&mu_);
    if (topology.epoch() <= current_->epoch()) return false;
    previous = current_;
    current_ = std::make_shared<const Topology>(std::move(topology));
    current = current_;
  }
  for (const Listener& listener : listeners_) listener(previous, current);
  return true;
}

void TopologyHolder::AddListener(Listener listener) {
  absl::MutexLock lock(&publish_mu_);
  listeners_.push_back(std::move(listener));
}

}  // namespace meridian
