#include "client/cpp/lease_rounds.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/hash.h"

namespace meridian {
namespace {

// One wait at one of several nodes, at least.
constexpr absl::Duration kShortestWait = absl::Milliseconds(50);
// Keys of one wait: a larger call would be split, and its parts might hold what others wait for.
constexpr size_t kKeysAtOnce = 500;
// Less than this is not worth another call.
constexpr absl::Duration kLeastLeft = absl::Milliseconds(20);
// What a call may take beside the waiting: an answer that comes too late may have a lease.
constexpr absl::Duration kForTheAnswer = absl::Milliseconds(50);

}  // namespace

Client::Impl::LeaseRounds::LeaseRounds(Impl& impl, std::string_view name_space,
                                       std::span<const std::string_view> keys,
                                       const GetOptions& options, BatchGetCallback done)
    : impl_(impl),
      name_space_(name_space),
      keys_(keys.begin(), keys.end()),
      options_(options),
      done_(std::move(done)) {
  const absl::Duration timeout = options.timeout.value_or(impl.options_.batch_timeout);
  const absl::Duration now = impl.clock_.Monotonic();
  ends_ = now + timeout;
  wait_ends_ = now + std::min(timeout - std::min(timeout / 8, kForTheAnswer),
                              options.lease_wait.value_or(absl::InfiniteDuration()));
  if (options_.request_id.empty()) options_.request_id = impl.cluster_.NextRequestId();
}

void Client::Impl::LeaseRounds::Start() {
  options_.lease_wait = absl::ZeroDuration();
  const std::vector<std::string_view> keys(keys_.begin(), keys_.end());
  impl_.BatchGet(name_space_, keys, options_, Spread::kCounted,
                 [self = shared_from_this()](std::vector<GetResult> results) {
                   self->results_ = std::move(results);
                   self->WaitAtOneNode();
                 });
}

std::vector<uint32_t> Client::Impl::LeaseRounds::NextNodesKeys(size_t* nodes) {
  const std::shared_ptr<const ClusterView> view = impl_.cluster_.View();
  std::map<uint16_t, std::vector<uint32_t>> by_node;
  for (uint32_t i = 0; i < keys_.size(); ++i) {
    if (!results_[i].lease.empty()) return {};
    if (results_[i].lease_taken) {
      by_node[view->table.OwnerOf(SlotOf(name_space_, keys_[i]))].push_back(i);
    }
  }
  *nodes = by_node.size();
  if (by_node.empty()) return {};
  std::vector<uint32_t> indexes =
      std::move(std::next(by_node.begin(), static_cast<ptrdiff_t>(turn_++ % *nodes))->second);
  if (indexes.size() > kKeysAtOnce) indexes.resize(kKeysAtOnce);
  return indexes;
}

void Client::Impl::LeaseRounds::WaitAtOneNode() {
  const absl::Duration left = Left(wait_ends_);
  size_t nodes = 0;
  std::vector<uint32_t> indexes;
  if (left >= kLeastLeft) indexes = NextNodesKeys(&nodes);
  if (indexes.empty()) return done_(std::move(results_));
  options_.timeout = Left(ends_);
  options_.lease_wait = std::max(left / static_cast<int64_t>(nodes), std::min(left, kShortestWait));
  std::vector<std::string_view> keys;
  keys.reserve(indexes.size());
  for (const uint32_t index : indexes) keys.push_back(keys_[index]);
  impl_.BatchGet(name_space_, keys, options_, Spread::kNone,
                 [self = shared_from_this(), indexes, wait = *options_.lease_wait,
                  began = impl_.clock_.Monotonic()](std::vector<GetResult> results) {
                   bool told = self->impl_.clock_.Monotonic() - began >= wait / 2;
                   for (size_t i = 0; i < indexes.size(); ++i) {
                     told |= !results[i].lease_taken;
                     self->results_[indexes[i]] = std::move(results[i]);
                   }
                   // A node that says at once that it has nothing, and does not wait, has said it.
                   if (!told) return self->done_(std::move(self->results_));
                   self->WaitAtOneNode();
                 });
}

}  // namespace meridian
