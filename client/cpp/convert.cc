#include "client/cpp/convert.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/compression/zlib_codec.h"
#include "common/rpc/reasons.h"
#include "common/rpc/topology_proto.h"

namespace meridian {
namespace {

constexpr size_t kMaxValueBytes = size_t{8} << 20;

ResultStatus StatusOf(cache::v1::EntryStatus status) {
  switch (status) {
    case cache::v1::ENTRY_STATUS_OK:
      return ResultStatus::kOk;
    case cache::v1::ENTRY_STATUS_MISS:
      return ResultStatus::kMiss;
    case cache::v1::ENTRY_STATUS_CONFLICT:
      return ResultStatus::kConflict;
    case cache::v1::ENTRY_STATUS_BYPASSED:
      return ResultStatus::kBypassed;
    default:
      return ResultStatus::kError;
  }
}

ResultSource SourceOf(cache::v1::Source source) {
  switch (source) {
    case cache::v1::SOURCE_L1:
      return ResultSource::kL1;
    case cache::v1::SOURCE_L2:
      return ResultSource::kL2;
    case cache::v1::SOURCE_ORIGIN:
      return ResultSource::kOrigin;
    case cache::v1::SOURCE_NEAR:
      return ResultSource::kNear;
    default:
      return ResultSource::kNone;
  }
}

std::shared_ptr<const ResultError> EntryErrorOf(bool has_error,
                                                const cache::v1::EntryError& proto) {
  if (has_error) return ToResultError(FromProto(proto));
  Error error;
  error.code = grpc::StatusCode::INTERNAL;
  error.reason = "MALFORMED_RESPONSE";
  error.message = "the node answered with an entry status that this client does not know";
  return ToResultError(error);
}

// Turns a compressed value into what its writer gave, or the result into an error.
void InflateValue(uint64_t raw_size, GetResult* result) {
  absl::StatusOr<Buffer> value = Inflate(result->value, raw_size, kMaxValueBytes);
  if (value.ok()) {
    result->value.assign(value->view());
    return;
  }
  *result = GetResult();
  result->error = ToResultError(Error{grpc::StatusCode::DATA_LOSS,
                                      reason::kCorruptRecord,
                                      std::string(value.status().message()),
                                      {}});
}

}  // namespace

std::unique_ptr<cache::v1::ReadOptions> ToProto(const GetOptions& options) {
  auto proto = std::make_unique<cache::v1::ReadOptions>();
  // Inflated here, not by the node: fewer bytes on the way, and CPU of ours instead of CPU that all
  // share.
  proto->set_accept_encoded(!options.omit_value);
  proto->set_force_refresh(options.force_refresh);
  proto->set_omit_value(options.omit_value);
  proto->set_want_lease(options.want_lease);
  if (options.lease_wait) proto->set_lease_wait_ms(TtlToProto(*options.lease_wait));
  proto->set_max_stale_ms(TtlToProto(options.max_stale));
  return proto;
}

void ToProto(SetItem item, cache::v1::SetEntry* proto) {
  *proto->mutable_key() = std::move(item.key);
  *proto->mutable_value() = std::move(item.value);
  proto->set_ttl_ms(TtlToProto(item.ttl));
  for (std::string& tag : item.tags) *proto->add_tags() = std::move(tag);
  for (std::string& name : item.depends_on) *proto->add_depends_on() = std::move(name);
  proto->set_if_absent(item.if_absent);
  if (item.expected_version) ToProto(*item.expected_version, proto->mutable_expected_version());
  if (!item.state_hint.empty()) *proto->mutable_state_hint() = std::move(item.state_hint);
  if (!item.lease.empty()) *proto->mutable_lease() = std::move(item.lease);
  proto->set_absent(item.absent);
  proto->set_give_back(item.give_back);
}

uint64_t TtlToProto(absl::Duration ttl) {
  const absl::Duration rounded_up = absl::Ceil(ttl, absl::Milliseconds(1));
  return static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(rounded_up), 0));
}

std::shared_ptr<const ResultError> ToResultError(const Error& error) {
  auto result = std::make_shared<ResultError>();
  result->code = static_cast<absl::StatusCode>(error.code);
  result->reason = error.reason;
  result->message = error.message;
  result->field = error.details.field;
  result->retry_after = error.details.retry_after;
  return result;
}

void FromProto(cache::v1::Entry* proto, GetResult* result) {
  result->status = StatusOf(proto->status());
  result->source = SourceOf(proto->source());
  result->stale = proto->stale();
  result->value = std::move(*proto->mutable_value());
  if (proto->has_version()) result->version = FromProto(proto->version());
  result->ttl = absl::Milliseconds(proto->ttl_ms());
  result->age = absl::Milliseconds(proto->age_ms());
  result->lease = std::move(*proto->mutable_lease());
  result->lease_taken = proto->lease_taken();
  if (result->status == ResultStatus::kConflict) result->status = ResultStatus::kError;
  if (result->status == ResultStatus::kError) {
    result->error = EntryErrorOf(proto->has_error(), proto->error());
  } else if (proto->encoding() == cache::v1::ENCODING_ZLIB) {
    InflateValue(proto->raw_size(), result);
  }
}

void FromProto(cache::v1::WriteResult* proto, WriteResult* result) {
  result->status = StatusOf(proto->status());
  result->degraded = proto->degraded();
  result->dependencies_cut = proto->dependencies_cut();
  result->dependencies_unknown = proto->dependencies_unknown();
  if (proto->has_version()) result->version = FromProto(proto->version());
  for (std::string& region : *proto->mutable_replicated_regions()) {
    result->replicated_regions.push_back(std::move(region));
  }
  if (result->status == ResultStatus::kError ||
      (result->status == ResultStatus::kConflict && proto->has_error())) {
    result->error = EntryErrorOf(proto->has_error(), proto->error());
  }
}

}  // namespace meridian
