// ClusterRoute: the data is spread over the primaries of a Redis Cluster by hash slots.
//
// Every command has the keys of one slot and goes to the primary that the slot table names. MOVED
// corrects the table and the command follows, ASK lets one command follow, at most kMaxRedirects
// times. TRYAGAIN, which a slot on its way answers to commands of several keys, is tried again
// until the deadline; a cluster without a primary for the slot (CLUSTERDOWN, READONLY, LOADING,
// MASTERDOWN) a few times; 512 calls wait so at most, one more is refused with
// kResourceExhausted. All of these say that the command was not carried out. What a lost
// connection did is not known: it fails with kUnavailable. With replica_reads, a read that does not
// reach its primary is asked of a replica instead, which may not yet have the last writes.
// Whoever leads calls to servers that no table lists is followed to kMaxUnlisted of them at a time.
// The table is asked for again after every sign of change, with some pause between, and now and
// then. Writes of one call that share a slot are sent one after the other, so that their order
// stays whatever moves. Calls wait for the very first table; when there is none, they fail at once.
// Thread safety, promise: those of RedisRoute.

#ifndef MERIDIAN_SERVER_L2_CLUSTER_ROUTE_H_
#define MERIDIAN_SERVER_L2_CLUSTER_ROUTE_H_

#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/l2/cluster_history.h"
#include "server/l2/cluster_slots.h"
#include "server/l2/redis_route.h"
#include "server/l2/tls_context.h"
#include "server/l2/waiting_calls.h"

namespace meridian {

class ClusterRoute final : public RedisRoute {
 public:
  static constexpr int kMaxRedirects = 5;
  static constexpr size_t kMaxUnlisted = 64;

  // `tls` is nullptr for plain text. REQUIRES: options.Validate() is OK.
  ClusterRoute(EventLoop& loop, const RedisClientOptions& options, std::unique_ptr<TlsContext> tls,
               const Clock& clock, L2Observer* observer);
  ~ClusterRoute() override;

  bool one_slot_a_command() const override { return true; }
  void Submit(RedisLane lane, std::vector<RedisCommand> commands, absl::Time deadline,
              RedisDone done) override ABSL_LOCKS_EXCLUDED(mu_);
  void Scan(std::string from, size_t count, absl::Time deadline, ScanDone done) override
      ABSL_LOCKS_EXCLUDED(mu_);
  void AskEach(std::vector<RedisCommand> commands, absl::Time deadline, EachDone done) override
      ABSL_LOCKS_EXCLUDED(mu_);
  void ChangeCount(absl::Time deadline, CountDone done) override ABSL_LOCKS_EXCLUDED(mu_);
  L2Health Health() const override ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<uint32_t> AwaySlots() const override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Call;
  struct Asking;

  // The table with a client for every primary in it.
  struct Map {
    SlotTable table;
    std::vector<std::shared_ptr<RedisClient>> clients;  // As table.primaries().
    size_t covered = 0;                                 // table.covered_slots().
  };
  struct Endpoint {
    std::shared_ptr<RedisClient> client;
    absl::Duration last_used;  // When it was last listed, or the target of an ASK.
  };
  // A command that waits for its next attempt.
  struct Retry {
    std::shared_ptr<Call> call;
    size_t index;
  };

  std::shared_ptr<const Map> CurrentMap() const ABSL_LOCKS_EXCLUDED(mu_);
  void AskEachOf(const Map& map, const std::vector<RedisCommand>& commands, absl::Time deadline,
                 EachDone done);
  std::shared_ptr<RedisClient> ClientAt(const RedisAddress& address, bool replica = false);
  std::shared_ptr<RedisClient> ReplicaOf(uint16_t slot) ABSL_LOCKS_EXCLUDED(mu_);
  void Install(SlotTable table) ABSL_LOCKS_EXCLUDED(mu_);

  // Calls. All on the loop.
  void Begin(std::shared_ptr<Call> call) ABSL_LOCKS_EXCLUDED(mu_);
  void Send(const std::shared_ptr<Call>& call, const std::vector<size_t>& indices);
  void SendTo(const std::shared_ptr<RedisClient>& client, const std::shared_ptr<Call>& call,
              std::vector<size_t> indices, bool replica = false);
  void OnReplies(const std::shared_ptr<Call>& call, const RedisAddress& from,
                 const std::vector<size_t>& indices, RedisReplies replies);
  bool Follow(const std::shared_ptr<Call>& call, size_t index, const RedisAddress& from,
              const absl::Status& error);
  // False when the deadline would pass. A call too many is answered here.
  bool RetryLater(const std::shared_ptr<Call>& call, size_t index, absl::Duration delay);
  void Settle(const std::shared_ptr<Call>& call, size_t index, absl::StatusOr<Reply> reply);
  void OnRetryTimer();

  // The table. All on the loop.
  void RefreshSoon();
  void Refresh();
  void AskForTable(std::vector<RedisAddress> candidates, absl::Status last_error);
  void OnTable(const RedisAddress& asked, absl::StatusOr<Reply> reply,
               std::vector<RedisAddress> others) ABSL_LOCKS_EXCLUDED(mu_);
  void WentBack(const std::vector<bool>& redis_slots);
  void NoTable(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a redirect to there is followed: a server could name new ones without end.
  bool MayGoTo(const RedisAddress& address) const {
    return endpoints_.count({address, false}) > 0 || endpoints_.size() < listed_ + kMaxUnlisted;
  }
  double Random() { return std::uniform_real_distribution<double>(0.0, 1.0)(random_); }

  EventLoop& loop_;
  const RedisClientOptions options_;
  const std::unique_ptr<TlsContext> tls_;
  const Clock& clock_;
  L2Observer* const observer_;

  // Loop only.
  std::minstd_rand random_;
  std::map<std::pair<RedisAddress, bool>, Endpoint> endpoints_;  // true: read as a replica.
  size_t listed_ = 0;  // Of endpoints_, when the last table had come.
  std::unique_ptr<WaitingCalls> waiting_;
  std::multimap<absl::Duration, Retry> retries_;  // By time.
  size_t retrying_calls_ = 0;                     // That have something there; bounded.
  std::unique_ptr<LoopTimer> retry_timer_;
  std::unique_ptr<LoopTimer> refresh_timer_;
  ClusterHistory history_;
  bool refreshing_ = false;
  bool stopped_ = false;
  // Before that no sign of a change asks for the table again. Drawn once for each table: the least
  // of many draws would be the same for all nodes.
  absl::Duration not_before_ = -absl::InfiniteDuration();
  absl::Duration refresh_at_ = absl::InfiniteDuration();

  mutable absl::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<const Map> map_ ABSL_GUARDED_BY(mu_);  // nullptr: none yet.
  absl::Status problem_ ABSL_GUARDED_BY(mu_);            // Why the last refresh failed.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_CLUSTER_ROUTE_H_
