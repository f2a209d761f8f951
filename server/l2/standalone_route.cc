#include "server/l2/standalone_route.h"

namespace meridian {

StandaloneRoute::StandaloneRoute(EventLoop& loop, const RedisClientOptions& options,
                                 std::unique_ptr<TlsContext> tls, const Clock& clock,
                                 L2Observer* observer)
    : loop_(loop),
      tls_(std::move(tls)),
      client_(RedisClient::Open(
          loop, options.url.seeds.front(), options, tls_.get(), clock, observer,
          {.on_event = nullptr, .on_restarted = [this] { generations_.Raise(); }})) {}

StandaloneRoute::~StandaloneRoute() {
  client_->Close();
  loop_.PostAndWait([] {});
}

void StandaloneRoute::Scan(std::string from, size_t count, absl::Time deadline, ScanDone done) {
  client_->Submit(RedisLane::kRead, {ScanCommand(from, count)}, deadline,
                  [done = std::move(done)](RedisReplies replies) {
                    done(TakeScanPage(std::move(replies[0])));
                  });
}

void StandaloneRoute::ChangeCount(absl::Time deadline, CountDone done) {
  client_->Submit(
      RedisLane::kRead, {ChangeCountCommand()}, deadline,
      [done = std::move(done)](const RedisReplies& replies) { done(TakeChangeCount(replies[0])); });
}

}  // namespace meridian
