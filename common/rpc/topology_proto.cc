#include "common/rpc/topology_proto.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace meridian {

void ToProto(const Member& member, cache::v1::Member* proto) {
  proto->set_id(member.id);
  proto->set_data_address(member.data_address);
  proto->set_peer_address(member.peer_address);
  proto->set_admin_address(member.admin_address);
  proto->set_http_address(member.http_address);
  proto->set_weight(member.weight);
  proto->set_state(static_cast<cache::v1::MemberState>(member.state));
  proto->set_incarnation(member.incarnation);
}

Member FromProto(const cache::v1::Member& proto) {
  Member member;
  member.id = proto.id();
  member.data_address = proto.data_address();
  member.peer_address = proto.peer_address();
  member.admin_address = proto.admin_address();
  member.http_address = proto.http_address();
  member.weight = proto.weight() == 0 ? 1 : proto.weight();
  member.state = proto.state() == cache::v1::MEMBER_STATE_UNSPECIFIED
                     ? MemberState::kJoining
                     : static_cast<MemberState>(proto.state());
  member.incarnation = proto.incarnation();
  return member;
}

void ToProto(const Topology& topology, cache::v1::Topology* proto) {
  proto->Clear();
  proto->set_epoch(topology.epoch());
  proto->set_region(topology.region());
  for (const Member& member : topology.members()) ToProto(member, proto->add_members());
  if (topology.OwnerIndex(0) == Topology::kNoOwner) return;
  proto->mutable_slot_owners()->Reserve(kSlotCount);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    proto->add_slot_owners(topology.OwnerIndex(slot));
  }
}

absl::StatusOr<Topology> FromProto(const cache::v1::Topology& proto) {
  std::vector<Member> members;
  members.reserve(proto.members_size());
  for (const cache::v1::Member& member : proto.members()) members.push_back(FromProto(member));
  ASSIGN_OR_RETURN(Topology topology,
                   Topology::Create(proto.epoch(), proto.region(), std::move(members)));
  if (proto.slot_owners_size() == 0) return topology;
  if (proto.slot_owners_size() != static_cast<int>(kSlotCount)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a topology with ", proto.slot_owners_size(), " slots instead of ", kSlotCount));
  }
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    if (proto.slot_owners(static_cast<int>(slot)) != topology.OwnerIndex(slot)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the sender of epoch ", proto.epoch(), " gives slot ", slot,
          " to another member than this build does: mixed releases with different slot functions"));
    }
  }
  return topology;
}

void ToProto(const Version& version, cache::v1::Version* proto) {
  proto->set_hlc(version.hlc);
  proto->set_region(version.region);
}

Version FromProto(const cache::v1::Version& proto) {
  return Version{proto.hlc(), static_cast<uint16_t>(proto.region())};
}

}  // namespace meridian
