// LeaderForward asks the leading coordinator over HTTP what a standby was asked, and gives back its
// answer, its bytes and its status.
//
// Promise: an answer within kTimeout: the leader's, or 503 with the reason. Equal questions at the
//   same time are one. A leader that did not answer is not asked again for kFailed, so that who
//   asks does not wait each time. One hop: whoever is asked so asks nobody else
//   (HttpCall::forwarded).
// Bounded: kMaxUnderWay questions, kMaxWaiting who wait for them, kMaxBytes of an answer.
// Thread safety: all on the executor. REQUIRES: it is stopped before this is destroyed.

#ifndef MERIDIAN_SERVER_COORDINATOR_LEADER_FORWARD_H_
#define MERIDIAN_SERVER_COORDINATOR_LEADER_FORWARD_H_

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/rpc/http_reply.h"
#include "server/coordinator/leader_lease.h"
#include "server/figures/http_sender.h"

namespace meridian {

// Where others reach what listens for HTTP at `listens`: what listens on all addresses is at that
// host which they are told for gRPC, `told`. Empty: nowhere.
std::string ReachableHttp(const std::string& listens, const std::string& told);

class LeaderForward {
 public:
  // Less than who waits has patience for.
  static constexpr absl::Duration kTimeout = absl::Milliseconds(1900);
  static constexpr absl::Duration kFailed = absl::Seconds(1);
  static constexpr size_t kMaxBytes = size_t{8} << 20;
  static constexpr size_t kMaxUnderWay = 8;  // Different ones.
  static constexpr size_t kMaxWaiting = 64;

  using Done = std::function<void(HttpReply)>;

  // References outlive this.
  LeaderForward(const Clock& clock, Executor& executor, HttpSender& sender)
      : clock_(clock), executor_(executor), sender_(sender) {}

  // `target`: path and query, in characters that a request line may have. `done` is called once.
  // REQUIRES: the leader's HTTP address is known.
  void Ask(const LeaderView& leader, const std::string& target, Done done);

 private:
  using Question = std::pair<std::string, std::string>;  // HTTP address and target.

  void Answered(const LeaderView& leader, const Question& question,
                absl::StatusOr<HttpAnswer> answer);

  const Clock& clock_;
  Executor& executor_;
  HttpSender& sender_;
  std::map<Question, std::vector<Done>> under_way_;
  size_t waiting_ = 0;  // In under_way_.
  // The last one that did not answer.
  std::string silent_;  // HTTP address; empty: there is none.
  std::string problem_;
  absl::Duration silent_at_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_LEADER_FORWARD_H_
