// Between the client's public types and the messages. Private to client/cpp.

#ifndef MERIDIAN_CLIENT_CPP_CONVERT_H_
#define MERIDIAN_CLIENT_CPP_CONVERT_H_

#include <memory>
#include <string>

#include "client/cpp/client.h"
#include "common/rpc/error.h"
#include "meridian/cache/v1/cache_service.pb.h"

namespace meridian {

std::unique_ptr<cache::v1::ReadOptions> ToProto(const GetOptions& options);

// Moves key, value and tags into the message.
void ToProto(SetItem item, cache::v1::SetEntry* proto);

// TTL in milliseconds, rounded up so that a positive TTL never becomes "default".
uint64_t TtlToProto(absl::Duration ttl);

std::shared_ptr<const ResultError> ToResultError(const Error& error);

// Moves the value out of the message, and inflates it when it came compressed.
void FromProto(cache::v1::Entry* proto, GetResult* result);
void FromProto(cache::v1::WriteResult* proto, WriteResult* result);

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_CPP_CONVERT_H_
