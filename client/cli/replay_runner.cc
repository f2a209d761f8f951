#include "client/cli/replay_runner.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/hash.h"
#include "common/base/strings.h"

namespace meridian::cli {
struct ReplayRunner::Work {
  const ReplayBatch& batch;
  const std::string& name_space;
  Client& client;
  ReplayStats& stats;
  RegionStats& region;
  std::vector<std::string> keys = {};
  std::vector<ReplayLedger::Expectation> expectations = {};
  std::vector<size_t> reads = {};   // Indices of the batch.
  std::vector<size_t> writes = {};  // Missed, or to be set.
  std::vector<size_t> invalidations = {};
  bool failed = false;
};

size_t ReplayTierOf(const GetResult& result) {
  if (!result.hit()) return 3;
  switch (result.source) {
    case ResultSource::kL2:
      return 1;
    case ResultSource::kOrigin:
      return 2;
    default:
      return 0;
  }
}

uint64_t ReplayKeyHash(std::string_view key_text) { return Hash64(key_text); }

ReplayRunner::ReplayRunner(const std::vector<ReplayRegion>& regions, const RequestSource& source,
                           ReplayBatches& batches, ReplayLedger& ledger, absl::Duration timeout)
    : regions_(regions), source_(source), batches_(batches), ledger_(ledger), timeout_(timeout) {}

ReplayStats ReplayRunner::Run(int concurrency, const std::atomic<int>& stop) {
  std::vector<ReplayStats> stats(concurrency);
  std::vector<std::thread> threads;
  for (ReplayStats& mine : stats) {
    mine.regions.resize(regions_.size());
    threads.emplace_back([this, &mine, &stop] {
      ReplayBatch batch;
      while (!gave_up() && stop == 0 && batches_.Take(&batch)) RunBatch(batch, &mine);
    });
  }
  ReplayStats all;
  all.regions.resize(regions_.size());
  for (size_t i = 0; i < threads.size(); ++i) {
    threads[i].join();
    all.Merge(stats[i]);
  }
  return all;
}

void ReplayRunner::RunBatch(const ReplayBatch& batch, ReplayStats* stats) {
  Work work{batch, source_.namespaces()[batch.name_space], *regions_[batch.region].client, *stats,
            stats->regions[batch.region]};
  work.expectations = ledger_.Begin(batch.region, batch.requests);
  for (size_t i = 0; i < batch.requests.size(); ++i) {
    const ReplayRequest& request = batch.requests[i];
    work.keys.push_back(source_.KeyText(request.key));
    (request.op == ReplayOp::kGet   ? work.reads
     : request.op == ReplayOp::kSet ? work.writes
                                    : work.invalidations)
        .push_back(i);
  }
  if (!work.reads.empty()) {
    ReadOne(work, work.reads[0]);
    if (work.reads.size() > 1) ReadRest(work, 1);
  }
  if (!work.writes.empty()) Write(work);
  if (!work.invalidations.empty()) InvalidateKeys(work);
  work.region.requests += batch.requests.size();
  progress_.requests += batch.requests.size();
  failed_in_a_row_ = work.failed ? failed_in_a_row_ + 1 : 0;
}

void ReplayRunner::ReadOne(Work& work, size_t i) {
  GetOptions options;
  options.timeout = timeout_;
  const absl::Time start = absl::Now();
  const GetResult result = work.client.Get(work.name_space, work.keys[i], options);
  if (result.error == nullptr)
    work.stats.get_latency[ReplayTierOf(result)].Add(absl::Now() - start);
  Take(work, i, result);
}

void ReplayRunner::ReadRest(Work& work, size_t first) {
  GetOptions options;
  options.timeout = timeout_;
  std::vector<std::string_view> views;
  for (size_t k = first; k < work.reads.size(); ++k) views.push_back(work.keys[work.reads[k]]);
  const absl::Time start = absl::Now();
  const std::vector<GetResult> results = work.client.BatchGet(work.name_space, views, options);
  work.stats.batch_get_latency.Add(absl::Now() - start);
  for (size_t k = first; k < work.reads.size(); ++k) {
    Take(work, work.reads[k], results[k - first]);
  }
}

// One answer: counted, judged, and on a miss put down for writing.
void ReplayRunner::Take(Work& work, size_t i, const GetResult& result) {
  ++work.region.gets;
  ++progress_.gets;
  if (result.status == ResultStatus::kError) {
    NoteError(work, work.keys[i], result.error.get());
    return;
  }
  ++work.region.by_tier[ReplayTierOf(result)];
  if (!result.hit()) {
    work.writes.push_back(i);
    return;
  }
  ++progress_.hits;
  const auto wrong = ledger_.Judge(work.expectations[i], ReplayKeyHash(work.keys[i]), result);
  if (!wrong) return;
  ++progress_.mismatches;
  work.stats.mismatches.Add(wrong->reason,
                            absl::StrCat(work.name_space, " ", QuoteKey(work.keys[i]), " in ",
                                         regions_[work.batch.region].name, ": ", wrong->detail));
}

void ReplayRunner::Write(Work& work) {
  // A key that is there twice is written once: which of the two would win is not said.
  absl::flat_hash_set<uint32_t> seen;
  std::vector<size_t> unique;
  for (const size_t i : work.writes) {
    if (seen.insert(work.expectations[i].index).second) unique.push_back(i);
  }
  std::vector<SetItem> items;
  std::vector<uint32_t> generations;
  for (const size_t i : unique) {
    const ReplayRequest& request = work.batch.requests[i];
    const ReplayStamp stamp = ledger_.Issue(work.expectations[i].index);
    generations.push_back(stamp.generation);
    items.push_back(
        SetItem{.key = work.keys[i],
                .value = MakeReplayValue(ReplayKeyHash(work.keys[i]), stamp, request.value_size),
                .ttl = absl::Seconds(request.ttl_s)});
  }
  CallOptions options;
  options.timeout = timeout_;
  const absl::Time start = absl::Now();
  const std::vector<WriteResult> results =
      work.client.BatchSet(work.name_space, std::move(items), options);
  work.stats.batch_set_latency.Add(absl::Now() - start);
  for (size_t k = 0; k < results.size(); ++k) {
    const WriteResult& result = results[k];
    if (!result.ok()) {
      NoteError(work, work.keys[unique[k]], result.error.get());
      continue;
    }
    ++work.region.sets;
    work.region.degraded += result.degraded ? 1 : 0;
    ledger_.Acknowledge(work.batch.region, work.expectations[unique[k]].index, result.version,
                        generations[k]);
  }
}

void ReplayRunner::InvalidateKeys(Work& work) {
  std::vector<std::string_view> views;
  for (const size_t i : work.invalidations) views.push_back(work.keys[i]);
  CallOptions options;
  options.timeout = timeout_;
  const std::vector<WriteResult> results =
      work.client.BatchInvalidate(work.name_space, views, options);
  for (size_t k = 0; k < results.size(); ++k) {
    const size_t i = work.invalidations[k];
    if (!results[k].ok()) {
      NoteError(work, work.keys[i], results[k].error.get());
      continue;
    }
    ++work.region.invalidations;
    work.region.degraded += results[k].degraded ? 1 : 0;
    ledger_.Acknowledge(work.batch.region, work.expectations[i].index, results[k].version, 0);
  }
}

void ReplayRunner::NoteError(Work& work, const std::string& key, const ResultError* error) {
  work.failed = true;
  ++progress_.errors;
  work.stats.errors.Add(
      error == nullptr ? "UNEXPECTED_STATUS" : error->reason,
      absl::StrCat(work.name_space, " ", QuoteKey(key), " in ", regions_[work.batch.region].name,
                   ": ", error == nullptr ? "neither done nor an error" : error->message));
}

}  // namespace meridian::cli
