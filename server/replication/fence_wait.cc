#include "server/replication/fence_wait.h"

#include <utility>

#include "common/base/version.h"

namespace meridian {
namespace {

// Of the changes after a cursor, so many are looked at for one of that region's own.
constexpr size_t kLookedAt = 1000;

using Positions = absl::StatusOr<std::vector<LogPosition>>;
using Slices = absl::StatusOr<std::vector<LogSlice>>;

}  // namespace

struct FenceWait::Round {
  std::string region;
  L2Store* store;
  std::vector<uint32_t> slots;
  std::vector<LogPosition> cursors;
  std::map<uint32_t, LogPosition> old;  // Cursors beyond the horizon that are behind.
};

FenceWait::FenceWait(FenceWaitOptions options, L2Store& own, std::map<std::string, L2Store*> others,
                     TaskGate gate, const Clock& clock)
    : options_(options),
      own_(own),
      others_(std::move(others)),
      gate_(std::move(gate)),
      clock_(clock) {}

void FenceWait::SetOwned(std::vector<uint32_t> slots) {
  slots_ = std::move(slots);
  if (looking_ || slots_.empty() || settled_.size() == others_.size()) return;
  looking_ = true;
  since_ = clock_.Monotonic();
  Look();
}

void FenceWait::Look() {
  if (slots_.empty()) {
    looking_ = false;
    absl::MutexLock lock(&mu_);
    waits_for_.clear();
    return;
  }
  for (const auto& [region, store] : others_) {
    if (settled_.count(region) == 0) ++open_;
  }
  for (const auto& [region, store] : others_) {
    if (settled_.count(region) == 0) Ask(region, *store);
  }
}

// The cursors first: one that moves meanwhile looks older than it is, never newer.
void FenceWait::Ask(const std::string& region, L2Store& store) {
  auto round = std::make_shared<Round>();
  round->region = region;
  round->store = &store;
  round->slots = slots_;
  own_.FetchCursors(region, slots_, clock_.Now() + options_.timeout,
                    gate_.Reply<Positions>([this, round](Positions cursors) {
                      if (!cursors.ok()) return Judge(*round, false);
                      round->cursors = *std::move(cursors);
                      AskEnds(round);
                    }));
}

void FenceWait::AskEnds(const std::shared_ptr<Round>& round) {
  round->store->LogEnds(round->slots, clock_.Now() + options_.timeout,
                        gate_.Reply<Positions>([this, round](const Positions& ends) {
                          if (!ends.ok()) return Judge(*round, false);
                          const absl::Time horizon = clock_.Now() - options_.tombstone_ttl;
                          for (size_t i = 0; i < round->slots.size(); ++i) {
                            const LogPosition cursor = round->cursors[i];
                            // Without a cursor nothing of that region was ever here that it may
                            // have deleted since.
                            if (cursor.ms == 0 || cursor >= (*ends)[i] ||
                                absl::FromUnixMillis(static_cast<int64_t>(cursor.ms)) >= horizon) {
                              continue;
                            }
                            round->old[round->slots[i]] = cursor;
                          }
                          if (round->old.empty()) return Judge(*round, false);
                          AskStarts(round);
                        }));
}

void FenceWait::AskStarts(const std::shared_ptr<Round>& round) {
  std::vector<LogRead> reads;
  for (const auto& [slot, cursor] : round->old) reads.push_back({slot, LogPosition{}});
  round->store->ReadLogs(std::move(reads), 1, clock_.Now() + options_.timeout,
                         gate_.Reply<Slices>([this, round](const Slices& firsts) {
                           if (!firsts.ok()) return Judge(*round, false);
                           for (const LogSlice& slice : *firsts) {
                             if (slice.entries.front().position > round->old[slice.slot]) {
                               return Judge(*round, true);  // A hole.
                             }
                           }
                           AskNext(round);
                         }));
}

void FenceWait::AskNext(const std::shared_ptr<Round>& round) {
  std::vector<LogRead> reads;
  for (const auto& [slot, cursor] : round->old) reads.push_back({slot, cursor});
  round->store->ReadLogs(std::move(reads), kLookedAt, clock_.Now() + options_.timeout,
                         gate_.Reply<Slices>([this, round](const Slices& slices) {
                           if (!slices.ok()) return Judge(*round, false);
                           const uint16_t id = RegionId(round->region);
                           for (const LogSlice& slice : *slices) {
                             for (const LogEntry& entry : slice.entries) {
                               if (entry.version.region == id) return Judge(*round, true);
                             }
                           }
                           Judge(*round, false);
                         }));
}

void FenceWait::Judge(const Round& round, bool behind) {
  if (clock_.Monotonic() - since_ > options_.give_up) behind = false;
  if (!behind) settled_.insert(round.region);
  {
    absl::MutexLock lock(&mu_);
    if (behind) {
      waits_for_.insert(round.region);
    } else {
      waits_for_.erase(round.region);
    }
  }
  if (--open_ > 0) return;
  if (settled_.size() == others_.size()) {
    looking_ = false;
  } else {
    gate_.PostAfter(options_.interval, [this] { Look(); });
  }
}

std::vector<std::string> FenceWait::WaitsFor() const {
  absl::MutexLock lock(&mu_);
  return {waits_for_.begin(), waits_for_.end()};
}

}  // namespace meridian
