// Client::Impl turns the public calls into NodeCalls. Private to client/cpp.
//
// Thread safety: as Client.

#ifndef MERIDIAN_CLIENT_CPP_CLIENT_IMPL_H_
#define MERIDIAN_CLIENT_CPP_CLIENT_IMPL_H_

#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/cpp/client.h"
#include "client/cpp/convert.h"
#include "client/cpp/near_reads.h"
#include "client/internal/batch_splitter.h"
#include "client/internal/cluster.h"
#include "client/internal/hot_spread.h"
#include "client/internal/node_call.h"
#include "common/base/clock.h"

namespace meridian {

// The answers of a batch while its parts are under way. The parts write to different results; the
// one that ends last calls `done`.
template <typename Result>
struct BatchAnswer {
  std::vector<Result> results;
  std::atomic<size_t> parts_left{0};
  std::function<void(std::vector<Result>)> done;
  NearReads* near = nullptr;  // Is told; nullptr: nobody.

  void EndPart() {
    if (parts_left.fetch_sub(1, std::memory_order_acq_rel) == 1) done(std::move(results));
  }
};

class Client::Impl {
 public:
  // Which keys of a batch any node may be asked for.
  enum class Spread : uint8_t {
    kHot,      // Those that are hot. What is asked for is counted.
    kCounted,  // The same; the call was counted before.
    kNone,     // The call waits at one owner.
  };

  // `near` may be nullptr: nothing is kept.
  Impl(ClientOptions options, std::unique_ptr<NearReads> near)
      : options_(std::move(options)),
        near_(std::move(near)),
        cluster_(
            options_.targets,
            [near = near_.get()](const ClusterView& view) {
              if (near != nullptr) near->SetView(view);
            },
            ChannelSecurityOf(options_.tls)) {}

  // True when the near cache has it.
  bool GetNear(std::string_view name_space, std::string_view key, const GetOptions& options,
               GetResult* result) {
    return near_ != nullptr && near_->Takes(name_space, options) && options.request_id.empty() &&
           near_->Get(name_space, key, options, result);
  }
  NearStats near_stats() const { return near_ == nullptr ? NearStats() : near_->stats(); }

  Cluster& cluster() { return cluster_; }

  void Get(std::string_view name_space, std::string_view key, const GetOptions& options,
           GetCallback done);
  void Set(std::string_view name_space, SetItem item, const CallOptions& options,
           WriteCallback done);
  void Invalidate(std::string_view name_space, std::string_view key, const CallOptions& options,
                  WriteCallback done);
  // `set_target` says what; it is called before this returns.
  void InvalidateMany(std::string_view name_space, const CallOptions& options,
                      const std::function<void(cache::v1::InvalidateRequest&)>& set_target,
                      WriteCallback done);
  void Touch(std::string_view name_space, std::string_view key, absl::Duration ttl,
             const CallOptions& options, WriteCallback done);
  void BatchGet(std::string_view name_space, std::span<const std::string_view> keys,
                const GetOptions& options, BatchGetCallback done) {
    BatchGet(name_space, keys, options, Spread::kHot, std::move(done));
  }
  void BatchGet(std::string_view name_space, std::span<const std::string_view> keys,
                const GetOptions& options, Spread spread, BatchGetCallback done);
  void BatchSet(std::string_view name_space, std::vector<SetItem> items, const CallOptions& options,
                BatchWriteCallback done);
  void BatchInvalidate(std::string_view name_space, std::span<const std::string_view> keys,
                       const CallOptions& options, BatchWriteCallback done);

 private:
  class LeaseRounds;
  using Deadline = std::chrono::system_clock::time_point;

  // What the parts of a call share: one view, one deadline, one id.
  struct Plan {
    std::shared_ptr<const ClusterView> view;
    uint16_t any_node;
    Deadline deadline;
    std::string request_id;
  };
  Plan PlanCall(const CallOptions& options, absl::Duration default_timeout);

  // Whether hot keys of such reads may be asked of any node. What the near cache takes is asked of
  // the owner: only its word may be kept.
  bool MaySpread(const GetOptions& options) const {
    return options_.spread_hot_keys && near_ == nullptr && !options.force_refresh;
  }
  // Whether any node may be asked for this key of a batch.
  bool Spreads(Spread spread, std::string_view name_space, std::string_view key, size_t batch,
               absl::Duration now) {
    return spread == Spread::kHot ? hot_spread_.SpreadsOfBatch(name_space, key, batch, now)
                                  : hot_spread_.SpreadsStill(name_space, key, now);
  }
  // The node to ask for the key.
  uint16_t NodeForGet(const Plan& plan, std::string_view name_space, std::string_view key,
                      const GetOptions& options);
  // A write of the key begins.
  void NoteWrite(std::string_view name_space, std::string_view key) {
    if (options_.spread_hot_keys) hot_spread_.Wrote(name_space, key, clock_.Monotonic());
  }
  // The same of a Set. Who fills a key under a lease changes nothing: of those who read a hot key
  // it is always one or another, and each would then read it from its owner for a while.
  void NoteSet(std::string_view name_space, const SetItem& item) {
    if (item.lease.empty()) NoteWrite(name_space, item.key);
  }

  // The call for one key; the caller fills the rest of request() and starts it.
  template <typename Request, typename Response>
  NodeCall<Request, Response>* NewCall(const Plan& plan, uint16_t node, std::string_view name_space,
                                       typename NodeCall<Request, Response>::Method method,
                                       CallKind kind);

  // The write of one key.
  // Whether values that are read may go into the near cache.
  bool MayKeep(std::string_view name_space, const GetOptions& options) const {
    return near_ != nullptr && !options.omit_value && near_->Takes(name_space, options);
  }

  template <typename Request, typename Response>
  void StartWrite(NodeCall<Request, Response>* call, WriteCallback done);

  const ClientOptions options_;
  HotSpread hot_spread_;
  const SystemClock clock_;
  const std::unique_ptr<NearReads> near_;  // Outlives the calls, for which the Cluster waits.
  Cluster cluster_;
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_CPP_CLIENT_IMPL_H_
