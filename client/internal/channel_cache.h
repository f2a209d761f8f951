// ChannelCache owns the one channel that a client keeps to each node.
//
// Promise: equal addresses share a channel for as long as somebody holds it; a channel that nobody
//   holds is closed.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_CLIENT_INTERNAL_CHANNEL_CACHE_H_
#define MERIDIAN_CLIENT_INTERNAL_CHANNEL_CACHE_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/tls.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"

namespace meridian {

struct NodeChannel {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<cache::v1::CacheService::Stub> stub;
};

class ChannelCache {
 public:
  explicit ChannelCache(ChannelSecurity security = {}) : security_(std::move(security)) {}

  // The channel to `address`; connects when it is first used.
  std::shared_ptr<const NodeChannel> Get(const std::string& address) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const ChannelSecurity security_;
  absl::Mutex mu_;
  absl::flat_hash_map<std::string, std::weak_ptr<const NodeChannel>> channels_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_INTERNAL_CHANNEL_CACHE_H_
