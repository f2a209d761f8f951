#include "server/node/entry_proto.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "common/engine/tag_list.h"
#include "common/rpc/topology_proto.h"

namespace meridian {
namespace {

uint64_t ToMs(absl::Duration duration) {
  return static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(duration), 0));
}

// A foreign duration, bounded so that arithmetic on it cannot overflow.
absl::Duration FromMs(uint64_t ms) {
  constexpr uint64_t kHundredYears = 100ull * 365 * 24 * 3600 * 1000;
  return absl::Milliseconds(static_cast<int64_t>(std::min(ms, kHundredYears)));
}

EntryState StateFromProto(cache::v1::EntryStatus status) {
  switch (status) {
    case cache::v1::ENTRY_STATUS_OK:
      return EntryState::kOk;
    case cache::v1::ENTRY_STATUS_MISS:
      return EntryState::kMiss;
    case cache::v1::ENTRY_STATUS_CONFLICT:
      return EntryState::kConflict;
    default:
      return EntryState::kError;
  }
}

}  // namespace

void ToProto(const ReadResult& result, bool omit_value, cache::v1::Entry* proto) {
  proto->set_status(static_cast<cache::v1::EntryStatus>(result.state));
  if (result.state == EntryState::kError) {
    ToProto(*result.error, proto->mutable_error());
    return;
  }
  proto->set_source(static_cast<cache::v1::Source>(result.tier));
  if (!result.lease.empty()) proto->set_lease(result.lease);
  proto->set_lease_taken(result.lease_taken);
  if (result.state != EntryState::kOk) return;
  if (!omit_value) {
    const std::string_view value = result.value.view();
    proto->set_value(value.data(), value.size());
  }
  ToProto(result.version, proto->mutable_version());
  proto->set_ttl_ms(ToMs(result.ttl));
  proto->set_age_ms(ToMs(result.age));
  proto->set_stale(result.stale);
  proto->set_encoding(static_cast<cache::v1::Encoding>(result.encoding));
  proto->set_raw_size(result.raw_size);
  std::string_view tags = result.tags.view();
  while (const std::optional<std::string_view> tag = TakeTag(&tags)) {
    proto->add_tags(tag->data(), tag->size());
  }
  proto->set_written(result.written);
  proto->set_not_kept(result.not_kept);
}

ReadResult FromProto(const cache::v1::Entry& proto) {
  ReadResult result;
  result.state = StateFromProto(proto.status());
  if (result.state == EntryState::kError) {
    SetError(FromProto(proto.error()), &result);
    return result;
  }
  result.tier = static_cast<Tier>(proto.source());
  result.lease = proto.lease();
  result.lease_taken = proto.lease_taken();
  if (result.state != EntryState::kOk) return result;
  result.value = Buffer::CopyOf(proto.value());
  result.version = FromProto(proto.version());
  result.ttl = FromMs(proto.ttl_ms());
  result.age = FromMs(proto.age_ms());
  result.stale = proto.stale();
  result.encoding =
      proto.encoding() == cache::v1::ENCODING_ZLIB ? Encoding::kZlib : Encoding::kIdentity;
  result.raw_size = static_cast<uint32_t>(proto.raw_size());
  result.not_kept = proto.not_kept();
  return result;
}

void ToProto(const WriteResult& result, cache::v1::WriteResult* proto) {
  proto->set_status(static_cast<cache::v1::EntryStatus>(result.state));
  if (result.version.is_set()) ToProto(result.version, proto->mutable_version());
  proto->set_degraded(result.degraded);
  proto->set_dependencies_cut(result.dependencies_cut);
  proto->set_dependencies_unknown(result.dependencies_unknown);
  for (const std::string& region : result.replicated_regions) {
    proto->add_replicated_regions(region);
  }
  if (result.error != nullptr) ToProto(*result.error, proto->mutable_error());
}

WriteResult FromProto(const cache::v1::WriteResult& proto) {
  WriteResult result;
  result.state = StateFromProto(proto.status());
  if (proto.has_version()) result.version = FromProto(proto.version());
  result.degraded = proto.degraded();
  result.dependencies_cut = proto.dependencies_cut();
  result.dependencies_unknown = proto.dependencies_unknown();
  result.replicated_regions.assign(proto.replicated_regions().begin(),
                                   proto.replicated_regions().end());
  if (result.state == EntryState::kError || proto.has_error()) {
    result.error = std::make_unique<Error>(FromProto(proto.error()));
  }
  return result;
}

void ToProto(const ReadOptions& options, cache::v1::ReadOptions* proto) {
  proto->set_force_refresh(options.force_refresh);
  proto->set_omit_value(options.omit_value);
  proto->set_accept_encoded(options.accept_encoded);
  proto->set_want_lease(options.want_lease);
  if (options.lease_wait < absl::InfiniteDuration()) {
    proto->set_lease_wait_ms(ToMs(options.lease_wait));
  }
  proto->set_max_stale_ms(ToMs(options.max_stale));
  proto->set_warm_source(options.warm_source.data(), options.warm_source.size());
}

ReadOptions FromProto(const cache::v1::ReadOptions& proto) {
  ReadOptions options;
  options.force_refresh = proto.force_refresh();
  options.omit_value = proto.omit_value();
  options.accept_encoded = proto.accept_encoded();
  options.with_tags = proto.for_near_cache();
  options.want_lease = proto.want_lease();
  if (proto.has_lease_wait_ms()) options.lease_wait = FromMs(proto.lease_wait_ms());
  options.max_stale = FromMs(proto.max_stale_ms());
  options.warm_source = proto.warm_source();
  return options;
}

WriteItem FromProto(const cache::v1::SetEntry& proto, WriteKind kind) {
  WriteItem item;
  item.kind = kind;
  item.key = proto.key();
  item.value = proto.value();
  item.ttl = FromMs(proto.ttl_ms());
  item.tags.assign(proto.tags().begin(), proto.tags().end());
  item.depends_on.assign(proto.depends_on().begin(), proto.depends_on().end());
  item.state_hint = proto.state_hint();
  item.if_absent = proto.if_absent();
  item.lease = proto.lease();
  item.lease_use = proto.absent()      ? LeaseUse::kAbsent
                   : proto.give_back() ? LeaseUse::kGiveBack
                                       : LeaseUse::kFill;
  if (proto.has_expected_version()) item.expected_version = FromProto(proto.expected_version());
  return item;
}

void ToProto(const WriteItem& item, cache::v1::SetEntry* proto) {
  proto->set_key(item.key.data(), item.key.size());
  proto->set_value(item.value.data(), item.value.size());
  proto->set_ttl_ms(ToMs(item.ttl));
  for (const std::string& tag : item.tags) proto->add_tags(tag);
  for (const std::string& name : item.depends_on) proto->add_depends_on(name);
  proto->set_state_hint(item.state_hint.data(), item.state_hint.size());
  proto->set_if_absent(item.if_absent);
  if (!item.lease.empty()) proto->set_lease(item.lease.data(), item.lease.size());
  proto->set_absent(item.lease_use == LeaseUse::kAbsent);
  proto->set_give_back(item.lease_use == LeaseUse::kGiveBack);
  if (item.expected_version.is_set()) {
    ToProto(item.expected_version, proto->mutable_expected_version());
  }
}

void ToProto(const Fence& fence, peer::v1::Fence* proto) {
  proto->set_namespace_(fence.name_space);
  if (fence.scope == FenceScope::kTag) proto->set_tag(fence.name);
  if (fence.scope == FenceScope::kPrefix) proto->set_prefix(fence.name);
  proto->mutable_version()->set_hlc(fence.version.hlc);
  proto->mutable_version()->set_region(fence.version.region);
  proto->set_local(fence.local);
}

std::optional<Fence> FromProto(const peer::v1::Fence& proto) {
  Fence fence;
  fence.name_space = proto.namespace_();
  if (proto.has_tag()) {
    fence.scope = FenceScope::kTag;
    fence.name = proto.tag();
  } else if (proto.has_prefix()) {
    fence.scope = FenceScope::kPrefix;
    fence.name = proto.prefix();
  }
  fence.version = {proto.version().hlc(), static_cast<uint16_t>(proto.version().region())};
  fence.local = proto.local();
  const L2Key key = FenceKey(fence);
  if (!fence.version.is_set() || !ParseFenceKey(key.name_space, key.key, fence.version)) {
    return std::nullopt;
  }
  return fence;
}

}  // namespace meridian
