// Calls of CacheService by generated stub, for tests that look at every entry.

#ifndef MERIDIAN_TESTS_INTEGRATION_CACHE_CALLS_H_
#define MERIDIAN_TESTS_INTEGRATION_CACHE_CALLS_H_

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/support/stub.h"
#include "tests/support/wire_error.h"

namespace meridian::calls {

inline constexpr char kSpace[] = "task";
using Stub = cache::v1::CacheService::Stub;

inline void SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
}

inline cache::v1::WriteResult SetOne(Stub& stub, const cache::v1::SetEntry& entry) {
  grpc::ClientContext context;
  SetDeadline(&context);
  cache::v1::SetRequest request;
  request.set_namespace_(kSpace);
  *request.mutable_entry() = entry;
  cache::v1::SetResponse response;
  const grpc::Status status = stub.Set(&context, request, &response);
  EXPECT_TRUE(status.ok()) << ToWireError(status);
  return response.result();
}

inline cache::v1::BatchGetResponse GetAll(Stub& stub, const std::vector<std::string>& keys) {
  grpc::ClientContext context;
  SetDeadline(&context);
  cache::v1::BatchGetRequest request;
  request.set_namespace_(kSpace);
  for (const std::string& key : keys) request.add_keys(key);
  cache::v1::BatchGetResponse response;
  const grpc::Status status = stub.BatchGet(&context, request, &response);
  EXPECT_TRUE(status.ok()) << ToWireError(status);
  return response;
}

inline cache::v1::BatchSetResponse SetAll(Stub& stub, const std::vector<std::string>& keys,
                                   const std::string& value) {
  grpc::ClientContext context;
  SetDeadline(&context);
  cache::v1::BatchSetRequest request;
  request.set_namespace_(kSpace);
  for (const std::string& key : keys) {
    request.add_entries()->set_key(key);
    request.mutable_entries(request.entries_size() - 1)->set_value(value);
  }
  cache::v1::BatchSetResponse response;
  const grpc::Status status = stub.BatchSet(&context, request, &response);
  EXPECT_TRUE(status.ok()) << ToWireError(status);
  return response;
}

}  // namespace meridian::calls

#endif  // MERIDIAN_TESTS_INTEGRATION_CACHE_CALLS_H_
