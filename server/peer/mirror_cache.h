// MirrorCache keeps values of keys that clients ask this node for very often and that other nodes
// own, so that one hot key heats all nodes a little instead of its owner a lot (docs/adr/0019).
//
// Promise: as NearCache: nothing that was replaced more than 3 s ago is served, usually nothing
//   that was replaced some milliseconds ago; fences are the reader's to ask for. Only hot keys are
//   kept (HotKeys), and only slots of theirs are followed; a slot is given up 10 s after its last
//   hot read.
// Cost: a key that is not hot costs a hash, and one in four a short lock. Memory is bounded by the
//   options; one thread.
// Thread safety: all methods may be called concurrently. The destructor waits for the calls under
//   way, which end within kFetchTime.

#ifndef MERIDIAN_SERVER_PEER_MIRROR_CACHE_H_
#define MERIDIAN_SERVER_PEER_MIRROR_CACHE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/cluster/topology.h"
#include "common/near/hot_keys.h"
#include "common/near/near_cache.h"
#include "common/near/watch_client.h"
#include "common/rpc/stub_pool.h"
#include "server/node/mirror_reads.h"
#include "server/peer/ask_times.h"

namespace meridian {

struct MirrorOptions {
  std::string node_id;
  size_t capacity_bytes = size_t{16} << 20;
  HotKeysOptions hot = {};
  ChannelSecurity security = {};
};

struct MirrorStats {
  NearCacheStats cache;
  size_t hot_keys = 0;
  size_t entries = 0;
  size_t bytes = 0;
  AskTimes::Counts asks = {};  // By AskOutcome.
};

class MirrorCache final : public MirrorReads {
 public:
  static constexpr absl::Duration kFetchTime = absl::Milliseconds(500);
  static constexpr absl::Duration kKeep = absl::Seconds(10);

  // Neither is owned; both outlive this.
  static absl::StatusOr<std::unique_ptr<MirrorCache>> Create(MirrorOptions options,
                                                             const Clock& clock,
                                                             const TopologyHolder& topology);
  ~MirrorCache() override;

  bool Read(std::string_view name_space, std::string_view key, const Member& owner,
            ReadResult* result) override;
  bool Peek(std::string_view name_space, std::string_view key, Entry* entry) const override;
  void Wrote(std::string_view name_space, std::string_view key, Version version) override;

  // Slots have other owners.
  void TopologyChanged() { FollowSoon(); }

  MirrorStats Stats() const;

 private:
  using Stub = cache::v1::CacheService::Stub;
  struct Fetch;

  MirrorCache(MirrorOptions options, const Clock& clock, const TopologyHolder& topology,
              std::unique_ptr<NearCache> cache);

  // Asks the owner for a hot key, unless somebody does or just did.
  void Ask(std::string_view name_space, const EntryKey& key, const Member& owner,
           absl::Duration now) ABSL_LOCKS_EXCLUDED(mu_);
  // Keeps what an owner has answered.
  AskOutcome Take(const grpc::Status& status, Fetch& fetch);
  void FollowSoon();
  void Follow();
  void Tick();

  const MirrorOptions options_;
  const Clock& clock_;
  const TopologyHolder& topology_;
  const std::unique_ptr<NearCache> cache_;
  HotKeys hot_keys_;
  std::array<std::atomic<int64_t>, kSlotCount> wanted_ns_ = {};  // When a hot key of it was read.
  std::atomic<bool> follow_is_due_{false};
  StubPool<cache::v1::CacheService> stubs_;
  AskTimes ask_times_;
  absl::Mutex mu_;
  int fetches_ ABSL_GUARDED_BY(mu_) = 0;
  WatchClient watch_;
  ThreadExecutor executor_;  // Last: its tasks use everything above.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_PEER_MIRROR_CACHE_H_
