// BatchGet on the wire by hand: the hottest message, read in place and written straight into one slice.
//
// Byte for byte what generated code would read and write (batch_get_codec_test compares the two).
// Cost: parsing allocates the key views; writing allocates the slice; values above kSliceBytes are not
//   copied but referenced. Thread safety: values and pure functions.

#ifndef MERIDIAN_SERVER_RPC_BATCH_GET_CODEC_H_
#define MERIDIAN_SERVER_RPC_BATCH_GET_CODEC_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <string>
#include <string_view>
#include <vector>

#include "meridian/cache/v1/cache_service.pb.h"
#include "server/node/operations.h"

namespace meridian {

// A value at least this large goes into the answer as a slice of its own, without a copy.
inline constexpr size_t kSliceBytes = 8 << 10;

// A parsed request; the views point into the bytes that were parsed.
struct BatchGetFields {
  cache::v1::RequestHeader header;
  std::string_view name_space;
  std::vector<std::string_view> keys;
  cache::v1::ReadOptions options;
};

// False for bytes that are no BatchGetRequest.
bool ParseBatchGet(std::string_view bytes, BatchGetFields* fields);

// The answer. `header` is a serialised ResponseHeader. Consumes the values of `results`.
grpc::ByteBuffer WriteBatchGetResponse(std::string_view header, std::vector<ReadResult>* results,
                                       bool omit_value);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_BATCH_GET_CODEC_H_
