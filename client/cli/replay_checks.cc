#include "client/cli/replay_checks.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/cli/replay_random.h"
#include "client/cli/replay_value.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

constexpr char kPropagationNamespace[] = "propagation";
constexpr absl::Duration kGiveUp = absl::Seconds(10);
constexpr absl::Duration kPollPause = absl::Milliseconds(1);
constexpr int kPropagationThreads = 4;
constexpr size_t kLargestSample = 20'000;
constexpr size_t kDiffBatch = 100;
constexpr absl::Duration kSettleWithin = absl::Seconds(60);
constexpr absl::Duration kSettlePause = absl::Milliseconds(50);
constexpr absl::Duration kExpiryMargin = absl::Seconds(2);

// One key through all regions: set in one, seen in the others, invalidated in the next, gone.
class PropagationProbe {
 public:
  PropagationProbe(const std::vector<ReplayRegion>& regions, absl::Duration timeout,
                   PropagationStats* stats)
      : regions_(regions), stats_(*stats) {
    get_.timeout = timeout;
    set_.timeout = timeout;
    set_.ttl = absl::Minutes(5);
    call_.timeout = timeout;
  }

  void Run(const std::string& key, size_t writer, const std::string& value) {
    key_ = key;
    const WriteResult set = regions_[writer].client->Set(kPropagationNamespace, key, value, set_);
    if (!set.ok()) return Fail("Set failed", key, writer, set.error.get());
    const bool seen = AwaitElsewhere(writer, &stats_.set_visible, [&](const GetResult& result) {
      return result.hit() && result.version >= set.version && result.value == value;
    });
    if (!seen) return Fail("not readable in another region within 10 s", key, writer, nullptr);
    const size_t eraser = (writer + 1) % regions_.size();
    const WriteResult gone = regions_[eraser].client->Invalidate(kPropagationNamespace, key, call_);
    if (!gone.ok()) return Fail("Invalidate failed", key, eraser, gone.error.get());
    const bool lost = AwaitElsewhere(
        eraser, &stats_.invalidate_visible,
        [](const GetResult& result) { return result.status == ResultStatus::kMiss; });
    if (!lost) return Fail("still readable in another region after 10 s", key, eraser, nullptr);
  }

 private:
  // Polls every region but `writer` until `done`; the time of each counts.
  template <typename Done>
  bool AwaitElsewhere(size_t writer, LatencySamples* samples, Done done) {
    const absl::Time start = absl::Now();
    std::vector<size_t> waiting;
    for (size_t i = 0; i < regions_.size(); ++i) {
      if (i != writer) waiting.push_back(i);
    }
    while (!waiting.empty()) {
      std::erase_if(waiting, [&](size_t region) {
        if (!done(regions_[region].client->Get(kPropagationNamespace, key_, get_))) return false;
        samples->Add(absl::Now() - start);
        return true;
      });
      if (waiting.empty()) break;
      if (absl::Now() - start > kGiveUp) return false;
      absl::SleepFor(kPollPause);
    }
    return true;
  }

  void Fail(const std::string& reason, const std::string& key, size_t region,
            const ResultError* error) {
    stats_.failures.Add(
        reason, absl::StrCat(key, ", written in ", regions_[region].name,
                             error == nullptr ? "" : ": ", error == nullptr ? "" : error->message));
  }

  const std::vector<ReplayRegion>& regions_;
  PropagationStats& stats_;
  std::string key_;
  GetOptions get_;
  SetOptions set_;
  CallOptions call_;
};

std::string DescribeDifference(const std::vector<ReplayRegion>& regions,
                               const std::vector<const GetResult*>& by_region) {
  std::string text;
  for (size_t i = 0; i < regions.size(); ++i) {
    const GetResult& result = *by_region[i];
    absl::StrAppend(&text, i == 0 ? "" : ", ", regions[i].name, " ",
                    result.hit()              ? result.version.ToText()
                    : result.error != nullptr ? result.error->reason
                                              : "nothing");
  }
  return text;
}

// The keys to compare, by namespace.
std::vector<std::vector<std::string>> SampleKeys(const RequestSource& source,
                                                 std::vector<ReplayRequest> keys, uint64_t seed) {
  if (keys.size() > kLargestSample) {
    ReplayRandom random(seed ^ 0xD1FF);
    for (size_t i = 0; i < kLargestSample; ++i) {
      std::swap(keys[i], keys[i + random.Below(keys.size() - i)]);
    }
    keys.resize(kLargestSample);
  }
  std::vector<std::vector<std::string>> by_namespace(source.namespaces().size());
  for (const ReplayRequest& key : keys) {
    by_namespace[key.name_space].push_back(source.KeyText(key.key));
  }
  return by_namespace;
}

// Reads `keys` in all regions; returns those that differ, and adds to `stats`, when it is given,
// the reasons of these.
std::vector<std::string> Differing(const std::vector<ReplayRegion>& regions,
                                   const std::string& name_space,
                                   const std::vector<std::string>& keys, absl::Duration timeout,
                                   uint64_t* expiring, ProblemList* reasons) {
  GetOptions options;
  options.timeout = timeout;
  std::vector<std::string> differing;
  for (size_t first = 0; first < keys.size(); first += kDiffBatch) {
    const size_t count = std::min(kDiffBatch, keys.size() - first);
    const std::vector<std::string_view> views(
        keys.begin() + static_cast<std::ptrdiff_t>(first),
        keys.begin() + static_cast<std::ptrdiff_t>(first + count));
    std::vector<std::vector<GetResult>> answers;
    for (const ReplayRegion& region : regions) {
      answers.push_back(region.client->BatchGet(name_space, views, options));
    }
    for (size_t i = 0; i < count; ++i) {
      std::vector<const GetResult*> by_region;
      for (const std::vector<GetResult>& answer : answers) by_region.push_back(&answer[i]);
      const RegionsAgree agree = CompareKey(by_region);
      if (agree == RegionsAgree::kExpiring) ++*expiring;
      if (agree != RegionsAgree::kNo) continue;
      differing.push_back(keys[first + i]);
      if (reasons != nullptr) {
        reasons->Add("differs", absl::StrCat(name_space, " ", QuoteKey(keys[first + i]), ": ",
                                             DescribeDifference(regions, by_region)));
      }
    }
  }
  return differing;
}

}  // namespace

PropagationStats VerifyPropagation(const std::vector<ReplayRegion>& regions, int times,
                                   uint32_t run, absl::Duration timeout) {
  std::vector<PropagationStats> stats(kPropagationThreads);
  std::vector<std::thread> threads;
  std::atomic<int> next{0};
  for (PropagationStats& mine : stats) {
    threads.emplace_back([&] {
      PropagationProbe probe(regions, timeout, &mine);
      for (int i = next++; i < times; i = next++) {
        const std::string key = absl::StrCat("propagation:", absl::Hex(run), ":", i);
        probe.Run(key, static_cast<size_t>(i) % regions.size(),
                  MakeReplayValue(ReplayKeyHash(key), {run, 1}, 100));
      }
    });
  }
  PropagationStats all;
  all.ran = true;
  for (size_t i = 0; i < threads.size(); ++i) {
    threads[i].join();
    all.set_visible.Merge(stats[i].set_visible);
    all.invalidate_visible.Merge(stats[i].invalidate_visible);
    all.failures.Merge(stats[i].failures);
  }
  return all;
}

RegionsAgree CompareKey(const std::vector<const GetResult*>& by_region) {
  const GetResult* first_hit = nullptr;
  bool any_miss = false;
  bool all_expire = true;
  for (const GetResult* result : by_region) {
    if (result->status == ResultStatus::kError) return RegionsAgree::kNo;
    if (!result->hit()) {
      any_miss = true;
      continue;
    }
    all_expire = all_expire && result->ttl <= kExpiryMargin;
    if (first_hit == nullptr) first_hit = result;
    if (result->version != first_hit->version || result->value != first_hit->value) {
      return RegionsAgree::kNo;
    }
  }
  if (first_hit == nullptr || !any_miss) return RegionsAgree::kYes;
  return all_expire ? RegionsAgree::kExpiring : RegionsAgree::kNo;
}

DiffStats CompareRegions(const std::vector<ReplayRegion>& regions, const RequestSource& source,
                         const ReplayLedger& ledger, uint64_t seed, absl::Duration timeout) {
  DiffStats stats;
  stats.ran = true;
  std::vector<ReplayRequest> keys = ledger.Keys();
  stats.keys = keys.size();
  std::vector<std::vector<std::string>> left = SampleKeys(source, std::move(keys), seed);
  for (const std::vector<std::string>& some : left) stats.compared += some.size();
  const absl::Time start = absl::Now();
  while (true) {
    const bool last = absl::Now() - start > kSettleWithin;
    size_t count = 0;
    for (size_t i = 0; i < left.size(); ++i) {
      left[i] = Differing(regions, source.namespaces()[i], left[i], timeout, &stats.expiring,
                          last ? &stats.differing : nullptr);
      count += left[i].size();
    }
    if (count == 0 || last) break;
    absl::SleepFor(kSettlePause);
  }
  stats.settled_after = absl::Now() - start;
  return stats;
}

}  // namespace meridian::cli
