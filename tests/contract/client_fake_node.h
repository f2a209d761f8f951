// FakeNode is a small real gRPC server that speaks CacheService over a map. Nodes that share a
// FakeStore act as one region: any of them answers for any key. It records who was asked for what.
//
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_TESTS_CONTRACT_CLIENT_FAKE_NODE_H_
#define MERIDIAN_TESTS_CONTRACT_CLIENT_FAKE_NODE_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/cluster/topology.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"

namespace meridian {

// What the nodes of a region share.
class FakeStore {
 public:
  void Read(const std::string& name_space, const std::string& key, cache::v1::Entry* entry);
  void Write(const std::string& name_space, const cache::v1::SetEntry& entry,
             cache::v1::WriteResult* result);
  void Delete(const std::string& name_space, const std::string& key,
              cache::v1::WriteResult* result);
  size_t writes() const;
  // From now on one byte of every n-th value that is read is wrong.
  void set_corrupt_every(int n);
  // From now on what is missing is said to have an origin that does not answer.
  void set_origin_is_late();

  void Publish(const Topology& topology);
  cache::v1::Topology topology() const;
  // Waits until the epoch is not `epoch`, at most `timeout`; returns the topology of then.
  cache::v1::Topology WaitForOther(uint64_t epoch, absl::Duration timeout) const;

 private:
  struct Stored {
    std::string value;
    uint64_t hlc;
    uint64_t ttl_ms;
  };

  mutable absl::Mutex mu_;
  uint64_t last_hlc_ ABSL_GUARDED_BY(mu_) = 1000;
  size_t writes_ ABSL_GUARDED_BY(mu_) = 0;
  int corrupt_every_ ABSL_GUARDED_BY(mu_) = 0;
  bool origin_is_late_ ABSL_GUARDED_BY(mu_) = false;
  int hits_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::pair<std::string, std::string>, Stored> entries_ ABSL_GUARDED_BY(mu_);
  cache::v1::Topology topology_ ABSL_GUARDED_BY(mu_);
};

// What a node does to the next calls.
enum class FakeFault {
  kNone,
  kRefuse,          // UNAVAILABLE with an ErrorInfo: nothing ran.
  kRunThenBreak,    // Runs, then UNAVAILABLE without details, as a dying connection looks.
  kHang,            // Until the caller gives up.
  kOneEntryTooFew,  // A broken server.
};

class FakeNode final : public cache::v1::CacheService::Service {
 public:
  // Listens on a port that the OS chose.
  FakeNode(std::string id, FakeStore& store);
  ~FakeNode() override;

  const std::string& address() const { return address_; }
  Member member() const;
  // Closes the port and breaks every connection.
  void Stop();

  void set_fault(FakeFault fault) { fault_ = fault; }
  // Watch streams say every few milliseconds that all is told until then, of slots in which nothing
  // ever changes: stop them before something does. From when this returns until GoOnTelling they
  // say nothing at all; calls are answered as ever.
  void StopTelling();
  void GoOnTelling();
  // To BatchGet, somebody has the lease of the key, and gives it `value` while the first one waits;
  // without a value nobody does, and who asks is told so at once.
  void HoldLease(const std::string& key, const std::string& value);
  // Of each BatchGet, in order of arrival; -1: not said.
  std::vector<int64_t> lease_waits() const;
  // Keys that this node was asked for, in order.
  std::vector<std::string> keys() const;
  // Entries of each batch, in order of arrival.
  std::vector<int> batch_sizes() const;
  cache::v1::RequestHeader last_header() const;
  // What was left of the deadline of the last call.
  absl::Duration last_timeout() const;

 private:
  grpc::Status Get(grpc::ServerContext*, const cache::v1::GetRequest*,
                   cache::v1::GetResponse*) override;
  grpc::Status BatchGet(grpc::ServerContext*, const cache::v1::BatchGetRequest*,
                        cache::v1::BatchGetResponse*) override;
  grpc::Status Set(grpc::ServerContext*, const cache::v1::SetRequest*,
                   cache::v1::SetResponse*) override;
  grpc::Status BatchSet(grpc::ServerContext*, const cache::v1::BatchSetRequest*,
                        cache::v1::BatchSetResponse*) override;
  grpc::Status Invalidate(grpc::ServerContext*, const cache::v1::InvalidateRequest*,
                          cache::v1::InvalidateResponse*) override;
  grpc::Status BatchInvalidate(grpc::ServerContext*, const cache::v1::BatchInvalidateRequest*,
                               cache::v1::BatchInvalidateResponse*) override;
  grpc::Status Touch(grpc::ServerContext*, const cache::v1::TouchRequest*,
                     cache::v1::TouchResponse*) override;
  grpc::Status GetTopology(grpc::ServerContext*, const cache::v1::GetTopologyRequest*,
                           cache::v1::GetTopologyResponse*) override;
  grpc::Status WatchTopology(grpc::ServerContext*, const cache::v1::WatchTopologyRequest*,
                             grpc::ServerWriter<cache::v1::WatchTopologyResponse>*) override;
  grpc::Status Watch(grpc::ServerContext*, const cache::v1::WatchRequest*,
                     grpc::ServerWriter<cache::v1::WatchResponse>*) override;

  // What a BatchGet says of the lease of a key that the store misses.
  void AnswerLease(const cache::v1::BatchGetRequest& request, const std::string& key,
                   cache::v1::Entry* entry);
  // Records the call; not OK: answer that, and do not run.
  grpc::Status Begin(grpc::ServerContext* context, const cache::v1::RequestHeader& header,
                     std::vector<std::string> keys);
  // After the call ran.
  grpc::Status End(cache::v1::ResponseHeader* header) const;

  const std::string id_;
  FakeStore& store_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  std::atomic<FakeFault> fault_{FakeFault::kNone};
  std::atomic<bool> stopping_{false};
  mutable absl::Mutex mu_;
  std::vector<std::string> keys_ ABSL_GUARDED_BY(mu_);
  std::vector<int> batch_sizes_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> held_ ABSL_GUARDED_BY(mu_);  // Keys, and what they become.
  std::vector<int64_t> lease_waits_ ABSL_GUARDED_BY(mu_);
  cache::v1::RequestHeader last_header_ ABSL_GUARDED_BY(mu_);
  absl::Duration last_timeout_ ABSL_GUARDED_BY(mu_);
  bool tells_ ABSL_GUARDED_BY(mu_) = true;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_CONTRACT_CLIENT_FAKE_NODE_H_
