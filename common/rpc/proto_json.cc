#include "common/rpc/proto_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/timestamp.pb.h>

#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/strings.h"
#include "common/base/utf8.h"
#include "common/rpc/topology_proto.h"

namespace meridian {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using nlohmann::ordered_json;

// SOURCE_L1 of enum Source -> "L1".
std::string ShortName(const EnumValueDescriptor& value) {
  std::string prefix;
  for (const char c : value.type()->name()) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix += '_';
    prefix += absl::ascii_toupper(c);
  }
  prefix += '_';
  const std::string& name = value.name();
  return name.compare(0, prefix.size(), prefix) == 0 ? name.substr(prefix.size()) : name;
}

ordered_json MessageValue(const Message& message) {
  if (message.GetDescriptor() == cache::v1::Version::descriptor()) {
    return FromProto(static_cast<const cache::v1::Version&>(message)).ToText();
  }
  if (message.GetDescriptor() == google::protobuf::Timestamp::descriptor()) {
    const auto& time = static_cast<const google::protobuf::Timestamp&>(message);
    return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ",
                            absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()),
                            absl::UTCTimeZone());
  }
  return ToJson(message);
}

// `get` reads a field by the reflection call that fits: GetX(message) or GetRepeatedX(message, i).
#define MERIDIAN_FIELD_VALUE(Get, ...)                           \
  switch (field.cpp_type()) {                                    \
    case FieldDescriptor::CPPTYPE_INT32:                         \
      return reflection.Get##Int32(__VA_ARGS__);                 \
    case FieldDescriptor::CPPTYPE_INT64:                         \
      return reflection.Get##Int64(__VA_ARGS__);                 \
    case FieldDescriptor::CPPTYPE_UINT32:                        \
      return reflection.Get##UInt32(__VA_ARGS__);                \
    case FieldDescriptor::CPPTYPE_UINT64:                        \
      return reflection.Get##UInt64(__VA_ARGS__);                \
    case FieldDescriptor::CPPTYPE_DOUBLE:                        \
      return reflection.Get##Double(__VA_ARGS__);                \
    case FieldDescriptor::CPPTYPE_FLOAT:                         \
      return reflection.Get##Float(__VA_ARGS__);                 \
    case FieldDescriptor::CPPTYPE_BOOL:                          \
      return reflection.Get##Bool(__VA_ARGS__);                  \
    case FieldDescriptor::CPPTYPE_ENUM:                          \
      return ShortName(*reflection.Get##Enum(__VA_ARGS__));      \
    case FieldDescriptor::CPPTYPE_STRING:                        \
      return reflection.Get##String(__VA_ARGS__);                \
    case FieldDescriptor::CPPTYPE_MESSAGE:                       \
      return MessageValue(reflection.Get##Message(__VA_ARGS__)); \
  }                                                              \
  return nullptr

ordered_json SingleValue(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  MERIDIAN_FIELD_VALUE(Get, message, &field);
}

ordered_json ElementValue(const Message& message, const FieldDescriptor& field, int index) {
  const auto& reflection = *message.GetReflection();
  MERIDIAN_FIELD_VALUE(GetRepeated, message, &field, index);
}

#undef MERIDIAN_FIELD_VALUE

// Of a map with texts as keys; sorted, as a map has no order of its own.
ordered_json MapValue(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  std::map<std::string, ordered_json> sorted;
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
    const auto* descriptor = entry.GetDescriptor();
    sorted[entry.GetReflection()->GetString(entry, descriptor->map_key())] =
        SingleValue(entry, *descriptor->map_value());
  }
  ordered_json object = ordered_json::object();
  for (auto& [key, value] : sorted) object[key] = std::move(value);
  return object;
}

}  // namespace

ordered_json ToJson(const Message& message) {
  ordered_json object = ordered_json::object();
  const auto* descriptor = message.GetDescriptor();
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor& field = *descriptor->field(i);
    if (field.is_map()) {
      object[field.name()] = MapValue(message, field);
    } else if (field.is_repeated()) {
      ordered_json& list = object[field.name()] = ordered_json::array();
      for (int j = 0; j < reflection->FieldSize(message, &field); ++j) {
        list.push_back(ElementValue(message, field, j));
      }
    } else if (field.has_presence() && !reflection->HasField(message, &field)) {
      continue;
    } else if (field.type() == FieldDescriptor::TYPE_BYTES) {
      PutBytes(field.name(), reflection->GetString(message, &field), &object);
    } else {
      object[field.name()] = SingleValue(message, field);
    }
  }
  return object;
}

void PutBytes(std::string_view name, std::string_view bytes, ordered_json* object) {
  if (IsUtf8(bytes)) (*object)[std::string(name)] = std::string(bytes);
  (*object)[std::string(name) + "_base64"] = absl::Base64Escape(ToAbsl(bytes));
}

}  // namespace meridian
