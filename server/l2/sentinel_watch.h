// SentinelWatch asks the sentinels of one group, again and again, who the primary is.
//
// Each round asks all sentinels at once and believes one of them, or none (SentinelBelief). It ends
// after `timeout` at the latest. Rounds follow each other every `poll`, every `hurry` for some
// seconds after Hurry(); +switch-master, to which a second connection to each sentinel is
// subscribed, begins one at once. The hint only saves time: nothing depends on its arrival. Thread
// safety: none; all on the loop's thread, construction and destruction included.

#ifndef MERIDIAN_SERVER_L2_SENTINEL_WATCH_H_
#define MERIDIAN_SERVER_L2_SENTINEL_WATCH_H_

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/l2/connection.h"
#include "server/l2/event_loop.h"
#include "server/l2/sentinel_belief.h"
#include "server/l2/tls_context.h"
#include "server/node/l2_store.h"
#include "server/policy/redis_url.h"

namespace meridian {

struct SentinelOptions {
  absl::Duration timeout = absl::Milliseconds(500);  // Of a round, and of a connect.
  absl::Duration poll = absl::Seconds(1);
  absl::Duration hurry = absl::Milliseconds(200);
  absl::Duration hurry_for = absl::Seconds(5);
};

class SentinelWatch {
 public:
  static constexpr size_t kMaxReplicas = 64;  // Of a group; more are not looked at.

  struct Events {
    // After each round that had an answer, also when it is the same as before. `epoch` is that of
    // the configuration: it differs after a failover, also when the primary is the same again.
    std::function<void(const RedisAddress& primary, uint64_t epoch,
                       const std::vector<RedisAddress>& replicas)>
        found;
    // After each round that had none to believe, saying why.
    std::function<void(absl::Status)> lost;
    // After each round, before the above: how the sentinels are, in the URL's order.
    std::function<void(const std::vector<L2Sentinel>&)> asked;
  };

  // `url` names the sentinels and the group. References and pointers outlive this.
  SentinelWatch(EventLoop& loop, const Clock& clock, const RedisUrl& url, SentinelOptions options,
                TlsContext* tls, Events events);
  ~SentinelWatch();

  // The primary may have changed: ask now, and often for a while.
  void Hurry();

 private:
  struct Answer {
    absl::Status status;
    SentinelBelief::Answer view;
    std::vector<RedisAddress> replicas;  // That this sentinel reaches.
  };

  std::vector<Connection::HandshakeStep> Handshake(bool subscribe) const;
  void Ask();
  void TakeAddress(size_t sentinel, absl::StatusOr<Reply> reply);
  void TakeReplicas(size_t sentinel, const absl::StatusOr<Reply>& reply);
  void TakeEpoch(size_t sentinel, const absl::StatusOr<Reply>& reply);
  void OneAnswered();
  void Decide();
  std::string ProblemOf(size_t sentinel) const;
  void OnMessage(const Reply& message);

  const Clock& clock_;
  const RedisUrl url_;
  const SentinelOptions options_;
  const Events events_;
  const Connection::Bytes address_command_;
  const Connection::Bytes epoch_command_;
  const Connection::Bytes replicas_command_;
  std::minstd_rand random_;

  SentinelBelief belief_;
  std::vector<std::string> deaf_;  // By sentinel: why the subscription does not work, or empty.
  std::vector<Answer> answers_;    // By sentinel, of the round under way.
  size_t outstanding_ = 0;         // Replies that the round waits for; 0: none is under way.
  bool again_ = false;             // Another round shall follow at once.
  bool closing_ = false;
  absl::Duration hurry_until_;
  LoopTimer timer_;  // The next round.
  std::vector<std::unique_ptr<Connection>> queries_;
  std::vector<std::unique_ptr<Connection>> subscriptions_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_SENTINEL_WATCH_H_
