// How a LinkRepair writes, and what it does about keys that a store does not take.

#include <map>
#include <memory>
#include <utility>

#include "server/replication/link_repair.h"
#include "server/replication/replicated_write.h"
#include "server/replication/store_probe.h"
#include "server/replication/write_refusal.h"

namespace meridian {

// One call a slot; the cursor stays where it is.
void LinkRepair::Apply(const std::shared_ptr<Page>& page, std::vector<L2Write> writes, bool drops) {
  std::map<uint32_t, std::vector<L2Write>> by_slot;
  size_t bytes = 0;
  for (L2Write& write : writes) {
    bytes += write.record.size();
    by_slot[write.key.slot].push_back(std::move(write));
  }
  if (by_slot.empty()) return SendNext(page);
  page->open = by_slot.size();
  page->moved = writes.size();
  pace_.Sent(page->moved);
  const absl::Time deadline = clock_.Now() + pace_.Timeout(bytes);
  for (auto& [slot, group] : by_slot) {
    std::vector<Forgotten> written;
    for (const L2Write& write : group) written.push_back({write.key, write.version});
    target_.ApplyReplicated(
        own_region_, slot, LogPosition{}, std::move(group), deadline,
        gate_.Reply<std::vector<L2WriteResult>>([this, page, written = std::move(written),
                                                 drops](const std::vector<L2WriteResult>& results) {
          AppliedTo(page, written, drops, results);
        }));
  }
}

void LinkRepair::AppliedTo(const std::shared_ptr<Page>& page, const std::vector<Forgotten>& written,
                           bool drops, const std::vector<L2WriteResult>& results) {
  uint64_t dropped = 0;
  const uint64_t refused_before = refused_total_;
  const absl::Status again = Count(results, drops ? &dropped : TotalOf(written.front().key.slot));
  if (drops) refused_total_ = refused_before;  // They were counted.
  if (!again.ok() && (page->failure.ok() || MayBeAboutAKey(page->failure))) page->failure = again;
  for (size_t i = 0; i < results.size() && !drops; ++i) {
    if (IsAboutTheWrite(results[i].status)) refused_.push_back(written[i]);
  }
  if (--page->open > 0) return;
  const absl::Status failure = std::exchange(page->failure, absl::OkStatus());
  if (absl::IsDeadlineExceeded(failure) || IsOverload(failure)) pace_.OnLate();
  pace_.Done(page->moved);
  if (failure.ok()) pace_.OnAnswered(page->moved);
  const auto next = [this, page, drops, count = page->moved] {
    if (drops) refused_.resize(refused_.size() - count);
    SendNext(page);
  };
  // Nothing is smaller than a drop: then the key stays as it is.
  const auto given_up = [this, page, drops, last = written.back()] {
    if (drops) {
      refused_.pop_back();
    } else {
      ++refused_total_;
      refused_.push_back(last);
    }
    SendNext(page);
  };
  Applied(/*own=*/false, written.back().key, failure, next, given_up);
}

void LinkRepair::DropRefused(const std::shared_ptr<Page>& page) {
  const absl::Time now = clock_.Now();
  std::vector<L2Write> writes;
  const size_t count = IsAlone() ? size_t{1} : refused_.size();
  for (size_t i = refused_.size() - count; i < refused_.size(); ++i) {
    writes.push_back(
        DropOlderThan(refused_[i].key, refused_[i].up_to, now, options_.tombstone_ttl));
  }
  Apply(page, std::move(writes), /*drops=*/true);
}

absl::Status LinkRepair::Count(const std::vector<L2WriteResult>& results, uint64_t* applied) {
  absl::Status again;
  for (const L2WriteResult& result : results) {
    if (result.status.ok()) {
      *applied += result.outcome == L2WriteOutcome::kApplied ? 1 : 0;
    } else if (IsAboutTheWrite(result.status)) {
      ++refused_total_;
    } else if (again.ok() || MayBeAboutAKey(again)) {
      again = result.status;  // What is about the store counts more.
    }
  }
  return again;
}

uint64_t* LinkRepair::TotalOf(uint32_t slot) {
  const auto it = slots_.find(slot);
  return it != slots_.end() && it->second.fills ? &filled_total_ : &sent_total_;
}

bool LinkRepair::IsAlone() const { return page_refusals_ >= kMaxRefusals; }

void LinkRepair::Applied(bool own, const L2Key& key, const absl::Status& status,
                         Executor::Task next, Executor::Task given_up) {
  if (status.ok()) {
    alone_refusals_.erase({key.name_space, key.key});
    return next();
  }
  const auto failed = [this, own, status] { own ? SourceFailed(status) : TargetFailed(status); };
  if (!MayBeAboutAKey(status)) return failed();
  if (!IsAlone()) {
    ++page_refusals_;
    return failed();
  }
  const int enough = RefusalsThatProve(status);
  Probe(own, key.slot, [this, key, enough, failed, given_up = std::move(given_up)](bool takes) {
    const std::pair name(key.name_space, key.key);
    if (!takes) alone_refusals_.erase(name);
    if (!takes || ++alone_refusals_[name] < enough) return failed();
    alone_refusals_.erase(name);
    backoff_.Reset();
    left_out_.emplace(key.name_space, key.key);
    given_up();
  });
}

void LinkRepair::Probe(bool own, uint32_t slot, std::function<void(bool)> done) {
  std::vector<L2Write> writes;
  writes.push_back(ProbeWrite(slot, own_region_, clock_.Now()));
  auto judge = gate_.Reply<std::vector<L2WriteResult>>(
      [done = std::move(done)](const std::vector<L2WriteResult>& results) {
        done(TookProbe(results));
      });
  if (own) return source_.Apply(std::move(writes), Deadline(), std::move(judge));
  target_.ApplyReplicated(own_region_, slot, LogPosition{}, std::move(writes), Deadline(),
                          std::move(judge));
}

}  // namespace meridian
