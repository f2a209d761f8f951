// Messages as JSON the way meridianctl prints it: the protos' field names, numbers as numbers, enum
// values without their prefix, versions as their 20 hex digits, bytes as base64 in NAME_base64 and,
// when they are UTF-8, as text in NAME.

#ifndef MERIDIAN_CLIENT_CLI_PROTO_JSON_H_
#define MERIDIAN_CLIENT_CLI_PROTO_JSON_H_

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace meridian::cli {

// Fields that are not set are left out, except numbers, booleans and texts: these have values.
nlohmann::ordered_json ToJson(const google::protobuf::Message& message);

// Adds `name` and `name`_base64.
void PutBytes(std::string_view name, std::string_view bytes, nlohmann::ordered_json* object);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_PROTO_JSON_H_
