// NearReads is the client's near cache as its calls see it: what may be read from it, what is kept
// of answers, and what the client's own writes take out. Private to client/cpp.
//
// Promise: as NearCache; a read after an acknowledged write or invalidation of this client shows it
//   or what is newer. What the client cannot name as the streams do, because a namespace may form
//   keys (a prefix with capitals or spaces, what depends on a key), holds the namespace's values
//   back until their owners have told what was done until then: a tenth of a second or so, one
//   second after a call that failed. Values are kept inflated.
// Cost: a hit is one look into the engine and the copy into the result.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_CLIENT_CPP_NEAR_READS_H_
#define MERIDIAN_CLIENT_CPP_NEAR_READS_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cpp/client.h"
#include "client/internal/cluster.h"
#include "common/base/clock.h"
#include "common/near/near_cache.h"
#include "common/near/watch_client.h"
#include "meridian/cache/v1/cache_service.pb.h"

namespace meridian {

class NearReads {
 public:
  // nullptr when the options ask for none.
  static absl::StatusOr<std::unique_ptr<NearReads>> Create(const ClientOptions& options);

  // Whose slots are whose from now on.
  void SetView(const ClusterView& view);

  // Whether values of such a call may be kept, and answered from here.
  bool Takes(std::string_view name_space, const GetOptions& options) const {
    return !options.force_refresh && (names_.empty() || IsNamed(name_space));
  }

  // True when it is there.
  bool Get(std::string_view name_space, std::string_view key, const GetOptions& options,
           GetResult* result);

  // Before the request is sent, and with its answer.
  using Token = NearCache::Token;
  Token Begin(std::string_view name_space, std::string_view key) const;
  void Keep(std::string_view name_space, std::string_view key, Token token,
            const cache::v1::ResponseHeader& header, const cache::v1::Entry& answer,
            const GetResult& result);

  // This client has written the key, or may have.
  void Wrote(std::string_view name_space, std::string_view key, const WriteResult& result);

  // This client has invalidated many keys, or may have.
  void Fenced(const cache::v1::InvalidateRequest& request, const WriteResult& result);

  NearStats stats() const;

 private:
  NearReads(std::vector<std::string> names, std::unique_ptr<NearCache> cache)
      : names_(std::move(names)), cache_(std::move(cache)), watch_({}, *cache_, clock_) {}
  bool IsNamed(std::string_view name_space) const;

  const std::vector<std::string> names_;  // Empty: all.
  const SystemClock clock_;
  const std::unique_ptr<NearCache> cache_;
  WatchClient watch_;  // Last: its streams tell the cache.
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_CPP_NEAR_READS_H_
