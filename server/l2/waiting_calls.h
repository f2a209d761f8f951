// WaitingCalls keeps calls while a route does not know where to send them. Bounded; each fails at
// its deadline. Thread safety: none; all on the loop's thread.

#ifndef MERIDIAN_SERVER_L2_WAITING_CALLS_H_
#define MERIDIAN_SERVER_L2_WAITING_CALLS_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/l2/event_loop.h"
#include "server/l2/redis_command.h"

namespace meridian {

class WaitingCalls {
 public:
  struct Call {
    RedisLane lane;
    std::vector<RedisCommand> commands;
    absl::Time deadline;
    RedisDone done;
  };

  // References outlive this.
  WaitingCalls(EventLoop& loop, const Clock& clock)
      : clock_(clock), timer_(loop, [this] { Expire(); }) {}
  // Fails what waits.
  ~WaitingCalls();

  void Add(Call call);
  // Gives every call to `send`, in order.
  void Release(const std::function<void(Call)>& send);
  void Fail(const absl::Status& why);

 private:
  void Expire();
  static void Answer(Call& call, const absl::Status& why);

  const Clock& clock_;
  std::vector<Call> calls_;
  LoopTimer timer_;  // The next deadline.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_WAITING_CALLS_H_
