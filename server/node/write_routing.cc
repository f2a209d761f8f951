// The part of WriteCall that sends items to the nodes that own their keys, and goes around nodes
// that do not answer.

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "server/node/write_call.h"

namespace meridian {

void WriteCall::Forward(const TopologyHolder::Snapshot& topology, OwnerGroup group, bool first) {
  pending_.fetch_add(1, std::memory_order_relaxed);
  const Member& owner = topology->members()[group.owner];
  PeerWrite write;
  write.epoch = topology->epoch();
  write.name_space = request_.name_space;
  write.request_id = request_.request_id;
  write.items.reserve(group.indexes.size());
  for (const uint32_t index : group.indexes) write.items.push_back(&request_.items[index]);
  const absl::Time now = context_.clock.Now();
  context_.peers.Write(owner, write, now + PeerAttempt(LowerDeadline() - now),
                       [self = shared_from_this(), topology, group = std::move(group),
                        first](PeerWriteReply reply) mutable {
                         self->TakeReply(*topology, std::move(group), std::move(reply), first);
                         self->Done();
                       });
}

void WriteCall::TakeReply(const Topology& used, OwnerGroup group, PeerWriteReply reply,
                          bool first) {
  if (!reply.status.ok()) {
    GoAround(std::move(group.indexes), reason::kOwnerUnavailable,
             absl::StrCat("the key's owner does not answer: ", std::string(reply.status.message())),
             /*unsent=*/false);
    return;
  }
  std::vector<uint32_t> moved;
  std::vector<uint32_t> skewed;  // The owner gives no versions; perhaps this node may.
  for (size_t i = 0; i < group.indexes.size(); ++i) {
    WriteResult& answer = reply.results[i];
    if (answer.state == EntryState::kError && answer.error->reason == reason::kNotOwner) {
      moved.push_back(group.indexes[i]);
    } else if (answer.state == EntryState::kError && answer.error->reason == reason::kClockSkew) {
      skewed.push_back(group.indexes[i]);
    } else {
      results_[group.indexes[i]] = std::move(answer);
    }
  }
  if (!skewed.empty()) {
    GoAround(std::move(skewed), reason::kClockSkew, "the clock of the key's owner is off",
             /*unsent=*/true);
  }
  if (moved.empty()) return;
  if (reply.topology) context_.topology.Offer(*std::move(reply.topology));
  const TopologyHolder::Snapshot newer = context_.topology.Get();
  if (first && newer->epoch() > used.epoch()) {
    Reroute(newer, std::move(moved));
  } else if (context_.l1_only &&
             LowerDeadline() - context_.clock.Now() > kOwnerChanging + 3 * kReplyMargin) {
    SendLater(std::move(moved));
  } else {
    GoAround(std::move(moved), reason::kOwnerUnavailable, "the key's owner is changing",
             /*unsent=*/true);
  }
}

void WriteCall::SendLater(std::vector<uint32_t> indexes) {
  pending_.fetch_add(1, std::memory_order_relaxed);
  context_.timers.Add(context_.clock.Monotonic() + kOwnerChanging,
                      [self = shared_from_this(), indexes = std::move(indexes)] {
                        self->Reroute(self->context_.topology.Get(), indexes);
                        self->Done();
                      });
}

void WriteCall::Reroute(const TopologyHolder::Snapshot& newer, std::vector<uint32_t> indexes) {
  OwnerGroups groups;
  std::vector<uint32_t> here;
  std::vector<uint32_t> ownerless;
  for (const uint32_t index : indexes) {
    const uint16_t owner = newer->OwnerIndex(SlotOf(name_space_.name, Item(index).key));
    if (owner == Topology::kNoOwner) {
      ownerless.push_back(index);
    } else if (newer->members()[owner].id == context_.node_id) {
      here.push_back(index);
    } else {
      AddToGroup(owner, index, &groups);
    }
  }
  if (!here.empty()) WriteHere(std::move(here));
  if (!ownerless.empty()) {
    GoAround(std::move(ownerless), reason::kNoOwner,
             "no node of the region owns the key's slot yet", /*unsent=*/true);
  }
  for (OwnerGroup& group : groups) Forward(newer, std::move(group), /*first=*/false);
}

void WriteCall::GoAround(std::vector<uint32_t> indexes, const char* why, const std::string& message,
                         bool unsent) {
  std::vector<uint32_t> plain;
  for (const uint32_t index : indexes) {
    if (context_.l1_only) {
      SetError(Error{grpc::StatusCode::UNAVAILABLE, why, message, {}}, &results_[index]);
    } else if (Item(index).conditional() && !unsent) {
      SetError(Error{grpc::StatusCode::UNAVAILABLE,
                     reason::kOutcomeUnknown,
                     absl::StrCat(message,
                                  "; the condition may have held and the write may have "
                                  "been carried out: read the key"),
                     {}},
               &results_[index]);
    } else {
      plain.push_back(index);
    }
  }
  if (CloseFirst(plain, [this, plain] { WriteAround(plain); })) return;
  WriteAround(std::move(plain));
}

void WriteCall::WriteAround(std::vector<uint32_t> indexes) {
  EndLeases(&indexes, Home::kElsewhere, LeaseUse::kGiveBack);
  RefuseLostLeases(&indexes, Home::kElsewhere);
  EndLeases(&indexes, Home::kElsewhere, LeaseUse::kAbsent);
  if (!indexes.empty()) ApplyToL2(std::move(indexes), Home::kElsewhere, /*attempt=*/1);
}

}  // namespace meridian
