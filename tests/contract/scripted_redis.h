// ScriptedRedis is a server that answers each command as a test says: a Redis, a server of a
// cluster or a sentinel that does what the real ones do rarely, or never.
//
// What opens a connection (INFO, CONFIG, SCRIPT, PING, ...) is answered properly, unless the test
// says something else. Thread safety: all methods may be called concurrently; answers come from one
// thread a connection.

#ifndef MERIDIAN_TESTS_CONTRACT_SCRIPTED_REDIS_H_
#define MERIDIAN_TESTS_CONTRACT_SCRIPTED_REDIS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/support/loopback_server.h"

namespace meridian {

class ScriptedRedis {
 public:
  using Words = std::vector<std::string>;
  // The bytes of the answer; nullopt: the usual one.
  using Answer = std::function<std::optional<std::string>(const Words&)>;

  explicit ScriptedRedis(Answer answer);

  uint16_t port() const { return server_.port(); }
  // When a command came, by its first word, or its first two ("CLUSTER SLOTS").
  std::vector<absl::Time> TimesOf(const std::string& command) const ABSL_LOCKS_EXCLUDED(mu_);
  size_t CountOf(const std::string& command) const { return TimesOf(command).size(); }
  // Sends bytes that nobody asked for to all who have subscribed to anything.
  void Push(const std::string& bytes) ABSL_LOCKS_EXCLUDED(mu_);

  static std::string Bulk(const std::string& text);
  static std::string Array(const Words& bulks);
  // CLUSTER SLOTS of a server that has them all.
  std::string AllSlots() const;

 private:
  void Talk(int fd) ABSL_LOCKS_EXCLUDED(mu_);
  std::string AnswerTo(const Words& words) ABSL_LOCKS_EXCLUDED(mu_);

  const Answer answer_;
  mutable absl::Mutex mu_;
  std::map<std::string, std::vector<absl::Time>> times_ ABSL_GUARDED_BY(mu_);
  std::set<int> subscribers_ ABSL_GUARDED_BY(mu_);
  LoopbackServer server_;  // Goes first: its threads use what is above.
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_CONTRACT_SCRIPTED_REDIS_H_
