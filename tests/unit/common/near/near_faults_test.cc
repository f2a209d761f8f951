// Both ends of Watch with everything bad in between: messages are lost, doubled, reordered and
// late, streams break, rings are overrun, tails stall, nodes restart and slots move, or are away
// with the server that keeps them. The owners are no better: they answer what their L1 has, which
// may be old, and tell changes and fences late, twice, in any order, or only that some are missing.
// Some of their writes time out, are told as doubtful, and are carried out later or never.
// Whatever happens, no read shows a value that was replaced or fenced longer ago than the stated
// bound, and slots that nothing happened to are served.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/engine/tag_list.h"
#include "common/near/near_cache.h"
#include "common/near/watch_follower.h"
#include "server/node/watch_hub.h"
#include "tests/support/fake_clock.h"

namespace meridian {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(20);
constexpr absl::Duration kSilence = absl::Seconds(3);
constexpr char kSpace[] = "task";

// A change of a key, or a fence.
struct Change {
  std::string key;  // Empty: a fence.
  FenceScope scope = FenceScope::kNamespace;
  std::string name;
  uint64_t hlc = 0;
};

// An owner: one process after the other behind one address.
struct Owner {
  std::unique_ptr<WatchHub> hub;
  uint64_t incarnation = 0;
  bool stalled = false;                // Its tail hears nothing.
  std::vector<Change> untold;          // What it would have heard.
  std::deque<Change> told;             // The last of what it has told.
  std::vector<Change> fences;          // That it knows.
  std::map<std::string, uint64_t> l1;  // What it answers; else it asks the store.
  std::set<uint32_t> away;             // Slots of a server that it does not reach.
};

// A write that nobody knows of yet.
struct Doubt {
  absl::Duration at;
  Change change;
};

// A message on its way.
struct Sent {
  absl::Duration arrives;
  cache::v1::WatchResponse message;
};

// The client's side of one address.
struct Link {
  std::unique_ptr<WatchFollower> follower;
  std::optional<WatchHub::Reader> reader;
  WatchHub* hub = nullptr;  // Of `reader`: it may be dead.
  std::vector<Sent> on_the_way;
};

// A value that was asked for.
struct Fill {
  std::string key;
  EntryKey located;
  NearCache::Token token;
  absl::Duration answered;  // When the owner looks.
  absl::Duration arrives;
  bool looked = false;
  uint64_t hlc = 0;
  uint64_t incarnation = 0;
};

class World {
 public:
  explicit World(uint32_t seed) : random_(seed) {
    cache_ = *NearCache::Create({.capacity_bytes = 4 << 20, .silence = kSilence});
    for (int i = 0; i < 40; ++i) {
      const std::string key = absl::StrCat("p", i % 5, ":k", i);
      tag_of_[key] = absl::StrCat("t", i % 7);
      SetTruth(key);
      keys_.push_back(key);
    }
    for (int i = 0; i < 2; ++i) {
      Restart(i);
      links_[i].follower = std::make_unique<WatchFollower>(*cache_, cache_->NewSource());
    }
    for (const std::string& key : keys_) owner_of_[SlotOf(kSpace, key)] = Random(2);
    for (const auto& [slot, owner] : owner_of_) owners_[owner].hub->SlotFollowed(slot);
    Route();
  }

  // One step of time. `trouble`: how likely bad things are, 0 to 1.
  void Step(double trouble) {
    clock_.Advance(kStep);
    if (Chance(0.3)) WriteSomething();
    CarryOutLate();
    if (Chance(0.006)) FenceSomething(trouble);
    if (Chance(trouble * 0.01)) LoseServer(Random(2));
    if (Chance(trouble * 0.02)) MoveSlot();
    if (Chance(trouble * 0.01)) Restart(Random(2));
    if (Chance(trouble * 0.03)) owners_[Random(2)].stalled = true;
    if (Chance(trouble * 0.02)) BreakStream(Random(2));
    for (Owner& owner : owners_) Poll(owner, trouble);
    for (int i = 0; i < 2; ++i) Deliver(i, trouble);
    Answer();
    if (Chance(0.8)) ReadSomething();
  }

  int hits() const { return hits_; }
  int reads() const { return reads_; }
  void ResetCounts() { hits_ = reads_ = 0; }

 private:
  int Random(int below) { return static_cast<int>(random_() % static_cast<uint32_t>(below)); }
  bool Chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }
  absl::Duration Late(double trouble) {
    return Chance(trouble * 0.1) ? absl::Milliseconds(Random(6000))
                                 : absl::Milliseconds(Random(30));
  }
  int OwnerOf(const std::string& key) { return owner_of_.at(SlotOf(kSpace, key)); }

  void SetTruth(const std::string& key) { SetTruth(key, next_hlc_++); }
  void SetTruth(const std::string& key, uint64_t hlc) {
    truth_[key] = hlc;
    history_[key].emplace(hlc, clock_.Monotonic());
  }

  void WriteSomething() {
    const std::string& key = keys_[static_cast<size_t>(Random(static_cast<int>(keys_.size())))];
    Owner& owner = owners_[OwnerOf(key)];
    if (!owner.stalled && Chance(0.05)) return TimeOut(owner, key);
    SetTruth(key);
    if (!owner.stalled && Chance(0.5)) {  // Its own write; the changelog's echo comes, too.
      owner.l1[key] = truth_[key];
      owner.hub->Changed(SlotOf(kSpace, key), kSpace, key, {truth_[key], 1});
    }
    owner.untold.push_back({.key = key, .name = {}, .hlc = truth_[key]});
  }

  // The store did not answer; what it does with the write it does later.
  void TimeOut(Owner& owner, const std::string& key) {
    const uint64_t hlc = next_hlc_++;
    owner.l1.erase(key);
    owner.hub->MayChange(SlotOf(kSpace, key), kSpace, key, {hlc, 1});
    if (Chance(0.2)) return;
    in_doubt_.push_back({clock_.Monotonic() + absl::Milliseconds(Random(1500)),
                         {.key = key, .name = {}, .hlc = hlc}});
  }
  void CarryOutLate() {
    std::erase_if(in_doubt_, [&](const Doubt& doubt) {
      if (doubt.at > clock_.Monotonic()) return false;
      const Change& change = doubt.change;
      if (truth_[change.key] < change.hlc) {
        SetTruth(change.key, change.hlc);
        owners_[OwnerOf(change.key)].untold.push_back(change);
      }
      return true;
    });
  }

  // A node that stands still hears of a fence when it goes on; the caller was told so.
  void FenceSomething(double trouble) {
    Change fence;
    fence.hlc = next_hlc_++;
    // Of the whole namespace in bad times alone: in good ones most reads are to hit.
    const int kind = trouble > 0 ? Random(10) : 1 + Random(9);
    if (kind > 0) {
      fence.scope = kind < 6 ? FenceScope::kTag : FenceScope::kPrefix;
      fence.name = kind < 6 ? absl::StrCat("t", Random(7)) : absl::StrCat("p", Random(5), ":");
    }
    fenced_.emplace_back(fence, clock_.Monotonic());
    for (Owner& owner : owners_) {
      if (owner.stalled || Chance(0.3)) {
        owner.untold.push_back(fence);
      } else {
        Tell(owner, fence);
      }
    }
  }
  bool Covers(const Change& fence, const std::string& key, uint64_t hlc) {
    return hlc <= fence.hlc &&
           (fence.scope == FenceScope::kNamespace ||
            (fence.scope == FenceScope::kTag ? tag_of_[key] == fence.name
                                             : key.compare(0, fence.name.size(), fence.name) == 0));
  }

  // As the node does it: L1 first, then those who follow.
  void Tell(Owner& owner, Change change) {  // A copy: it may be one of `told`, which forgets.
    owner.told.push_back(change);
    if (owner.told.size() > 8) owner.told.pop_front();
    if (change.key.empty()) {
      owner.fences.push_back(change);
      owner.hub->Fenced(kSpace,
                        change.scope == FenceScope::kTag      ? WatchHub::FenceKind::kTag
                        : change.scope == FenceScope::kPrefix ? WatchHub::FenceKind::kPrefix
                                                              : WatchHub::FenceKind::kNamespace,
                        change.name, {change.hlc, 1});
      return;
    }
    const auto kept = owner.l1.find(change.key);
    if (kept != owner.l1.end() && kept->second < change.hlc) owner.l1.erase(kept);
    owner.hub->Changed(SlotOf(kSpace, change.key), kSpace, change.key, {change.hlc, 1});
  }
  // Changes of the slot may be missing.
  void Gap(Owner& owner, uint32_t slot) {
    std::erase_if(owner.l1, [&](const auto& kept) { return SlotOf(kSpace, kept.first) == slot; });
    owner.hub->SlotGap(slot);
  }

  // The tail's poll.
  void Poll(Owner& owner, double trouble) {
    if (owner.stalled) {
      if (!Chance(trouble > 0 ? 0.01 : 0.2)) return;
      owner.stalled = false;
      if (Chance(0.3)) {  // Its log was trimmed meanwhile. Fences are read from their list.
        for (const Change& change : owner.untold) {
          if (!change.key.empty()) Gap(owner, SlotOf(kSpace, change.key));
        }
        std::erase_if(owner.untold, [](const Change& change) { return !change.key.empty(); });
      }
    }
    if (!owner.away.empty() && Chance(trouble > 0 ? 0.01 : 0.2)) ServerIsBack(owner, trouble);
    std::vector<Change> changes;
    std::erase_if(owner.untold, [&](const Change& change) {
      if (!change.key.empty() && owner.away.count(SlotOf(kSpace, change.key)) > 0) return false;
      changes.push_back(change);
      return true;
    });
    if (Chance(trouble * 0.1)) std::shuffle(changes.begin(), changes.end(), random_);
    for (const Change& change : changes) {
      if (!change.key.empty() && Chance(trouble * 0.02)) {
        Gap(owner, SlotOf(kSpace, change.key));  // All that it says of it.
      } else {
        Tell(owner, change);
      }
    }
    if (Chance(trouble * 0.1) && !owner.told.empty()) {  // Late echoes.
      Tell(owner, owner.told[static_cast<size_t>(Random(static_cast<int>(owner.told.size())))]);
    }
    owner.hub->CaughtUp(clock_.Monotonic());
  }

  // Nobody here hears what others do to half of its slots; it tells so, and of the rest all is
  // known.
  void LoseServer(int i) {
    Owner& owner = owners_[i];
    if (owner.stalled || !owner.away.empty()) return;
    for (const auto& [slot, of] : owner_of_) {
      if (of == i && slot % 2 == 0) owner.away.insert(slot);
    }
    for (const uint32_t slot : owner.away) owner.hub->SlotLost(slot);
  }
  // What the logs have is told before the slots are followed again.
  void ServerIsBack(Owner& owner, double trouble) {
    for (const uint32_t slot : owner.away) {
      const bool trimmed = Chance(trouble * 0.3);
      if (trimmed) Gap(owner, slot);
      std::erase_if(owner.untold, [&](const Change& change) {
        if (change.key.empty() || SlotOf(kSpace, change.key) != slot) return false;
        if (!trimmed) Tell(owner, change);
        return true;
      });
      owner.hub->SlotFollowed(slot);
    }
    owner.away.clear();
  }

  void MoveSlot() {
    auto it = owner_of_.begin();
    std::advance(it, Random(static_cast<int>(owner_of_.size())));
    Owner& old = owners_[it->second];
    old.hub->SlotLost(it->first);
    old.away.erase(it->first);
    const auto moved = [&](const std::string& key) {
      return !key.empty() && SlotOf(kSpace, key) == it->first;
    };
    std::erase_if(old.untold, [&](const Change& change) { return moved(change.key); });
    it->second = 1 - it->second;
    for (Owner& owner : owners_) {
      std::erase_if(owner.l1, [&](const auto& kept) { return moved(kept.first); });
    }
    owners_[it->second].hub->SlotFollowed(it->first);
    if (Chance(0.7)) Route();  // Or the client hears of it later.
  }

  void Restart(int i) {
    Owner& owner = owners_[i];
    if (owner.hub != nullptr) dead_.push_back(std::move(owner.hub));
    owner.incarnation = ++last_incarnation_;
    owner.untold.clear();  // It begins where the log is now, and knows all fences before it serves.
    owner.told.clear();
    owner.fences.clear();
    for (const auto& [fence, at] : fenced_) owner.fences.push_back(fence);
    owner.l1.clear();
    owner.away.clear();
    owner.stalled = false;
    owner.hub = std::make_unique<WatchHub>(
        WatchHubOptions{.incarnation = owner.incarnation, .max_events = 60, .message_bytes = 200},
        clock_);
    for (const auto& [slot, of] : owner_of_) {
      if (of == i) owner.hub->SlotFollowed(slot);
    }
  }

  // The client hears who owns what.
  void Route() {
    WatchFollower::Slots slots[2];
    for (const auto& [slot, owner] : owner_of_) slots[owner].set(slot);
    for (int i = 0; i < 2; ++i) {
      links_[i].follower->SetSlots(links_[i].follower->slots() & slots[i]);
    }
    for (int i = 0; i < 2; ++i) {
      links_[i].follower->SetSlots(slots[i]);
      BreakStream(i);
    }
  }

  void BreakStream(int i) {
    Link& link = links_[i];
    if (link.reader) link.hub->Close(*link.reader);
    link.reader.reset();
    link.on_the_way.clear();
  }

  void Deliver(int i, double trouble) {
    Link& link = links_[i];
    if (!link.reader) {
      if (Chance(trouble * 0.9)) return;  // It cannot connect yet.
      const cache::v1::WatchRequest request = link.follower->Begin(clock_.Monotonic());
      SlotSet slots;
      for (const uint32_t slot : request.slots()) slots.set(slot);
      link.hub = owners_[i].hub.get();
      link.reader = link.hub->Open(slots, request.resume_after(), request.incarnation());
    }
    std::string bytes;
    // A slow reader leaves events in the ring.
    if (!Chance(trouble * 0.5) && link.hub->Read(&*link.reader, Chance(0.1), &bytes)) {
      Sent sent{clock_.Monotonic() + Late(trouble), {}};
      ASSERT_TRUE(sent.message.ParseFromString(bytes));
      if (!Chance(trouble * 0.02)) link.on_the_way.push_back(sent);  // Or it is lost.
      if (Chance(trouble * 0.1)) {                                   // Or comes twice.
        sent.arrives += absl::Milliseconds(Random(500));
        link.on_the_way.push_back(sent);
      }
      if (Chance(trouble * 0.05))
        std::shuffle(link.on_the_way.begin(), link.on_the_way.end(), random_);
    }
    // Those behind a late one wait for it, as on a connection, unless they were shuffled.
    while (!link.on_the_way.empty() && link.on_the_way.front().arrives <= clock_.Monotonic()) {
      const cache::v1::WatchResponse message = link.on_the_way.front().message;
      link.on_the_way.erase(link.on_the_way.begin());
      if (!link.follower->Take(message)) return BreakStream(i);
    }
    // The process behind the stream is gone; sooner or later the connection tells.
    if (link.hub != owners_[i].hub.get() && Chance(0.05)) BreakStream(i);
  }

  void ReadSomething() {
    const std::string& key = keys_[static_cast<size_t>(Random(static_cast<int>(keys_.size())))];
    EntryKey located;
    ASSERT_TRUE(cache_->Locate(kSpace, key, &located));
    const bool dead = std::any_of(fenced_.begin(), fenced_.end(), [&](const auto& fenced) {
      return Covers(fenced.first, key, truth_[key]);
    });
    if (!dead) ++reads_;  // Else there is nothing to hit.
    Entry entry;
    if (cache_->Get(located, clock_.Monotonic(), &entry)) {
      ++hits_;
      // The value that was replaced: how long ago?
      const uint64_t truth = truth_[key];
      if (entry.version.hlc < truth) {
        ASSERT_LE(clock_.Monotonic() - FirstAfter(key, entry.version.hlc), kSilence + kStep)
            << key << " shows " << entry.version.hlc << " instead of " << truth;
      }
      for (const auto& [fence, at] : fenced_) {
        if (!Covers(fence, key, entry.version.hlc)) continue;
        ASSERT_LE(clock_.Monotonic() - at, kSilence + kStep)
            << key << " shows " << entry.version.hlc << ", dead by '" << fence.name << "' at "
            << fence.hlc;
      }
      return;
    }
    Fill fill;
    fill.key = key;
    fill.located = located;
    fill.located.key =
        keys_[static_cast<size_t>(std::find(keys_.begin(), keys_.end(), key) - keys_.begin())];
    fill.token = cache_->BeginFill(located);
    fill.answered = clock_.Monotonic() + absl::Milliseconds(Random(40));
    fill.arrives = fill.answered + absl::Milliseconds(Chance(0.1) ? Random(3000) : Random(40));
    fills_.push_back(fill);
  }

  // When the version that came after `hlc` was written.
  absl::Duration FirstAfter(const std::string& key, uint64_t hlc) {
    return history_[key].upper_bound(hlc)->second;
  }

  void Answer() {
    for (Fill& fill : fills_) {
      if (!fill.looked && fill.answered <= clock_.Monotonic()) {
        fill.looked = true;
        Owner& owner = owners_[OwnerOf(fill.key)];
        // The node looks whether it follows before it looks for the value. L1 of one whose tail
        // stalls may be behind, as far as that.
        fill.incarnation = owner.hub->Follows(SlotOf(kSpace, fill.key)) ? owner.incarnation : 0;
        const auto kept = owner.l1.find(fill.key);
        fill.hlc = kept != owner.l1.end() ? kept->second : truth_[fill.key];
        owner.l1[fill.key] = fill.hlc;
        if (std::any_of(owner.fences.begin(), owner.fences.end(),
                        [&](const Change& fence) { return Covers(fence, fill.key, fill.hlc); })) {
          fill.incarnation = 0;  // It is dead: the answer is a miss.
        }
      }
      if (fill.looked && fill.arrives <= clock_.Monotonic()) {
        Entry entry;
        entry.value = Buffer::CopyOf("v");
        entry.version = {fill.hlc, 1};
        entry.raw_size = 1;
        entry.tags = Buffer::CopyOf(EncodeTags({tag_of_[fill.key]}));
        cache_->Fill(fill.located, std::move(entry), absl::Hours(1), fill.incarnation,
                     clock_.Monotonic(), fill.token);
        fill.key.clear();
      }
    }
    std::erase_if(fills_, [](const Fill& fill) { return fill.key.empty(); });
  }

  FakeClock clock_;
  std::mt19937 random_;
  std::unique_ptr<NearCache> cache_;
  std::vector<std::string> keys_;
  std::map<std::string, std::string> tag_of_;
  std::map<std::string, uint64_t> truth_;                  // The newest version of each key.
  std::vector<std::pair<Change, absl::Duration>> fenced_;  // And when.
  std::map<std::string, std::map<uint64_t, absl::Duration>> history_;  // When each was written.
  std::map<uint32_t, int> owner_of_;                                   // Slots of our keys alone.
  Owner owners_[2];
  Link links_[2];
  std::vector<std::unique_ptr<WatchHub>> dead_;  // Frozen, rather: streams may still refer to them.
  std::vector<Fill> fills_;
  std::vector<Doubt> in_doubt_;
  uint64_t next_hlc_ = 1000;
  uint64_t last_incarnation_ = 0;
  int hits_ = 0;
  int reads_ = 0;
};

TEST(NearFaultsTest, NoReadIsStalerThanTheBoundWhateverHappensToTheStreams) {
  const uint32_t first = std::random_device()();
  for (uint32_t round = 0; round < 60; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", first + round));
    World world(first + round);
    for (int phase = 0; phase < 4; ++phase) {
      const double trouble = phase % 2 == 0 ? 1.0 : 0.0;
      for (int step = 0; step < 1000; ++step) {
        world.Step(trouble);
        if (testing::Test::HasFatalFailure()) return;
      }
      // In quiet times it comes back by itself.
      if (trouble == 0.0) {
        world.ResetCounts();
        for (int step = 0; step < 500; ++step) {
          world.Step(0);
        }
        EXPECT_GT(world.hits(), world.reads() / 4);
      }
    }
  }
}

TEST(NearFaultsTest, InQuietTimesAChangeIsSeenAtOnceAndMostReadsHit) {
  World world(7);
  for (int step = 0; step < 5000; ++step) {
    world.Step(0);
    if (step == 1000) world.ResetCounts();
  }
  EXPECT_GT(world.hits(), world.reads() / 2);
}

}  // namespace
}  // namespace meridian
