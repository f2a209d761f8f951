// StandaloneRoute: all data is on one Redis, whose address never changes. Thread safety, promise:
// those of RedisRoute.

#ifndef MERIDIAN_SERVER_L2_STANDALONE_ROUTE_H_
#define MERIDIAN_SERVER_L2_STANDALONE_ROUTE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/l2/redis_route.h"
#include "server/l2/tls_context.h"

namespace meridian {

class StandaloneRoute final : public RedisRoute {
 public:
  // `tls` is nullptr for plain text. REQUIRES: options.Validate() is OK.
  StandaloneRoute(EventLoop& loop, const RedisClientOptions& options,
                  std::unique_ptr<TlsContext> tls, const Clock& clock, L2Observer* observer);
  ~StandaloneRoute() override;

  void Submit(RedisLane lane, std::vector<RedisCommand> commands, absl::Time deadline,
              RedisDone done) override {
    client_->Submit(lane, std::move(commands), deadline, std::move(done));
  }
  void Scan(std::string from, size_t count, absl::Time deadline, ScanDone done) override;
  void ChangeCount(absl::Time deadline, CountDone done) override;
  L2Health Health() const override { return client_->Health(); }

 private:
  EventLoop& loop_;
  const std::unique_ptr<TlsContext> tls_;
  const std::shared_ptr<RedisClient> client_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_STANDALONE_ROUTE_H_
