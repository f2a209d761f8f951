#include "common/near/watch_client.h"

#include <grpcpp/client_context.h>

#include <utility>

namespace meridian {

// One Watch call. Deleted on the executor's thread (or by the destructor): a context holds its
// channel, and the last channel must not end on a thread of gRPC, which waits for those threads.
class WatchClient::Stream final : public grpc::ClientReadReactor<cache::v1::WatchResponse> {
 public:
  Stream(WatchClient& client, std::string address, std::shared_ptr<Stub> stub,
         cache::v1::WatchRequest request)
      : client_(client),
        address_(std::move(address)),
        stub_(std::move(stub)),
        request_(std::move(request)) {}

  void Start() {
    stub_->async()->Watch(&context_, &request_, this);
    StartRead(&message_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }

  const std::string& address() const { return address_; }
  const cache::v1::WatchResponse& message() const { return message_; }

  void OnReadDone(bool ok) override {
    if (ok && client_.Take(this)) StartRead(&message_);
  }
  void OnDone(const grpc::Status&) override { client_.Ended(this); }

 private:
  WatchClient& client_;
  const std::string address_;
  const std::shared_ptr<Stub> stub_;
  const cache::v1::WatchRequest request_;
  grpc::ClientContext context_;
  cache::v1::WatchResponse message_;
};

WatchClient::WatchClient(WatchClientOptions options, NearCache& cache, const Clock& clock)
    : options_(std::move(options)), cache_(cache), clock_(clock), executor_(options_.thread_name) {
  executor_.Post([this] { Tick(); });
}

WatchClient::~WatchClient() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  executor_.Stop();
  std::vector<Stream*> streams;  // From here on nobody else deletes them.
  {
    absl::MutexLock lock(&mu_);
    streams.assign(streams_.begin(), streams_.end());
  }
  for (Stream* stream : streams) stream->Cancel();
  absl::MutexLock lock(&mu_);
  const auto all_ended = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return streams_.empty(); };
  mu_.Await(absl::Condition(&all_ended));
  for (Stream* stream : ended_) delete stream;
}

void WatchClient::SetNodes(std::map<std::string, Node> nodes) {
  absl::MutexLock lock(&mu_);
  if (stopping_) return;
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    if (nodes.count(it->first) > 0) {
      ++it;
      continue;
    }
    Followed& gone = *it->second;
    Abandon(gone);
    stats_.resumes += gone.follower.resumes();
    stats_.restarts += gone.follower.restarts();
    free_sources_.push_back(gone.follower.source());
    it = nodes_.erase(it);
  }
  // First all that is not theirs any more: a slot has one follower at a time.
  for (auto& [address, followed] : nodes_) {
    followed->follower.SetSlots(followed->follower.slots() & nodes.at(address).slots);
  }
  for (auto& [address, node] : nodes) {
    std::unique_ptr<Followed>& followed = nodes_[address];
    if (followed == nullptr) {
      NearCache::Source source = NearCache::kNoSource;
      if (free_sources_.empty()) {
        source = cache_.NewSource();
      } else {
        source = free_sources_.back();
        free_sources_.pop_back();
      }
      if (source == NearCache::kNoSource) {  // More nodes than that are not followed.
        nodes_.erase(address);
        continue;
      }
      followed = std::make_unique<Followed>(cache_, source);
    }
    followed->stub = std::move(node.stub);
    followed->follower.SetSlots(node.slots);
    // A stream that tells too much is left as it is.
    if ((node.slots & ~followed->asked).none() && followed->stream != nullptr) continue;
    executor_.Post([this, address = address] { Open(address); });
  }
}

void WatchClient::Open(const std::string& address) {
  Stream* stream = nullptr;
  {
    absl::MutexLock lock(&mu_);
    const auto it = nodes_.find(address);
    if (it == nodes_.end() || stopping_ || it->second->follower.slots().none()) return;
    Followed& followed = *it->second;
    Abandon(followed);
    const absl::Duration now = clock_.Monotonic();
    followed.began = followed.heard = now;
    followed.asked = followed.follower.slots();
    stream = new Stream(*this, address, followed.stub, followed.follower.Begin(now));
    followed.stream = stream;
    streams_.insert(stream);
    ++stats_.streams;
  }
  stream->Start();  // May call back at once. Only this thread deletes it.
}

void WatchClient::Abandon(Followed& followed) {
  Stream* const stream = std::exchange(followed.stream, nullptr);
  if (stream == nullptr) return;
  // gRPC may call back from inside of a cancellation, so not under the lock. What has ended is
  // deleted by a task that is posted later than this one, so the stream is still there.
  executor_.Post([this, stream] {
    {
      absl::MutexLock lock(&mu_);
      if (!streams_.contains(stream)) return;
    }
    stream->Cancel();
  });
}

void WatchClient::RetryLater(const std::string& address, Followed& followed) {
  if (std::exchange(followed.retry_pending, true)) return;
  executor_.PostAfter(followed.backoff.Next(absl::Uniform(random_, 0.0, 1.0)), [this, address] {
    {
      absl::MutexLock lock(&mu_);
      const auto it = nodes_.find(address);
      if (it == nodes_.end()) return;
      it->second->retry_pending = false;
      if (it->second->stream != nullptr) return;
    }
    Open(address);
  });
}

bool WatchClient::Take(Stream* stream) {
  absl::MutexLock lock(&mu_);
  const auto it = nodes_.find(stream->address());
  if (it == nodes_.end() || it->second->stream != stream) return false;
  Followed& followed = *it->second;
  followed.heard = clock_.Monotonic();
  if (followed.follower.Take(stream->message())) {
    followed.backoff.Reset();
    return true;
  }
  Abandon(followed);
  RetryLater(stream->address(), followed);
  return false;
}

void WatchClient::Ended(Stream* stream) {
  absl::MutexLock lock(&mu_);
  streams_.erase(stream);
  ended_.push_back(stream);
  if (stopping_) return;
  const auto it = nodes_.find(stream->address());
  if (it != nodes_.end() && it->second->stream == stream) {
    it->second->stream = nullptr;
    RetryLater(stream->address(), *it->second);
  }
  executor_.Post([this] { Reap(); });
}

void WatchClient::Reap() {
  std::vector<Stream*> ended;
  {
    absl::MutexLock lock(&mu_);
    ended.swap(ended_);
  }
  for (Stream* stream : ended) delete stream;
}

void WatchClient::Tick() {
  const absl::Duration now = clock_.Monotonic();
  std::vector<std::string> renewed;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [address, followed] : nodes_) {
      if (followed->stream == nullptr) continue;
      if (now - followed->heard > options_.silence || now - followed->began > options_.renew) {
        renewed.push_back(address);
      }
    }
  }
  for (const std::string& address : renewed) Open(address);
  cache_.Advance(now);
  executor_.PostAfter(options_.tick, [this] { Tick(); });
}

WatchClient::Stats WatchClient::stats() const {
  absl::MutexLock lock(&mu_);
  Stats stats = stats_;
  for (const auto& [address, followed] : nodes_) {
    stats.resumes += followed->follower.resumes();
    stats.restarts += followed->follower.restarts();
  }
  return stats;
}

}  // namespace meridian
