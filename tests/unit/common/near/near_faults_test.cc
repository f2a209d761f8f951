// Both ends of Watch with everything bad in between: messages are lost, doubled, reordered and
// late, streams break, rings are overrun, tails stall, nodes restart and slots move. Whatever
// happens, no read shows a value that was replaced longer ago than the stated bound, and slots that
// nothing happened to are served.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/near/near_cache.h"
#include "common/near/watch_follower.h"
#include "server/node/watch_hub.h"
#include "tests/support/fake_clock.h"

namespace meridian {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(20);
constexpr absl::Duration kSilence = absl::Seconds(3);
constexpr char kSpace[] = "task";

// An owner: one process after the other behind one address.
struct Owner {
  std::unique_ptr<WatchHub> hub;
  uint64_t incarnation = 0;
  bool stalled = false;                                  // Its tail hears nothing.
  std::vector<std::pair<std::string, uint64_t>> untold;  // What it would have heard.
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
      const std::string key = absl::StrCat("k", i);
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

  void SetTruth(const std::string& key) {
    truth_[key] = next_hlc_;
    history_[key].emplace(next_hlc_++, clock_.Monotonic());
  }

  void WriteSomething() {
    const std::string& key = keys_[static_cast<size_t>(Random(static_cast<int>(keys_.size())))];
    Owner& owner = owners_[OwnerOf(key)];
    SetTruth(key);
    if (!owner.stalled && Chance(0.5)) {  // Its own write; the changelog's echo comes, too.
      owner.hub->Changed(SlotOf(kSpace, key), kSpace, key, {truth_[key], 1});
    }
    owner.untold.emplace_back(key, truth_[key]);
  }

  // The tail's poll.
  void Poll(Owner& owner, double trouble) {
    if (owner.stalled) {
      if (!Chance(trouble > 0 ? 0.01 : 0.2)) return;
      owner.stalled = false;
      if (Chance(0.3)) {  // Its log was trimmed meanwhile.
        for (const auto& [key, hlc] : owner.untold) owner.hub->SlotGap(SlotOf(kSpace, key));
        owner.untold.clear();
      }
    }
    for (const auto& [key, hlc] : owner.untold) {
      owner.hub->Changed(SlotOf(kSpace, key), kSpace, key, {hlc, 1});
    }
    owner.untold.clear();
    owner.hub->CaughtUp(clock_.Monotonic());
  }

  void MoveSlot() {
    auto it = owner_of_.begin();
    std::advance(it, Random(static_cast<int>(owner_of_.size())));
    Owner& old = owners_[it->second];
    old.hub->SlotLost(it->first);
    std::erase_if(old.untold,
                  [&](const auto& told) { return SlotOf(kSpace, told.first) == it->first; });
    it->second = 1 - it->second;
    owners_[it->second].hub->SlotFollowed(it->first);
    if (Chance(0.7)) Route();  // Or the client hears of it later.
  }

  void Restart(int i) {
    Owner& owner = owners_[i];
    if (owner.hub != nullptr) dead_.push_back(std::move(owner.hub));
    owner.incarnation = ++last_incarnation_;
    owner.untold.clear();  // It begins where the log is now.
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
    ++reads_;
    Entry entry;
    if (cache_->Get(located, clock_.Monotonic(), &entry)) {
      ++hits_;
      // The value that was replaced: how long ago?
      const uint64_t truth = truth_[key];
      if (entry.version.hlc < truth) {
        ASSERT_LE(clock_.Monotonic() - FirstAfter(key, entry.version.hlc), kSilence + kStep)
            << key << " shows " << entry.version.hlc << " instead of " << truth;
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
        const Owner& owner = owners_[OwnerOf(fill.key)];
        // L1 of an owner whose tail stalls may be behind, as far as that.
        fill.hlc = truth_[fill.key];
        fill.incarnation = owner.hub->Follows(SlotOf(kSpace, fill.key)) ? owner.incarnation : 0;
      }
      if (fill.looked && fill.arrives <= clock_.Monotonic()) {
        Entry entry;
        entry.value = Buffer::CopyOf("v");
        entry.version = {fill.hlc, 1};
        entry.raw_size = 1;
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
  std::map<std::string, uint64_t> truth_;  // The newest version of each key.
  std::map<std::string, std::map<uint64_t, absl::Duration>> history_;  // When each was written.
  std::map<uint32_t, int> owner_of_;                                   // Slots of our keys alone.
  Owner owners_[2];
  Link links_[2];
  std::vector<std::unique_ptr<WatchHub>> dead_;  // Frozen, rather: streams may still refer to them.
  std::vector<Fill> fills_;
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
