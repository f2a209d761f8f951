// SyncWaits are the writers of namespaces that replicate synchronously: each waits until the links
// have brought its writes to other regions.
//
// A region whose link is cut or disconnected is not waited for: it is missing from the answer.
// Bound: kMaxWrites wait; more are answered at once, with no region.
// Cost: a look-up for each change that arrives, while anybody waits. Thread safety: Expect, Await
// and AnswerAll may be called concurrently; all else is behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_SYNC_WAITS_H_
#define MERIDIAN_SERVER_REPLICATION_SYNC_WAITS_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/node/l2_store.h"
#include "server/node/sync_replication.h"
#include "server/replication/task_gate.h"

namespace meridian {

class SyncWaits final : public SyncReplication {
 public:
  static constexpr size_t kMaxWrites = 65'536;

  // `nudge` is called when somebody waits, so that the changelog is looked at soon.
  SyncWaits(TaskGate gate, const Clock& clock, std::function<void()> nudge);

  std::shared_ptr<Batch> Expect(std::vector<Write> writes, absl::Time deadline) override;
  void Await(std::shared_ptr<Batch> batch, std::vector<size_t> indexes, size_t regions,
             Done done) override;

  // --- From the links.
  bool empty() const { return by_key_.empty(); }
  // `region` has this change of the log, or something newer.
  void Arrived(const std::string& region, const LogEntry& entry);
  // `region` will not get this change, because it cannot be sent (any more): nobody waits for it.
  void Missed(const std::string& region, const LogEntry& entry);
  void SetReachable(const std::string& region, bool reachable);

  // Answers everybody with what there is.
  void AnswerAll();
  size_t writes() const { return writes_; }

 private:
  struct Wait;
  using Regions = std::vector<std::vector<std::string>>;     // By write.
  using Waiting = std::pair<std::shared_ptr<Wait>, size_t>;  // One write.

  void Register(const std::shared_ptr<Wait>& wait);
  // Puts the region into one of the lists of those who wait for the change or for an older one.
  void Note(const std::string& region, const LogEntry& entry, Regions Wait::*list);
  void Look(const std::shared_ptr<Wait>& wait);
  void Finish(const std::shared_ptr<Wait>& wait);

  const TaskGate gate_;
  const Clock& clock_;
  const std::function<void()> nudge_;
  std::set<std::string> reachable_;
  std::map<std::pair<std::string, std::string>, std::vector<Waiting>> by_key_;
  std::set<std::shared_ptr<Wait>> waits_;
  size_t writes_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_SYNC_WAITS_H_
