// L2Observer hears what the connections to one Redis do, so that metrics need not live here.
//
// Calls come from the event loop (and, for commands refused before sending, from the caller's
// thread): implementations count in atomics and return.

#ifndef MERIDIAN_SERVER_L2_L2_OBSERVER_H_
#define MERIDIAN_SERVER_L2_L2_OBSERVER_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace meridian {

class L2Observer {
 public:
  virtual ~L2Observer() = default;

  // One command (or script) was answered or given up. `command` is one of a few constants:
  // "mget", "xread", "apply", "replicate", ...
  virtual void CommandDone(std::string_view command, absl::Duration latency,
                           absl::StatusCode code) = 0;

  // A command came back not carried out, because its data is elsewhere or on its way: "MOVED",
  // "ASK", "TRYAGAIN", "CLUSTERDOWN", "READONLY". When it is sent again, CommandDone tells of that.
  virtual void Redirected(std::string_view kind) {}

  // A connection became ready, or a ready one was lost, or an attempt failed. `cause` is one of
  // DownCauseName's; `why` is for people.
  virtual void ConnectionUp() = 0;
  virtual void ConnectionDown(std::string_view cause, std::string_view why, bool was_ready) = 0;

  // A read did not reach its primary and was asked of a replica.
  virtual void ReadFromReplica() {}

  // The sentinels have named another primary. Writes that the old one had acknowledged, but not yet
  // handed to the new one, are lost.
  virtual void PrimaryChanged(std::string_view from, std::string_view to) {}

  // A sentinel cannot be used, says something older than what is known, or (`problem` is empty) is
  // well again. Told once for each change.
  virtual void SentinelChanged(std::string_view sentinel, std::string_view problem) {}

  // "closed", "open", "half_open".
  virtual void BreakerChanged(std::string_view state) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_L2_OBSERVER_H_
