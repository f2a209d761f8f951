#include "server/replication/own_drops.h"

#include <algorithm>
#include <utility>

#include "server/replication/replicated_write.h"
#include "server/replication/store_probe.h"
#include "server/replication/write_refusal.h"

namespace meridian {
namespace {

constexpr BackoffOptions kTryAgain{.initial = absl::Milliseconds(100), .max = absl::Seconds(5)};

}  // namespace

OwnDrops::OwnDrops(std::string own_region, L2Store& own, TaskGate gate, const Clock& clock,
                   absl::Duration timeout, size_t most, uint64_t seed, IsHere is_here, Paid paid,
                   GivenUp given_up)
    : own_region_(std::move(own_region)),
      own_(own),
      gate_(std::move(gate)),
      clock_(clock),
      timeout_(timeout),
      most_(most),
      is_here_(std::move(is_here)),
      paid_(std::move(paid)),
      given_up_(std::move(given_up)),
      backoff_(kTryAgain),
      random_(static_cast<std::minstd_rand::result_type>(seed)) {}

void OwnDrops::Write(std::vector<OwnDrop> drops, Done done) {
  auto all = std::make_shared<std::vector<OwnDrop>>(std::move(drops));
  Apply(all, /*as_changes=*/false,
        [this, all, done = std::move(done)](const std::vector<absl::Status>& ended) {
          Outcome outcome;
          std::set<uint32_t> slots;
          for (const OwnDrop& drop : *all) slots.insert(drop.key.slot);
          for (size_t i = 0; i < ended.size(); ++i) {
            if (ended[i].ok()) continue;
            const uint32_t slot = (*all)[i].key.slot;
            if (IsAboutTheWrite(ended[i])) {
              outcome.given_up[slot].push_back(ended[i]);
              continue;
            }
            if (!is_here_(slot)) continue;
            refusal_ = ended[i];
            if (!Owe(std::move((*all)[i]))) outcome.no_room.insert(slot);
          }
          for (const uint32_t slot : slots) {
            if (Owes(slot)) outcome.owing.insert(slot);
          }
          TryLater();
          done(outcome);
        });
}

void OwnDrops::Apply(std::shared_ptr<std::vector<OwnDrop>> drops, bool as_changes,
                     std::function<void(const std::vector<absl::Status>&)> done) {
  std::vector<L2Write> writes;
  const absl::Time now = clock_.Now();
  for (const OwnDrop& drop : *drops) {
    writes.push_back(DropUpTo(drop.key, drop.up_to, now, drop.keep));
    if (as_changes) continue;
    // Where nothing is alive there is nobody who would have to be told of it.
    writes.back().condition = L2Condition::kIfAbsent;
    writes.back().logged = false;
  }
  own_.Apply(std::move(writes), now + timeout_,
             gate_.Reply<Results>(
                 [this, drops, as_changes, done = std::move(done)](const Results& results) {
                   std::vector<absl::Status> ended;
                   std::vector<size_t> again;
                   auto found = std::make_shared<std::vector<OwnDrop>>();
                   for (size_t i = 0; i < results.size(); ++i) {
                     ended.push_back(results[i].status);
                     if (as_changes || !results[i].status.ok()) continue;
                     if (results[i].outcome != L2WriteOutcome::kConflict) continue;
                     if (results[i].stored > (*drops)[i].up_to) continue;
                     // Something older came in after all: it goes, and whoever has read it is told.
                     again.push_back(i);
                     found->push_back((*drops)[i]);
                   }
                   if (again.empty()) return done(ended);
                   Apply(found, /*as_changes=*/true,
                         [ended, again, done](const std::vector<absl::Status>& repeated) {
                           std::vector<absl::Status> all = ended;
                           for (size_t i = 0; i < again.size(); ++i) all[again[i]] = repeated[i];
                           done(all);
                         });
                 }));
}

// The newest of a key says it all.
bool OwnDrops::Owe(OwnDrop drop) {
  const Name name{drop.key.slot, drop.key.name_space, drop.key.key};
  const auto found = owed_.find(name);
  if (found == owed_.end()) {
    if (owed_.size() >= most_) return false;
    owed_.emplace(name, Owed{std::move(drop)});
    return true;
  }
  OwnDrop& owed = found->second.drop;
  owed.keep = std::max(owed.keep, drop.keep);
  owed.up_to = std::max(owed.up_to, drop.up_to);
  return true;
}

bool OwnDrops::Owes(uint32_t slot) const {
  const auto first = owed_.lower_bound(Name{slot, "", ""});
  return first != owed_.end() && std::get<0>(first->first) == slot;
}

void OwnDrops::Pay(const Name& name) {
  const uint32_t slot = std::get<0>(name);
  owed_.erase(name);
  if (!Owes(slot)) paid_(slot);
}

void OwnDrops::Forget(uint32_t slot) {
  owed_.erase(owed_.lower_bound(Name{slot, "", ""}), owed_.lower_bound(Name{slot + 1, "", ""}));
}

void OwnDrops::TryLater() {
  if (owed_.empty() || std::exchange(trying_, true)) return;
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  gate_.PostAfter(backoff_.Next(random), [this] { Try(); });
}

// One by one: a script that fails for one of them must not fail the others.
void OwnDrops::Try() {
  auto round = std::make_shared<Round>();
  std::vector<Name> names;
  auto it = owed_.lower_bound(next_);
  for (size_t i = 0; i < std::min(kTogether, owed_.size()); ++i, ++it) {
    if (it == owed_.end()) it = owed_.begin();
    names.push_back(it->first);
  }
  if (names.empty()) {
    trying_ = false;
    return;
  }
  next_ = it == owed_.end() ? Name() : it->first;
  round->open = names.size();
  for (const Name& name : names) {
    auto one = std::make_shared<std::vector<OwnDrop>>(1, owed_.at(name).drop);
    Apply(one, /*as_changes=*/false,
          [this, round, name, tried = one->front().up_to](const std::vector<absl::Status>& ended) {
            const auto found = owed_.find(name);
            // Lost meanwhile, or a newer one is owed.
            if (found == owed_.end() || found->second.drop.up_to != tried) return Ended(round);
            Tried(round, name, ended.front());
          });
  }
}

void OwnDrops::Tried(const std::shared_ptr<Round>& round, const Name& name,
                     const absl::Status& status) {
  if (status.ok() || IsAboutTheWrite(status)) {
    round->any_paid = true;
    if (!status.ok()) given_up_(status);
    Pay(name);
    return Ended(round);
  }
  refusal_ = status;
  if (MayBeAboutAKey(status) && !absl::IsResourceExhausted(status)) {
    return Probe(round, name, status);
  }
  owed_.at(name).refusals = 0;
  Ended(round);
}

void OwnDrops::Probe(const std::shared_ptr<Round>& round, const Name& name,
                     const absl::Status& refusal) {
  std::vector<L2Write> writes;
  writes.push_back(ProbeWrite(std::get<0>(name), own_region_, clock_.Now()));
  own_.Apply(std::move(writes), clock_.Now() + timeout_,
             gate_.Reply<Results>([this, round, name, refusal](const Results& results) {
               const auto found = owed_.find(name);
               if (found == owed_.end()) return Ended(round);
               int& refusals = found->second.refusals;
               refusals = TookProbe(results) ? refusals + 1 : 0;
               if (refusals >= kMaxRefusals) {
                 given_up_(refusal);
                 round->any_paid = true;
                 Pay(name);
               }
               Ended(round);
             }));
}

void OwnDrops::Ended(const std::shared_ptr<Round>& round) {
  if (--round->open > 0) return;
  trying_ = false;
  if (round->any_paid) backoff_.Reset();
  TryLater();
}

}  // namespace meridian
