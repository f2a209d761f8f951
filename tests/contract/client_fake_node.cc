#include "tests/contract/client_fake_node.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/error.h"
#include "common/rpc/server_settings.h"
#include "common/rpc/topology_proto.h"

namespace meridian {
namespace {

constexpr uint64_t kIncarnation = 1;

}  // namespace

using cache::v1::ENTRY_STATUS_CONFLICT;
using cache::v1::ENTRY_STATUS_MISS;
using cache::v1::ENTRY_STATUS_OK;

void FakeStore::Read(const std::string& name_space, const std::string& key,
                     cache::v1::Entry* entry) {
  absl::MutexLock lock(&mu_);
  const auto found = entries_.find({name_space, key});
  if (found == entries_.end() && origin_is_late_) {
    entry->set_status(cache::v1::ENTRY_STATUS_ERROR);
    ToProto(Error{grpc::StatusCode::DEADLINE_EXCEEDED, reason::kOriginTimeout, "too late", {}},
            entry->mutable_error());
    return;
  }
  if (found == entries_.end()) {
    entry->set_status(ENTRY_STATUS_MISS);
    return;
  }
  entry->set_status(ENTRY_STATUS_OK);
  entry->set_value(found->second.value);
  if (corrupt_every_ > 0 && ++hits_ % corrupt_every_ == 0) {
    entry->mutable_value()->back() = static_cast<char>(entry->value().back() ^ 1);
  }
  entry->set_source(cache::v1::SOURCE_L1);
  entry->mutable_version()->set_hlc(found->second.hlc);
  entry->set_ttl_ms(found->second.ttl_ms);
  entry->set_age_ms(7);
}

void FakeStore::Write(const std::string& name_space, const cache::v1::SetEntry& entry,
                      cache::v1::WriteResult* result) {
  if (entry.key().empty()) {
    result->set_status(cache::v1::ENTRY_STATUS_ERROR);
    ToProto(Error{grpc::StatusCode::INVALID_ARGUMENT, reason::kKeyEmpty, "no key", {}},
            result->mutable_error());
    return;
  }
  absl::MutexLock lock(&mu_);
  const auto found = entries_.find({name_space, entry.key()});
  const uint64_t stored = found == entries_.end() ? 0 : found->second.hlc;
  if ((entry.if_absent() && stored != 0) ||
      (entry.has_expected_version() && entry.expected_version().hlc() != stored)) {
    result->set_status(ENTRY_STATUS_CONFLICT);
    if (stored != 0) result->mutable_version()->set_hlc(stored);
    return;
  }
  ++writes_;
  entries_[{name_space, entry.key()}] = Stored{entry.value(), ++last_hlc_, entry.ttl_ms()};
  result->set_status(ENTRY_STATUS_OK);
  result->mutable_version()->set_hlc(last_hlc_);
}

void FakeStore::Delete(const std::string& name_space, const std::string& key,
                       cache::v1::WriteResult* result) {
  absl::MutexLock lock(&mu_);
  ++writes_;
  entries_.erase({name_space, key});
  result->set_status(ENTRY_STATUS_OK);
  result->mutable_version()->set_hlc(++last_hlc_);
}

size_t FakeStore::writes() const {
  absl::MutexLock lock(&mu_);
  return writes_;
}

void FakeStore::set_corrupt_every(int n) {
  absl::MutexLock lock(&mu_);
  corrupt_every_ = n;
}

void FakeStore::set_origin_is_late() {
  absl::MutexLock lock(&mu_);
  origin_is_late_ = true;
}

void FakeStore::Publish(const Topology& topology) {
  absl::MutexLock lock(&mu_);
  ToProto(topology, &topology_);
}

cache::v1::Topology FakeStore::topology() const {
  absl::MutexLock lock(&mu_);
  return topology_;
}

cache::v1::Topology FakeStore::WaitForOther(uint64_t epoch, absl::Duration timeout) const {
  absl::MutexLock lock(&mu_);
  const auto changed = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return topology_.epoch() != epoch; };
  mu_.AwaitWithTimeout(absl::Condition(&changed), timeout);
  return topology_;
}

FakeNode::FakeNode(std::string id, FakeStore& store) : id_(std::move(id)), store_(store) {
  grpc::ServerBuilder builder;
  ApplyServerSettings(&builder);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeNode::~FakeNode() {
  Stop();
  absl::MutexLock lock(&mu_);  // tsan does not see how gRPC ends its handlers; it sees this.
}

Member FakeNode::member() const {
  Member member;
  member.id = id_;
  member.data_address = address_;
  return member;
}

void FakeNode::Stop() {
  stopping_ = true;
  server_->Shutdown(absl::ToChronoTime(absl::Now()));
  server_->Wait();
}

std::vector<std::string> FakeNode::keys() const {
  absl::MutexLock lock(&mu_);
  return keys_;
}

void FakeNode::StopTelling() {
  absl::MutexLock lock(&mu_);
  tells_ = false;
}

void FakeNode::GoOnTelling() {
  absl::MutexLock lock(&mu_);
  tells_ = true;
}

void FakeNode::HoldLease(const std::string& key, const std::string& value) {
  absl::MutexLock lock(&mu_);
  held_[key] = value;
}

std::vector<int64_t> FakeNode::lease_waits() const {
  absl::MutexLock lock(&mu_);
  return lease_waits_;
}

std::vector<int> FakeNode::batch_sizes() const {
  absl::MutexLock lock(&mu_);
  return batch_sizes_;
}

cache::v1::RequestHeader FakeNode::last_header() const {
  absl::MutexLock lock(&mu_);
  return last_header_;
}

absl::Duration FakeNode::last_timeout() const {
  absl::MutexLock lock(&mu_);
  return last_timeout_;
}

grpc::Status FakeNode::Begin(grpc::ServerContext* context, const cache::v1::RequestHeader& header,
                             std::vector<std::string> keys) {
  {
    absl::MutexLock lock(&mu_);
    batch_sizes_.push_back(static_cast<int>(keys.size()));
    keys_.insert(keys_.end(), keys.begin(), keys.end());
    last_header_ = header;
    last_timeout_ = absl::FromChrono(context->deadline()) - absl::Now();
  }
  if (fault_ == FakeFault::kRefuse) {
    return MakeError(grpc::StatusCode::UNAVAILABLE, reason::kShuttingDown, "stopping");
  }
  while (fault_ == FakeFault::kHang && !context->IsCancelled() && !stopping_) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  return grpc::Status::OK;
}

grpc::Status FakeNode::End(cache::v1::ResponseHeader* header) const {
  if (fault_ == FakeFault::kRunThenBreak) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "connection reset");
  }
  header->set_epoch(store_.topology().epoch());
  header->set_node(id_);
  header->set_watch_incarnation(kIncarnation);
  return grpc::Status::OK;
}

grpc::Status FakeNode::Get(grpc::ServerContext* context, const cache::v1::GetRequest* request,
                           cache::v1::GetResponse* response) {
  const grpc::Status begun = Begin(context, request->header(), {request->key()});
  if (!begun.ok()) return begun;
  store_.Read(request->namespace_(), request->key(), response->mutable_entry());
  return End(response->mutable_header());
}

void FakeNode::AnswerLease(const cache::v1::BatchGetRequest& request, const std::string& key,
                           cache::v1::Entry* entry) {
  absl::MutexLock lock(&mu_);
  const auto held = held_.find(key);
  if (held == held_.end()) {
    entry->set_lease("lease of " + key);
  } else if (held->second.empty() || lease_waits_.back() == 0) {
    entry->set_lease_taken(true);
  } else {
    cache::v1::SetEntry filled;
    filled.set_key(key);
    filled.set_value(held->second);
    cache::v1::WriteResult written;
    store_.Write(request.namespace_(), filled, &written);
    store_.Read(request.namespace_(), key, entry);
  }
}

grpc::Status FakeNode::BatchGet(grpc::ServerContext* context,
                                const cache::v1::BatchGetRequest* request,
                                cache::v1::BatchGetResponse* response) {
  const grpc::Status begun =
      Begin(context, request->header(), {request->keys().begin(), request->keys().end()});
  if (!begun.ok()) return begun;
  const cache::v1::ReadOptions& options = request->options();
  {
    absl::MutexLock lock(&mu_);
    lease_waits_.push_back(
        options.has_lease_wait_ms() ? static_cast<int64_t>(options.lease_wait_ms()) : -1);
  }
  for (const std::string& key : request->keys()) {
    cache::v1::Entry* entry = response->add_entries();
    store_.Read(request->namespace_(), key, entry);
    if (options.want_lease() && entry->status() == cache::v1::ENTRY_STATUS_MISS) {
      AnswerLease(*request, key, entry);
    }
  }
  if (fault_ == FakeFault::kOneEntryTooFew) response->mutable_entries()->RemoveLast();
  return End(response->mutable_header());
}

grpc::Status FakeNode::Set(grpc::ServerContext* context, const cache::v1::SetRequest* request,
                           cache::v1::SetResponse* response) {
  const grpc::Status begun = Begin(context, request->header(), {request->entry().key()});
  if (!begun.ok()) return begun;
  store_.Write(request->namespace_(), request->entry(), response->mutable_result());
  return End(response->mutable_header());
}

grpc::Status FakeNode::BatchSet(grpc::ServerContext* context,
                                const cache::v1::BatchSetRequest* request,
                                cache::v1::BatchSetResponse* response) {
  std::vector<std::string> keys;
  for (const cache::v1::SetEntry& entry : request->entries()) keys.push_back(entry.key());
  const grpc::Status begun = Begin(context, request->header(), std::move(keys));
  if (!begun.ok()) return begun;
  for (const cache::v1::SetEntry& entry : request->entries()) {
    store_.Write(request->namespace_(), entry, response->add_results());
  }
  return End(response->mutable_header());
}

grpc::Status FakeNode::Invalidate(grpc::ServerContext* context,
                                  const cache::v1::InvalidateRequest* request,
                                  cache::v1::InvalidateResponse* response) {
  const grpc::Status begun = Begin(context, request->header(), {request->key()});
  if (!begun.ok()) return begun;
  store_.Delete(request->namespace_(), request->key(), response->mutable_result());
  return End(response->mutable_header());
}

grpc::Status FakeNode::BatchInvalidate(grpc::ServerContext* context,
                                       const cache::v1::BatchInvalidateRequest* request,
                                       cache::v1::BatchInvalidateResponse* response) {
  const grpc::Status begun =
      Begin(context, request->header(), {request->keys().begin(), request->keys().end()});
  if (!begun.ok()) return begun;
  for (const std::string& key : request->keys()) {
    store_.Delete(request->namespace_(), key, response->add_results());
  }
  return End(response->mutable_header());
}

grpc::Status FakeNode::Touch(grpc::ServerContext* context, const cache::v1::TouchRequest* request,
                             cache::v1::TouchResponse* response) {
  const grpc::Status begun = Begin(context, request->header(), {request->key()});
  if (!begun.ok()) return begun;
  cache::v1::Entry entry;
  store_.Read(request->namespace_(), request->key(), &entry);
  if (entry.status() == ENTRY_STATUS_MISS) {
    response->mutable_result()->set_status(ENTRY_STATUS_MISS);
  } else {
    cache::v1::SetEntry write;
    write.set_key(request->key());
    write.set_value(entry.value());
    write.set_ttl_ms(request->ttl_ms());
    store_.Write(request->namespace_(), write, response->mutable_result());
  }
  return End(response->mutable_header());
}

grpc::Status FakeNode::GetTopology(grpc::ServerContext*, const cache::v1::GetTopologyRequest*,
                                   cache::v1::GetTopologyResponse* response) {
  *response->mutable_topology() = store_.topology();
  return grpc::Status::OK;
}

grpc::Status FakeNode::WatchTopology(grpc::ServerContext* context,
                                     const cache::v1::WatchTopologyRequest* request,
                                     grpc::ServerWriter<cache::v1::WatchTopologyResponse>* writer) {
  uint64_t epoch = request->known_epoch();
  while (!context->IsCancelled() && !stopping_) {
    cache::v1::WatchTopologyResponse response;
    *response.mutable_topology() = store_.WaitForOther(epoch, absl::Milliseconds(5));
    if (response.topology().epoch() <= epoch) continue;
    epoch = response.topology().epoch();
    if (!writer->Write(response)) break;
  }
  return grpc::Status::OK;
}

grpc::Status FakeNode::Watch(grpc::ServerContext* context, const cache::v1::WatchRequest* request,
                             grpc::ServerWriter<cache::v1::WatchResponse>* writer) {
  uint64_t previous = request->resume_after();
  for (; !context->IsCancelled() && !stopping_; absl::SleepFor(absl::Milliseconds(5))) {
    cache::v1::WatchResponse message;
    {
      absl::MutexLock lock(&mu_);
      if (!tells_) continue;
      const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                           std::chrono::steady_clock::now().time_since_epoch())
                           .count();
      message.set_sent_at_ms(static_cast<uint64_t>(now));
      message.set_complete_at_ms(static_cast<uint64_t>(now));
    }
    message.set_previous(std::exchange(previous, 1));
    message.set_sequence(1);
    message.set_incarnation(kIncarnation);
    if (!writer->Write(message)) break;  // Late or not, it says what was so above.
  }
  return grpc::Status::OK;
}

}  // namespace meridian
