#include "client/internal/channel_cache.h"

#include <utility>

#include "common/rpc/server_settings.h"

namespace meridian {

std::shared_ptr<const NodeChannel> ChannelCache::Get(const std::string& address) {
  absl::MutexLock lock(&mu_);
  std::weak_ptr<const NodeChannel>& slot = channels_[address];
  if (std::shared_ptr<const NodeChannel> channel = slot.lock()) return channel;
  auto created = std::make_shared<NodeChannel>();
  created->address = address;
  created->channel = CreateChannelTo(address, security_);
  created->stub = cache::v1::CacheService::NewStub(created->channel);
  slot = created;
  return created;
}

}  // namespace meridian
