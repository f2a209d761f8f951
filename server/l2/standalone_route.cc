#include "server/l2/standalone_route.h"

namespace meridian {

StandaloneRoute::StandaloneRoute(EventLoop& loop, const RedisClientOptions& options,
                                 std::unique_ptr<TlsContext> tls, const Clock& clock,
                                 L2Observer* observer)
    : loop_(loop),
      tls_(std::move(tls)),
      client_(RedisClient::Open(loop, options.url.seeds.front(), options, tls_.get(), clock,
                                observer, {})) {}

StandaloneRoute::~StandaloneRoute() {
  client_->Close();
  loop_.PostAndWait([] {});
}

}  // namespace meridian
