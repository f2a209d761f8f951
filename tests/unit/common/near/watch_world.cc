#include "tests/unit/common/near/watch_world.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/engine/tag_list.h"

namespace meridian {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(20);
constexpr absl::Duration kSilence = absl::Seconds(3);
// Without troubles, whoever follows has heard of a change after less than that.
constexpr absl::Duration kTold = absl::Milliseconds(300);
constexpr char kSpace[] = "task";

}  // namespace

uint32_t WatchWorld::SlotOfKey(const std::string& key) const { return SlotOf(kSpace, key); }

const std::string& WatchWorld::RandomKey() {
  return keys_[static_cast<size_t>(Random(static_cast<int>(keys_.size())))];
}

WatchWorld::WatchWorld(uint32_t seed) : random_(seed) {
  cache_ = *NearCache::Create(
      {.capacity_bytes = 4 << 20, .max_ttl = absl::Hours(1), .silence = kSilence});
  for (int i = 0; i < 40; ++i) {
    const std::string key = absl::StrCat("p", i % 5, ":k", i);
    tag_of_[key] = absl::StrCat("t", i % 7);
    SetTruth(key);
    keys_.push_back(key);
  }
  for (size_t i = 0; i < links_.size(); ++i) {
    Restart(i);
    links_[i].follower = std::make_unique<WatchFollower>(*cache_, cache_->NewSource());
  }
  for (const std::string& key : keys_) owner_of_[SlotOfKey(key)] = RandomOwner();
  for (const auto& [slot, owner] : owner_of_) owners_[owner].hub->SlotFollowed(slot);
  Route();
}

void WatchWorld::Step(const Troubles& troubles) {
  troubles_ = troubles;
  clock_.Advance(kStep);
  if (Chance(0.3)) WriteSomething();
  CarryOutLate();
  if (Chance(0.006)) FenceSomething();
  if (Chance(troubles.servers * 0.01)) LoseServer(owners_[RandomOwner()]);
  if (Chance(troubles.moves * 0.02)) MoveSlot();
  for (size_t i = 0; i < owners_.size(); ++i) {
    const double trouble = troubles.owners[i];
    if (Chance(trouble * 0.005)) Restart(i);
    if (Chance(trouble * 0.015)) owners_[i].stalled = true;
    if (Chance(trouble * 0.01)) BreakStream(i);
    Poll(owners_[i], trouble);
    Deliver(i, trouble);
  }
  Answer();
  if (Chance(0.8)) ReadSomething();
}

absl::Duration WatchWorld::Late(double trouble) {
  return Chance(trouble * 0.1) ? absl::Milliseconds(Random(6000)) : absl::Milliseconds(Random(30));
}

void WatchWorld::SetTruth(const std::string& key, uint64_t hlc) {
  truth_[key] = hlc;
  history_[key].emplace(hlc, clock_.Monotonic());
  Disturb(key);
}

void WatchWorld::Disturb(const std::string& key) {
  disturbed_[key] = clock_.Monotonic();
  owed_.erase(key);
}

void WatchWorld::WriteSomething() {
  const std::string& key = RandomKey();
  Owner& owner = owners_[OwnerOf(key)];
  if (!owner.stalled && Chance(0.05)) return TimeOut(owner, key);
  SetTruth(key);
  if (!owner.stalled && Chance(0.5)) {  // Its own write; the changelog's echo comes, too.
    owner.l1[key] = truth_[key];
    owner.hub->Changed(SlotOfKey(key), kSpace, key, {truth_[key], 1});
  }
  owner.untold.push_back({.key = key, .name = {}, .hlc = truth_[key]});
}

void WatchWorld::TimeOut(Owner& owner, const std::string& key) {
  const uint64_t hlc = next_hlc_++;
  Disturb(key);
  owner.l1.erase(key);
  owner.hub->MayChange(SlotOfKey(key), kSpace, key, {hlc, 1});
  if (Chance(0.2)) return;
  in_doubt_.push_back({clock_.Monotonic() + absl::Milliseconds(Random(1500)),
                       {.key = key, .name = {}, .hlc = hlc}});
}

void WatchWorld::CarryOutLate() {
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

void WatchWorld::FenceSomething() {
  Change fence;
  fence.hlc = next_hlc_++;
  // Of the whole namespace in bad times alone: in good ones most reads are to hit.
  const bool all_bad = troubles_.owners[0] > 0 && troubles_.owners[1] > 0;
  const int kind = all_bad ? Random(10) : 1 + Random(9);
  if (kind > 0) {
    fence.scope = kind < 6 ? FenceScope::kTag : FenceScope::kPrefix;
    fence.name = kind < 6 ? absl::StrCat("t", Random(7)) : absl::StrCat("p", Random(5), ":");
  }
  fenced_.emplace_back(fence, clock_.Monotonic());
  for (const std::string& key : keys_) {
    if (Covers(fence, key, truth_[key])) Disturb(key);
  }
  for (Owner& owner : owners_) {
    if (owner.stalled || Chance(0.3)) {
      owner.untold.push_back(fence);
    } else {
      Tell(owner, fence);
    }
  }
}

bool WatchWorld::Covers(const Change& fence, const std::string& key, uint64_t hlc) const {
  return hlc <= fence.hlc &&
         (fence.scope == FenceScope::kNamespace ||
          (fence.scope == FenceScope::kTag ? tag_of_.at(key) == fence.name
                                           : key.compare(0, fence.name.size(), fence.name) == 0));
}

void WatchWorld::Tell(Owner& owner, Change change) {
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
  owner.hub->Changed(SlotOfKey(change.key), kSpace, change.key, {change.hlc, 1});
}

void WatchWorld::Gap(Owner& owner, uint32_t slot) {
  std::erase_if(owner.l1, [&](const auto& kept) { return SlotOfKey(kept.first) == slot; });
  owner.hub->SlotGap(slot);
}

void WatchWorld::Poll(Owner& owner, double trouble) {
  if (owner.stalled) {
    if (!Chance(trouble > 0 ? 0.01 : 0.2)) return;
    owner.stalled = false;
    if (Chance(0.3)) {  // Its log was trimmed meanwhile. Fences are read from their list.
      for (const Change& change : owner.untold) {
        if (!change.key.empty()) Gap(owner, SlotOfKey(change.key));
      }
      std::erase_if(owner.untold, [](const Change& change) { return !change.key.empty(); });
    }
  }
  if (!owner.away.empty() && Chance(troubles_.servers > 0 ? 0.01 : 0.2)) ServerIsBack(owner);
  std::vector<Change> changes;
  std::erase_if(owner.untold, [&](const Change& change) {
    if (!change.key.empty() && owner.away.count(SlotOfKey(change.key)) > 0) return false;
    changes.push_back(change);
    return true;
  });
  if (Chance(trouble * 0.1)) std::shuffle(changes.begin(), changes.end(), random_);
  for (const Change& change : changes) {
    if (!change.key.empty() && Chance(trouble * 0.02)) {
      Gap(owner, SlotOfKey(change.key));  // All that it says of it.
    } else {
      Tell(owner, change);
    }
  }
  if (Chance(trouble * 0.1) && !owner.told.empty()) {  // Late echoes.
    Tell(owner, owner.told[static_cast<size_t>(Random(static_cast<int>(owner.told.size())))]);
  }
  owner.hub->CaughtUp(clock_.Monotonic());
}

void WatchWorld::LoseServer(Owner& owner) {
  if (owner.stalled || !owner.away.empty()) return;
  for (const auto& [slot, of] : owner_of_) {
    if (&owners_[of] == &owner && slot % 2 == 0) owner.away.insert(slot);
  }
  touched_.insert(owner.away.begin(), owner.away.end());
  for (const uint32_t slot : owner.away) owner.hub->SlotLost(slot);
}

void WatchWorld::ServerIsBack(Owner& owner) {
  for (const uint32_t slot : owner.away) {
    const bool trimmed = Chance(troubles_.servers * 0.3);
    if (trimmed) Gap(owner, slot);
    std::erase_if(owner.untold, [&](const Change& change) {
      if (change.key.empty() || SlotOfKey(change.key) != slot) return false;
      if (!trimmed) Tell(owner, change);
      return true;
    });
    owner.hub->SlotFollowed(slot);
  }
  owner.away.clear();
}

void WatchWorld::MoveSlot() {
  auto it = owner_of_.begin();
  std::advance(it, Random(static_cast<int>(owner_of_.size())));
  touched_.insert(it->first);
  Owner& old = owners_[it->second];
  old.hub->SlotLost(it->first);
  old.away.erase(it->first);
  const auto moved = [&](const std::string& key) {
    return !key.empty() && SlotOfKey(key) == it->first;
  };
  std::erase_if(old.untold, [&](const Change& change) { return moved(change.key); });
  it->second = 1 - it->second;
  for (Owner& owner : owners_) {
    std::erase_if(owner.l1, [&](const auto& kept) { return moved(kept.first); });
  }
  owners_[it->second].hub->SlotFollowed(it->first);
  if (Chance(0.7)) Route();  // Or the client hears of it later.
}

void WatchWorld::Restart(size_t i) {
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

void WatchWorld::Route() {
  std::array<WatchFollower::Slots, 2> slots;
  for (const auto& [slot, owner] : owner_of_) slots[owner].set(slot);
  for (size_t i = 0; i < links_.size(); ++i) {
    links_[i].follower->SetSlots(links_[i].follower->slots() & slots[i]);
  }
  for (size_t i = 0; i < links_.size(); ++i) {
    links_[i].follower->SetSlots(slots[i]);
    BreakStream(i);
  }
}

void WatchWorld::BreakStream(size_t i) {
  Link& link = links_[i];
  if (link.reader) link.hub->Close(*link.reader);
  link.reader.reset();
  link.on_the_way.clear();
}

void WatchWorld::Deliver(size_t i, double trouble) {
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

void WatchWorld::ReadSomething() {
  const std::string& key = RandomKey();
  EntryKey located;
  ASSERT_TRUE(cache_->Locate(kSpace, key, &located));
  const bool dead = std::any_of(fenced_.begin(), fenced_.end(), [&](const auto& fenced) {
    return Covers(fenced.first, key, truth_[key]);
  });
  Entry entry;
  const bool hit = cache_->Get(located, clock_.Monotonic(), &entry);
  if (!dead) ++reads_;  // Else there is nothing to hit.
  if (IsCalm(key)) CountCalm(key, dead, hit);
  if (hit) {
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
  fill.located = located;  // Its key refers to one of keys_.
  fill.token = cache_->BeginFill(located);
  fill.begun = clock_.Monotonic();
  fill.answered = clock_.Monotonic() + absl::Milliseconds(Random(40));
  fill.arrives = fill.answered + absl::Milliseconds(Chance(0.1) ? Random(3000) : Random(40));
  fills_.push_back(fill);
}

bool WatchWorld::IsCalm(const std::string& key) const {
  return troubles_.owners[OwnerOf(key)] == 0 && touched_.count(SlotOfKey(key)) == 0;
}

void WatchWorld::CountCalm(const std::string& key, bool dead, bool hit) {
  if (!dead) {
    ++calm_.reads;
    calm_.hits += hit ? 1 : 0;
  }
  if (owed_.count(key) == 0) return;
  ++calm_.owed;
  calm_.missed += hit ? 0 : 1;
}

absl::Duration WatchWorld::FirstAfter(const std::string& key, uint64_t hlc) {
  return history_[key].upper_bound(hlc)->second;
}

void WatchWorld::Answer() {
  for (Fill& fill : fills_) {
    if (!fill.looked && fill.answered <= clock_.Monotonic()) {
      fill.looked = true;
      Owner& owner = owners_[OwnerOf(fill.key)];
      // The node looks whether it follows before it looks for the value. L1 of one whose tail
      // stalls may be behind, as far as that.
      fill.incarnation = owner.hub->Follows(SlotOfKey(fill.key)) ? owner.incarnation : 0;
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
      const bool kept = cache_->Fill(fill.located, std::move(entry), absl::Hours(1),
                                     fill.incarnation, clock_.Monotonic(), fill.token);
      if (kept && fill.begun - disturbed_[fill.key] > kTold) owed_.insert(fill.key);
      fill.key.clear();
    }
  }
  std::erase_if(fills_, [](const Fill& fill) { return fill.key.empty(); });
}

}  // namespace meridian
