#include "server/node/hand_off_proto.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/base/version.h"
#include "common/engine/tag_list.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

Error Invalid(std::string_view field, std::string_view part, std::string message) {
  Error error{grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid, std::move(message), {}};
  error.details.field = absl::StrCat(ToAbsl(field), ".", ToAbsl(part));
  return error;
}

}  // namespace

void ToProto(const HandOffItem& item, peer::v1::HandOffEntry* proto) {
  proto->set_namespace_(item.name_space);
  proto->set_key(item.key);
  proto->set_value(item.value.view().data(), item.value.size());
  proto->mutable_version()->set_hlc(item.version.hlc);
  proto->mutable_version()->set_region(item.version.region);
  proto->set_ttl_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(item.ttl)));
  proto->set_heat(item.heat);
  std::string_view tags = item.tags;
  while (const std::optional<std::string_view> tag = TakeTag(&tags)) {
    proto->add_tags(tag->data(), tag->size());
  }
  proto->set_encoding(static_cast<cache::v1::Encoding>(item.encoding));
  proto->set_raw_size(item.raw_size);
}

std::optional<Error> CheckHandOffEntry(const peer::v1::HandOffEntry& proto,
                                       std::string_view field) {
  if (std::optional<Error> error = limits::CheckNamespace(proto.namespace_())) return error;
  if (std::optional<Error> error =
          limits::CheckKey(proto.key(), absl::StrCat(ToAbsl(field), ".key"))) {
    return error;
  }
  if (IsInternalNamespace(proto.namespace_())) {
    return Invalid(field, "namespace", "what nodes write themselves is not handed over");
  }
  if (proto.value().size() > limits::kMaxValueBytes) {
    return Invalid(field, "value", absl::StrCat("is ", proto.value().size(), " bytes"));
  }
  if (proto.version().hlc() == 0 || proto.version().region() > UINT16_MAX) {
    return Invalid(field, "version", "this is no version");
  }
  if (proto.ttl_ms() == 0 || proto.ttl_ms() > limits::kMaxTtlMs) {
    return Invalid(field, "ttl_ms", absl::StrCat(proto.ttl_ms(), " is no life of an entry"));
  }
  const bool plain = proto.encoding() == cache::v1::ENCODING_IDENTITY;
  if (!plain && proto.encoding() != cache::v1::ENCODING_ZLIB) {
    return Invalid(field, "encoding", "unknown encoding");
  }
  if (proto.raw_size() > limits::kMaxValueBytes ||
      (plain && proto.raw_size() != proto.value().size())) {
    return Invalid(field, "raw_size", "does not fit the value");
  }
  // More than what clients may give: those that come with dependencies are among them.
  const bool long_tag = std::any_of(proto.tags().begin(), proto.tags().end(), [](const auto& tag) {
    return tag.size() > limits::kMaxTagBytes;
  });
  if (long_tag || proto.tags_size() > 1000) return Invalid(field, "tags", "too many or too long");
  return std::nullopt;
}

absl::Duration AgeOf(const peer::v1::HandOffRequest& request, const Clock& clock) {
  if (request.receiver_steady_ms() != 0) {
    const absl::Duration sent =
        absl::Milliseconds(static_cast<int64_t>(request.receiver_steady_ms()));
    return std::max(clock.Monotonic() - sent, absl::ZeroDuration());
  }
  const uint64_t wall_ms = request.header().wall_unix_ms();
  if (wall_ms == 0) return absl::InfiniteDuration();
  const absl::Time sent = absl::FromUnixMillis(static_cast<int64_t>(wall_ms));
  const absl::Duration age = clock.Now() - sent + HybridClock::kMaxSkew;
  return age < absl::ZeroDuration() ? absl::InfiniteDuration() : age;
}

HandOffItem FromProto(const peer::v1::HandOffEntry& proto, absl::Duration age) {
  HandOffItem item;
  item.name_space = proto.namespace_();
  item.key = proto.key();
  item.value = Buffer::CopyOf(proto.value());
  item.version = {proto.version().hlc(), static_cast<uint16_t>(proto.version().region())};
  item.ttl = absl::Milliseconds(static_cast<int64_t>(proto.ttl_ms())) - age;
  item.heat = proto.heat();
  item.tags = EncodeTags({proto.tags().begin(), proto.tags().end()});
  item.encoding = static_cast<Encoding>(proto.encoding());
  item.raw_size = static_cast<uint32_t>(proto.raw_size());
  return item;
}

}  // namespace meridian
