#include "server/replication/region_diff.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "server/node/fence.h"
#include "server/node/record.h"
#include "server/replication/replicated_write.h"
#include "server/replication/write_refusal.h"

namespace meridian {
namespace {

bool IsLive(const L2Record& stored, absl::Time now) {
  const absl::StatusOr<Record> record = ParseRecord(stored.record.view());
  return record.ok() && record->kind == RecordKind::kValue && record->expires_at > now;
}

// Fences are never deleted.
bool MayBeDeleted(const L2Key& key, Version newest, absl::Time horizon) {
  return newest.time() < horizon && !IsFenceNamespace(key.name_space);
}

Version VersionOf(const L2Record& stored) {
  const absl::StatusOr<Record> record = ParseRecord(stored.record.view());
  return record.ok() ? record->version : Version();
}

}  // namespace

// Keys of the second walk, on their way.
struct RegionDiff::Page {
  std::string next;
  std::vector<L2Key> keys;
  std::vector<std::vector<Version>> versions;  // By store.
  std::vector<L2Key> unequal;                  // Still to be looked at.
  std::vector<L2Key> fetched;                  // Those that are looked at now.
  std::vector<std::vector<L2Record>> records;  // By store.
  // What becomes of a key of `fetched` that is mended.
  enum class Mending : uint8_t { kNothing, kApplied, kRefused };
  struct Write {
    size_t index;  // Of `fetched`.
    L2Write write;
  };
  std::vector<std::vector<Write>> writes;  // By store: not answered yet, or to be sent again.
  std::vector<Mending> mending;            // By fetched key.
  size_t open = 0;                         // Stores that have not answered yet.
  absl::Status failure;                    // Of one of them.
  size_t failed = 0;                       // Which.

  void Fail(size_t store, const absl::Status& status) {
    if (!failure.ok() || status.ok()) return;
    failure = status;
    failed = store;
  }
};

RegionDiff::RegionDiff(RegionDiffOptions options, Stores stores, TaskGate gate, const Clock& clock,
                       Wanted wanted, Done done)
    : options_(std::move(options)),
      stores_(std::move(stores)),
      gate_(std::move(gate)),
      clock_(clock),
      wanted_(std::move(wanted)),
      done_(std::move(done)),
      backoff_(options_.backoff),
      digests_(stores_.size(), std::vector<uint64_t>(kSlotCount)),
      suspect_(kSlotCount),
      fetch_paces_(stores_.size(),
                   FetchPace({.keys = options_.fetch_keys, .timeout = options_.timeout})) {}

// The gate was closed: what waited was dropped, and this with it.
RegionDiff::~RegionDiff() { Finish(absl::CancelledError("the node stops")); }

void RegionDiff::Run(RegionDiffOptions options, Stores stores, TaskGate gate, const Clock& clock,
                     Wanted wanted, Done done) {
  std::shared_ptr<RegionDiff>(new RegionDiff(std::move(options), std::move(stores), std::move(gate),
                                             clock, std::move(wanted), std::move(done)))
      ->ReadPage();
}

void RegionDiff::Finish(absl::Status status) {
  if (done_ == nullptr) return;
  result_.status = std::move(status);
  std::exchange(done_, nullptr)(std::move(result_));
}

void RegionDiff::Retry(size_t store, const absl::Status& status, Executor::Task again) {
  if (options_.cancelled != nullptr && options_.cancelled()) {
    return Finish(absl::CancelledError("the caller has gone"));
  }
  const absl::Duration now = clock_.Monotonic();
  if (!failing_since_) failing_since_ = now;
  if (now - *failing_since_ >= options_.patience) {
    return Finish(absl::Status(
        status.code(), absl::StrCat(status.message(), "; the Redis of ", stores_[store].first,
                                    " has failed for ", absl::FormatDuration(options_.patience))));
  }
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  gate_.PostAfter(backoff_.Next(random), std::move(again));
}

void RegionDiff::Succeeded() {
  failing_since_.reset();
  backoff_.Reset();
}

// Keys may have moved to where the walk has been.
void RegionDiff::BeginWalkAnew() {
  from_.clear();
  if (by_key_) return;
  result_.compared_keys -= std::exchange(walk_keys_, 0);
  std::fill(digests_[walked_].begin(), digests_[walked_].end(), 0);
}

void RegionDiff::ReadPage() {
  if (options_.cancelled != nullptr && options_.cancelled()) {
    return Finish(absl::CancelledError("the caller has gone"));
  }
  stores_[walked_].second->Scan(
      from_, options_.page_keys, Deadline(),
      gate_.Reply<absl::StatusOr<L2ScanPage>>(
          [self = shared_from_this()](absl::StatusOr<L2ScanPage> page) {
            if (!page.ok()) {
              if (absl::IsAborted(page.status())) self->BeginWalkAnew();
              return self->Retry(self->walked_, page.status(), [self] { self->ReadPage(); });
            }
            self->Succeeded();
            std::vector<L2Key> keys;
            for (L2Key& key : page->keys) {
              if (key.slot >= kSlotCount || !self->wanted_(key.name_space)) continue;
              if (self->by_key_ && !self->suspect_[key.slot]) continue;
              keys.push_back(std::move(key));
            }
            if (!self->by_key_) return self->Digest(std::move(keys), std::move(page->next));
            auto next = std::make_shared<Page>();
            next->next = std::move(page->next);
            next->keys = std::move(keys);
            self->Versions(next);
          }));
}

// A sum, because the stores' walks have different orders. A walk may bring a key twice: the slot is
// then suspected for nothing, which costs time alone.
void RegionDiff::Digest(std::vector<L2Key> keys, std::string next) {
  if (keys.empty()) return NextPage(std::move(next));
  L2Store& store = *stores_[walked_].second;
  store.FetchVersions(keys, Deadline(),
                      gate_.Reply<absl::StatusOr<std::vector<Version>>>(
                          [self = shared_from_this(), keys,
                           next](const absl::StatusOr<std::vector<Version>>& versions) mutable {
                            if (!versions.ok()) {
                              return self->Retry(self->walked_, versions.status(),
                                                 [self, keys, next] { self->Digest(keys, next); });
                            }
                            self->Succeeded();
                            self->result_.compared_keys += keys.size();
                            self->walk_keys_ += keys.size();
                            for (size_t i = 0; i < keys.size(); ++i) {
                              const uint64_t name = Hash64(keys[i].key, Hash64(keys[i].name_space));
                              self->digests_[self->walked_][keys[i].slot] +=
                                  Hash64((*versions)[i].ToText(), name);
                            }
                            self->NextPage(std::move(next));
                          }));
}

void RegionDiff::Versions(const std::shared_ptr<Page>& page) {
  if (page->keys.empty()) return NextPage(page->next);
  page->versions.assign(stores_.size(), {});
  page->open = stores_.size();
  page->failure = absl::OkStatus();
  using Answer = absl::StatusOr<std::vector<Version>>;
  for (size_t store = 0; store < stores_.size(); ++store) {
    stores_[store].second->FetchVersions(
        page->keys, Deadline(),
        gate_.Reply<Answer>([self = shared_from_this(), page, store](Answer versions) {
          page->Fail(store, versions.status());
          if (versions.ok()) page->versions[store] = *std::move(versions);
          if (--page->open > 0) return;
          if (!page->failure.ok()) {
            return self->Retry(page->failed, page->failure, [self, page] { self->Versions(page); });
          }
          self->Succeeded();
          self->Judge(page);
        }));
  }
}

void RegionDiff::Judge(const std::shared_ptr<Page>& page) {
  for (size_t i = 0; i < page->keys.size(); ++i) {
    bool equal = true;
    // The walk of an earlier store that has the key has come to it.
    bool judged = false;
    for (size_t store = 0; store < stores_.size(); ++store) {
      equal = equal && page->versions[store][i] == page->versions[0][i];
      judged = judged || (store < walked_ && page->versions[store][i].is_set());
    }
    if (!equal && !judged) page->unequal.push_back(std::move(page->keys[i]));
  }
  Records(page);
}

void RegionDiff::Records(const std::shared_ptr<Page>& page) {
  if (page->unequal.empty()) return NextPage(page->next);
  size_t count = page->unequal.size();
  for (const FetchPace& pace : fetch_paces_) count = std::min(count, pace.Room());
  page->fetched.assign(page->unequal.end() - static_cast<ptrdiff_t>(count), page->unequal.end());
  page->unequal.resize(page->unequal.size() - count);
  page->records.assign(stores_.size(), {});
  page->open = stores_.size();
  for (size_t store = 0; store < stores_.size(); ++store) {
    const uint64_t round = fetch_paces_[store].Sent(count);
    stores_[store].second->FetchFromPrimary(
        page->fetched, clock_.Now() + fetch_paces_[store].Timeout(count),
        gate_.Reply<std::vector<L2Record>>(
            [self = shared_from_this(), page, store, round](std::vector<L2Record> records) {
              self->fetch_paces_[store].Answered(round, records);
              page->records[store] = std::move(records);
              if (--page->open == 0) self->Fetched(page);
            }));
  }
}

// What is refused for its size together, or for a store's load, or is late, is asked for again in
// parts.
void RegionDiff::Fetched(const std::shared_ptr<Page>& page) {
  page->failure = absl::OkStatus();
  bool asks_for_less = false;
  for (size_t store = 0; store < stores_.size(); ++store) {
    bool refused = false;
    bool late = false;
    for (const L2Record& record : page->records[store]) {
      page->Fail(store, record.status);
      refused = refused || absl::IsResourceExhausted(record.status);
      late = late || absl::IsDeadlineExceeded(record.status);
    }
    if (refused) fetch_paces_[store].Refused(page->fetched.size());
    asks_for_less = asks_for_less || (refused && page->fetched.size() > 1) ||
                    (late && !fetch_paces_[store].is_exhausted());
  }
  if (page->failure.ok()) {
    Succeeded();
    return Settle(page);
  }
  // Fewer of them, or more time, is news; only who refuses one alone, or is late with it however
  // long it has, has failed.
  if (asks_for_less) Succeeded();
  for (L2Key& key : page->fetched) page->unequal.push_back(std::move(key));
  Retry(page->failed, page->failure, [self = shared_from_this(), page] { self->Records(page); });
}

bool RegionDiff::IsNews(const L2Key& key) {
  const uint64_t hash = Hash64(key.key, Hash64(key.name_space));
  if (counted_.size() >= kMaxCounted) return counted_.count(hash) == 0;
  return counted_.insert(hash).second;
}

// What differs among the fetched keys, and what mends it.
void RegionDiff::Settle(const std::shared_ptr<Page>& page) {
  const absl::Time now = clock_.Now();
  page->writes.assign(stores_.size(), {});
  page->mending.assign(page->fetched.size(), Page::Mending::kNothing);
  for (size_t i = 0; i < page->fetched.size(); ++i) {
    const L2Key& key = page->fetched[i];
    size_t newest = 0;
    bool any_live = false;
    bool equal = true;
    bool is_lacking = false;
    std::vector<std::string> versions;
    for (size_t s = 0; s < stores_.size(); ++s) {
      const Version version = VersionOf(page->records[s][i]);
      const bool live = IsLive(page->records[s][i], now);
      any_live = any_live || live;
      equal = equal && version == VersionOf(page->records[0][i]);
      is_lacking = is_lacking || !version.is_set();
      if (version > VersionOf(page->records[newest][i])) newest = s;
      versions.push_back(absl::StrCat(stores_[s].first, " ",
                                      version.is_set() ? version.ToText() : std::string("none"),
                                      version.is_set() && !live ? " (dead)" : ""));
    }
    if (equal || !any_live || !IsNews(key)) continue;
    ++result_.differing_keys;
    const L2Record& record = page->records[newest][i];
    const bool doubtful =
        is_lacking && IsLive(record, now) &&
        MayBeDeleted(key, VersionOf(record), TombstoneHorizon(now, options_.tombstone_ttl));
    if (doubtful) ++result_.doubtful_keys;
    if (result_.examples.size() < options_.max_examples) {
      std::string text = absl::StrCat(key.name_space, " ", absl::CHexEscape(ToAbsl(key.key)), ":");
      for (const std::string& version : versions) absl::StrAppend(&text, " ", version, ";");
      text.pop_back();
      if (doubtful) text.append(" (doubtful)");
      result_.examples.push_back(std::move(text));
    }
    if (!options_.repair || (doubtful && !options_.spread_doubtful)) continue;
    const absl::StatusOr<L2Write> write =
        ReplicatedWrite(key, record.record.view(), now, options_.tombstone_ttl);
    if (!write.ok()) continue;
    for (size_t s = 0; s < stores_.size(); ++s) {
      if (VersionOf(page->records[s][i]) < write->version) page->writes[s].push_back({i, *write});
    }
  }
  Write(page);
}

void RegionDiff::Write(const std::shared_ptr<Page>& page) {
  page->failure = absl::OkStatus();
  page->open =
      static_cast<size_t>(std::count_if(page->writes.begin(), page->writes.end(),
                                        [](const auto& writes) { return !writes.empty(); }));
  if (page->open == 0) return Written(page);
  for (size_t store = 0; store < stores_.size(); ++store) {
    if (page->writes[store].empty()) continue;
    std::vector<L2Write> writes;
    for (const Page::Write& write : page->writes[store]) writes.push_back(write.write);
    stores_[store].second->Apply(
        std::move(writes), Deadline(),
        gate_.Reply<std::vector<L2WriteResult>>([self = shared_from_this(), page,
                                                 store](const std::vector<L2WriteResult>& results) {
          std::vector<Page::Write> again;
          for (size_t i = 0; i < results.size(); ++i) {
            Page::Write& write = page->writes[store][i];
            Page::Mending& mending = page->mending[write.index];
            const absl::Status& status = results[i].status;
            if (!status.ok() && !IsAboutTheWrite(status)) {
              page->Fail(store, status);
              again.push_back(std::move(write));
            } else if (!status.ok()) {
              mending = Page::Mending::kRefused;
            } else if (mending == Page::Mending::kNothing &&
                       (results[i].outcome == L2WriteOutcome::kApplied ||
                        results[i].stored == write.write.version)) {
              // The same version is this write, of which an answer was lost.
              mending = Page::Mending::kApplied;
            }
          }
          page->writes[store] = std::move(again);
          if (--page->open > 0) return;
          if (!page->failure.ok()) {
            return self->Retry(page->failed, page->failure, [self, page] { self->Write(page); });
          }
          self->Succeeded();
          self->Written(page);
        }));
  }
}

void RegionDiff::Written(const std::shared_ptr<Page>& page) {
  result_.repaired_keys += static_cast<uint64_t>(
      std::count(page->mending.begin(), page->mending.end(), Page::Mending::kApplied));
  Records(page);
}

void RegionDiff::NextPage(std::string next) {
  from_ = std::move(next);
  if (!from_.empty()) return ReadPage();
  counted_.clear();
  walk_keys_ = 0;
  if (++walked_ < stores_.size()) return ReadPage();
  if (by_key_) return Finish(absl::OkStatus());
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    suspect_[slot] = std::any_of(digests_.begin(), digests_.end(), [&](const auto& digests) {
      return digests[slot] != digests_[0][slot];
    });
    if (suspect_[slot]) ++result_.differing_slots;
  }
  if (result_.differing_slots == 0) return Finish(absl::OkStatus());
  by_key_ = true;
  walked_ = 0;
  ReadPage();
}

}  // namespace meridian
