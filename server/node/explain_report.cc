#include "server/node/explain_report.h"

#include "common/rpc/topology_proto.h"

namespace meridian {

void ToProto(const TierReport& report, peer::v1::TierEntry* proto) {
  proto->set_tier(static_cast<cache::v1::Source>(report.tier));
  proto->set_status(report.holding == Holding::kValue         ? cache::v1::ENTRY_STATUS_OK
                    : report.holding == Holding::kUnavailable ? cache::v1::ENTRY_STATUS_ERROR
                                                              : cache::v1::ENTRY_STATUS_MISS);
  proto->set_mirror(report.mirror);
  proto->set_fenced(report.holding == Holding::kFenced);
  proto->set_tombstone(report.holding == Holding::kTombstone);
  ToProto(report.version, proto->mutable_version());
  proto->set_ttl_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(report.ttl)));
  proto->set_size(report.size);
  proto->set_raw_size(report.raw_size);
  proto->set_encoding(static_cast<cache::v1::Encoding>(report.encoding));
  for (const std::string& tag : report.tags) proto->add_tags(tag);
  if (report.error) ToProto(*report.error, proto->mutable_error());
}

TierReport FromProto(const peer::v1::TierEntry& proto) {
  TierReport report;
  report.tier = static_cast<Tier>(proto.tier());
  report.holding = proto.tombstone()                                 ? Holding::kTombstone
                   : proto.fenced()                                  ? Holding::kFenced
                   : proto.status() == cache::v1::ENTRY_STATUS_OK    ? Holding::kValue
                   : proto.status() == cache::v1::ENTRY_STATUS_ERROR ? Holding::kUnavailable
                                                                     : Holding::kAbsent;
  report.mirror = proto.mirror();
  report.version = FromProto(proto.version());
  report.ttl = absl::Milliseconds(static_cast<int64_t>(proto.ttl_ms()));
  report.size = proto.size();
  report.raw_size = proto.raw_size();
  report.encoding =
      proto.encoding() == cache::v1::ENCODING_ZLIB ? Encoding::kZlib : Encoding::kIdentity;
  report.tags.assign(proto.tags().begin(), proto.tags().end());
  if (proto.has_error()) report.error = FromProto(proto.error());
  return report;
}

}  // namespace meridian
