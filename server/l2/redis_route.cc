#include "server/l2/redis_route.h"

#include <utility>

#include "common/base/status_macros.h"
#include "server/l2/sentinel_route.h"
#include "server/l2/standalone_route.h"
#include "server/l2/tls_context.h"

namespace meridian {

absl::StatusOr<std::unique_ptr<RedisRoute>> OpenRoute(EventLoop& loop, RedisClientOptions options,
                                                      const Clock& clock, L2Observer* observer) {
  RETURN_IF_ERROR(options.Validate());
  std::unique_ptr<TlsContext> tls;
  if (options.url.tls) {
    ASSIGN_OR_RETURN(tls, TlsContext::Create(*options.url.tls));
  }
  if (options.url.shape == RedisShape::kSentinel) {
    return std::make_unique<SentinelRoute>(loop, options, std::move(tls), clock, observer);
  }
  return std::make_unique<StandaloneRoute>(loop, options, std::move(tls), clock, observer);
}

}  // namespace meridian
