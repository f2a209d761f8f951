// Messages as JSON the way meridianctl prints it and the HTTP servers answer it: the protos' field
// names, numbers as numbers, enum values without their prefix, versions as their 20 hex digits, bytes
// as base64 in NAME_base64 and, when they are UTF-8, as text in NAME, times as RFC 3339, maps as
// objects.

#ifndef MERIDIAN_COMMON_RPC_PROTO_JSON_H_
#define MERIDIAN_COMMON_RPC_PROTO_JSON_H_

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace meridian {

// Fields that are not set are left out, except numbers, booleans and texts: these have values.
nlohmann::ordered_json ToJson(const google::protobuf::Message& message);

// Adds `name` and `name`_base64.
void PutBytes(std::string_view name, std::string_view bytes, nlohmann::ordered_json* object);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_PROTO_JSON_H_
