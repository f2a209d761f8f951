// OriginTransport makes one call to an origin, and nothing else.
//
// Promise: the callback is called exactly once, by the deadline or a little later, on any thread.
// Thread safety: BatchLoad may be called concurrently.

#ifndef MERIDIAN_SERVER_ORIGIN_ORIGIN_TRANSPORT_H_
#define MERIDIAN_SERVER_ORIGIN_ORIGIN_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "meridian/origin/v1/origin_service.pb.h"

namespace meridian {

// Where an origin is. Equal targets share their connection.
struct OriginTarget {
  std::string address;  // host:port.
  bool tls = false;
  std::string ca_file;
  friend auto operator<=>(const OriginTarget&, const OriginTarget&) = default;
};

// What is wrong with an answer that a node does not read, to bound what it costs.
enum class AnswerFault : uint8_t {
  kNone,
  kTooLarge,       // More than kMaxAnswerBytes: fewer keys may have less.
  kTooManyFields,  // More than any number of keys may need.
};

struct OriginReply {
  absl::Status status;
  AnswerFault fault = AnswerFault::kNone;  // Else `status` is not OK.
  origin::v1::BatchLoadResponse response;
};

class OriginTransport {
 public:
  using Callback = std::function<void(OriginReply)>;

  static constexpr size_t kMaxAnswerBytes = size_t{36} << 20;

  virtual ~OriginTransport() = default;
  virtual void BatchLoad(const OriginTarget& target, origin::v1::BatchLoadRequest request,
                         absl::Time deadline, Callback callback) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ORIGIN_ORIGIN_TRANSPORT_H_
