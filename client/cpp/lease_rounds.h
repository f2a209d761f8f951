// LeaseRounds is a BatchGet that wants leases of keys of several nodes.
//
// Promise: it waits for those who have leases only while it has none itself, so that no two callers
//   wait for each other, in whatever order they name their keys. It first asks all nodes for what
//   they have and for the leases that are free; if it gets no lease, it waits for the others'
//   values, at one node at a time. With the first lease it is answered.
// Cost: the keys are copied. Thread safety: Start is called once; answers come on threads of gRPC,
//   one round after the other.

#ifndef MERIDIAN_CLIENT_CPP_LEASE_ROUNDS_H_
#define MERIDIAN_CLIENT_CPP_LEASE_ROUNDS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/cpp/client_impl.h"

namespace meridian {

class Client::Impl::LeaseRounds : public std::enable_shared_from_this<LeaseRounds> {
 public:
  // `impl` is not owned; its Cluster waits for the calls.
  LeaseRounds(Impl& impl, std::string_view name_space, std::span<const std::string_view> keys,
              const GetOptions& options, BatchGetCallback done);

  void Start();

  // Whether the call waits for anybody.
  static bool Waits(const GetOptions& options) {
    return options.want_lease &&
           options.lease_wait.value_or(absl::InfiniteDuration()) > absl::ZeroDuration();
  }

 private:
  // Of the monotonic clock.
  absl::Duration Left(absl::Duration until) const { return until - impl_.clock_.Monotonic(); }
  // Keys that others fill, of the next node in turn; empty: there are none, or a lease was given.
  std::vector<uint32_t> NextNodesKeys(size_t* nodes);
  void WaitAtOneNode();

  Impl& impl_;
  const std::string name_space_;
  const std::vector<std::string> keys_;
  GetOptions options_;
  BatchGetCallback done_;
  absl::Duration ends_;
  absl::Duration wait_ends_;
  std::vector<GetResult> results_;
  size_t turn_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_CPP_LEASE_ROUNDS_H_
