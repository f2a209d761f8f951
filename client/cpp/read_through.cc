#include "client/cpp/read_through.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/clock.h"

namespace meridian {
namespace {

using Values = std::vector<std::optional<std::string>>;

// One call waits so long for others: a node that stands still is noticed after it.
constexpr absl::Duration kOneWait = absl::Seconds(1);
// Between two calls to a node that does not wait, at first; each time twice as long.
constexpr absl::Duration kFirstPause = absl::Milliseconds(20);
// Beside the waiting, when the caller names no time for a read.
constexpr absl::Duration kReadTime = absl::Seconds(1);

// The keys without repetition, and which of them each was.
struct Distinct {
  std::vector<std::string_view> keys;
  std::vector<size_t> of;
};

Distinct WithoutRepetition(std::span<const std::string_view> keys) {
  Distinct distinct;
  std::map<std::string_view, size_t> seen;
  for (const std::string_view key : keys) {
    const auto [it, is_new] = seen.emplace(key, distinct.keys.size());
    if (is_new) distinct.keys.push_back(key);
    distinct.of.push_back(it->second);
  }
  return distinct;
}

// Leases that this call has. What is not used is given back, also when `compute` throws.
class HeldLeases {
 public:
  HeldLeases(Client& client, std::string_view name_space, const SetOptions& set)
      : client_(client), name_space_(name_space), set_(set) {}
  HeldLeases(const HeldLeases&) = delete;
  HeldLeases& operator=(const HeldLeases&) = delete;
  ~HeldLeases() {
    std::vector<SetItem> items;
    for (auto& [key, lease] : leases_) {
      SetItem item{.key = std::string(key), .lease = std::move(lease)};
      item.give_back = true;
      items.push_back(std::move(item));
    }
    if (!items.empty()) client_.BatchSet(name_space_, std::move(items), set_);
  }

  void Add(std::string_view key, std::string lease) { leases_[key] = std::move(lease); }

  // Stores the values of those keys that have a lease.
  void Fill(std::span<const std::string_view> keys, const Values& values) {
    std::vector<SetItem> items;
    std::vector<std::string_view> filled;
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto it = leases_.find(keys[i]);
      if (it == leases_.end()) continue;
      SetItem item{.key = std::string(keys[i]), .lease = it->second};
      item.tags = set_.tags;
      item.depends_on = set_.depends_on;
      item.absent = !values[i].has_value();
      if (values[i]) {
        item.value = *values[i];
        item.ttl = set_.ttl;
        item.state_hint = set_.state_hint;
      }
      items.push_back(std::move(item));
      filled.push_back(keys[i]);
    }
    if (items.empty()) return;
    const std::vector<WriteResult> results = client_.BatchSet(name_space_, std::move(items), set_);
    // One that failed is given back: it may not have reached the node.
    for (size_t i = 0; i < filled.size(); ++i) {
      if (results[i].status != ResultStatus::kError) leases_.erase(filled[i]);
    }
  }

 private:
  Client& client_;
  const std::string_view name_space_;
  const SetOptions& set_;
  std::map<std::string_view, std::string> leases_;
};

class Reading {
 public:
  Reading(Client& client, std::string_view name_space, std::vector<std::string_view> keys,
          const ComputeMissing& compute, const ReadThroughOptions& options)
      : client_(client),
        name_space_(name_space),
        keys_(std::move(keys)),
        compute_(compute),
        options_(options),
        values_(keys_.size()) {}

  Values Run() {
    const absl::Duration ends = clock_.Monotonic() + options_.patience;
    std::vector<size_t> open(keys_.size());
    for (size_t i = 0; i < open.size(); ++i) open[i] = i;
    absl::Duration pause = kFirstPause;
    while (true) {
      const absl::Duration began = clock_.Monotonic();
      const absl::Duration left = ends - began;
      const absl::Duration wait = std::clamp(left, absl::ZeroDuration(), kOneWait);
      open = Ask(open, wait, left);
      if (open.empty()) break;
      const absl::Duration now = clock_.Monotonic();
      if (now - began >= wait / 2) {
        pause = kFirstPause;
      } else {
        // The node did not wait, or there is too little left to wait for there.
        absl::SleepFor(std::min(pause, ends - now));
        pause = std::min(2 * pause, kOneWait);
      }
    }
    return std::move(values_);
  }

 private:
  // Asks for keys, and computes those that are ours to compute. Returns those that others compute.
  std::vector<size_t> Ask(const std::vector<size_t>& indexes, absl::Duration wait,
                          absl::Duration left) {
    GetOptions get = options_.get;
    get.want_lease = true;
    get.omit_value = false;
    get.lease_wait = wait;
    get.timeout = wait + options_.get.timeout.value_or(kReadTime);
    std::vector<GetResult> found = client_.BatchGet(name_space_, KeysOf(indexes), get);
    HeldLeases leases(client_, name_space_, options_.set);
    std::vector<size_t> ours;
    std::vector<size_t> others;
    for (size_t i = 0; i < found.size(); ++i) {
      GetResult& result = found[i];
      // An old value comes with a lease for the one who is to make a new one.
      if (!result.lease.empty()) {
        leases.Add(keys_[indexes[i]], std::move(result.lease));
        ours.push_back(indexes[i]);
      } else if (result.hit()) {
        values_[indexes[i]] = std::move(result.value);
      } else if (result.lease_taken && left > absl::ZeroDuration()) {
        others.push_back(indexes[i]);
      } else if (result.status != ResultStatus::kMiss || result.source == ResultSource::kNone) {
        ours.push_back(indexes[i]);  // Without a lease: the cache does not help.
      }
    }
    if (!ours.empty()) Compute(ours, &leases);
    return others;
  }

  void Compute(const std::vector<size_t>& indexes, HeldLeases* leases) {
    const std::vector<std::string_view> keys = KeysOf(indexes);
    Values computed = compute_(keys);
    if (computed.size() != keys.size()) return;
    leases->Fill(keys, computed);
    for (size_t i = 0; i < indexes.size(); ++i) values_[indexes[i]] = std::move(computed[i]);
  }

  std::vector<std::string_view> KeysOf(const std::vector<size_t>& indexes) const {
    std::vector<std::string_view> keys;
    keys.reserve(indexes.size());
    for (const size_t index : indexes) keys.push_back(keys_[index]);
    return keys;
  }

  Client& client_;
  const std::string_view name_space_;
  const std::vector<std::string_view> keys_;
  const ComputeMissing& compute_;
  const ReadThroughOptions& options_;
  const SystemClock clock_;
  Values values_;
};

// As the caller's keys, of those without repetition.
Values Repeated(const Values& values, const std::vector<size_t>& of) {
  Values results;
  results.reserve(of.size());
  for (const size_t i : of) results.push_back(values[i]);
  return results;
}

}  // namespace

Values ReadThrough(Client* client, std::string_view name_space,
                   std::span<const std::string_view> keys, const ComputeMissing& compute,
                   const ReadThroughOptions& options) {
  if (client != nullptr) return ReadThrough(*client, name_space, keys, compute, options);
  const Distinct distinct = WithoutRepetition(keys);
  if (distinct.keys.empty()) return {};
  Values computed = compute(distinct.keys);
  if (computed.size() != distinct.keys.size()) computed.assign(distinct.keys.size(), std::nullopt);
  return Repeated(computed, distinct.of);
}

Values ReadThrough(Client& client, std::string_view name_space,
                   std::span<const std::string_view> keys, const ComputeMissing& compute,
                   const ReadThroughOptions& options) {
  Distinct distinct = WithoutRepetition(keys);
  const Values values =
      Reading(client, name_space, std::move(distinct.keys), compute, options).Run();
  return Repeated(values, distinct.of);
}

}  // namespace meridian
