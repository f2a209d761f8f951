// A whole node while the way between it and its regional Redis breaks in every manner, its slots
// come and go, and its changelog is trimmed: what it serves, from L1, to a near cache that follows
// it, and to those who wait for a lease. In every other run what it hears of the changelog comes
// out of order as well, and more than once. Others write all the time, holders of leases fill
// through it or around it, are late, or die.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/near/near_cache.h"
#include "common/near/watch_follower.h"
#include "server/node/lease_token.h"
#include "server/node/namespaces.h"
#include "server/node/read_path.h"
#include "server/node/write_path.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "task";
constexpr int kKeys = 12;
constexpr absl::Duration kMaxDelay = absl::Milliseconds(30);  // Of a call on its way.
// As in changelog_faults_test: of what the node serves itself.
constexpr absl::Duration kBound = absl::Milliseconds(3700);
// What is not known to be complete is not served; and the test reads the stream every 20 ms.
constexpr absl::Duration kSilence = absl::Seconds(3);
constexpr absl::Duration kNearBound = absl::Milliseconds(3100);
// A look beside the lease, which may have to be taken again, after the change was heard of.
constexpr absl::Duration kLeaseBound = absl::Milliseconds(5200);
constexpr absl::Duration kPatience = absl::Seconds(12);  // Of who waits.

class MissFaults {
 public:
  explicit MissFaults(uint64_t seed) : random_(seed) {
    node_.watch = std::make_unique<WatchHub>(WatchHubOptions{}, world_.clock);
    PolicyTable policies;
    EXPECT_TRUE(policies.ReadText("p", "task: {ttl_jitter: 0, lease_ttl: 1m}").ok());
    namespaces_ = std::make_unique<Namespaces>(*node_.engine, std::move(policies));
    context_ = std::unique_ptr<NodeContext>(
        new NodeContext{node_.id, false, absl::Hours(24), node_.clock, *node_.hybrid_clock,
                        *node_.engine, *namespaces_, wire_, no_peers_, node_.topology, timers_});
    context_->fences = node_.fences.get();
    context_->watch = node_.watch.get();
    context_->followed = &followed_;
    misses_ = std::make_unique<MissPath>(*context_);
    reads_ = std::make_unique<ReadPath>(*context_, *misses_);
    writes_ = std::make_unique<WritePath>(*context_, *misses_);
    ReplicationOptions options = world_.options;
    options.own_region = "us";
    options.node_id = node_.id;
    if (seed % 2 == 0) wire_.mangler_seed = seed;
    replication_ = *Replication::Create(
        options, {.own = wire_,
                  .others = {},
                  .engine = *node_.engine,
                  .hybrid_clock = *node_.hybrid_clock,
                  .topology = node_.topology,
                  .executor = world_.executor,
                  .clock = node_.clock,
                  .observer = node_.observer,
                  .clock_guard = node_.clock_guard,
                  .hints = node_.hints,
                  .fences = *node_.fences,
                  .horizons = node_.horizons,
                  .mode_of = [](std::string_view) { return ReplicationMode::kAsync; },
                  .write_heartbeat = [](std::string_view, const std::string&) {},
                  .peers = no_peers_,
                  .watch = node_.watch.get(),
                  .stored_until = nullptr,
                  .misses = misses_.get(),
                  .followed = &followed_});
    Own(true);
    replication_->Start();
    near_ = *NearCache::Create({.capacity_bytes = 1 << 20, .silence = kSilence});
    follower_ = std::make_unique<WatchFollower>(*near_, near_->NewSource());
    Wait(absl::Seconds(1));
  }

  void RunWithFaults(int steps) {
    for (int i = 0; i < steps; ++i) {
      Use();
      const double dice = Uniform();
      if (dice < 0.1) {
        ChangeTheWay();
      } else if (dice < 0.15) {
        Trim();
      } else if (dice < 0.18) {
        held_ ? Release() : Hold();
      } else if (dice < 0.20) {
        Own(!owned_);
      }
      Wait(absl::Milliseconds(Pick(20)));
    }
  }
  void RunInQuiet(int steps) {
    if (held_) Release();
    wire_.mode = StoreWire::Mode::kOpen;
    broken_until_ = Now();
    Own(true);
    // Who waits now is not woken by somebody's next write.
    if (Uniform() < 0.5) Wait(kPatience + absl::Seconds(1));
    for (int i = 0; i < steps; ++i) {
      Use();
      Wait(absl::Milliseconds(Pick(20)));
    }
  }
  // Everybody is answered, and nobody has a lease any more.
  void Finish() {
    RunInQuiet(1);
    for (int i = 0; i < 80; ++i) Wait(absl::Seconds(1));
    EXPECT_EQ(pending_, 0);
    EXPECT_EQ(misses_->flights().waiters(), 0);
    EXPECT_EQ(misses_->flights().leased(), 0);
    EXPECT_EQ(misses_->flights().size(), 0);
  }

  int l1_hits = 0;
  int near_hits = 0;
  int leases = 0;    // That were given.
  int waited = 0;    // Who was given a value after having waited for a lease.
  int patience = 0;  // Who waited in vain.
  size_t gaps() const { return node_.observer.tail_gaps.size(); }
  int mangled() const { return wire_.mangled; }  // Parts of the changelog, out of order or twice.

 private:
  struct Written {
    Version version;
    absl::Duration at;
    bool is_value;
  };
  struct Reading {
    std::string key;
    ReadRequest request;
    absl::Duration began;
    NearCache::Token token;
  };

  absl::Duration Now() const { return world_.clock.Monotonic(); }
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  int Pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }
  std::string AnyKey() { return absl::StrCat("{", Pick(kKeys) / 3, "}", Pick(3)); }
  FakeL2Store& store() { return *world_.region("us").store; }
  bool broken() const { return held_ || wire_.mode != StoreWire::Mode::kOpen; }

  void Wait(absl::Duration duration) {
    const absl::Duration end = Now() + duration;
    do {
      world_.executor.RunFor(std::min(absl::Milliseconds(20), end - Now()));
      ReadTheStream();
    } while (Now() < end);
  }

  void Use() {
    const double dice = Uniform();
    if (dice < 0.2) {
      WriteElsewhere();
    } else if (dice < 0.6) {
      Read(AnyKey());
    } else if (dice < 0.8) {
      ReadNear(AnyKey());
    } else {
      ReadForLease(AnyKey());
    }
  }

  // --- Those who write.

  void WriteElsewhere() {
    const std::string key = AnyKey();
    const bool is_value = Uniform() < 0.5;
    Store(key, writer_.Next(), is_value);
  }
  // Around the node: it hears of it from the changelog alone.
  void Store(const std::string& key, Version version, bool is_value) {
    const Version before = world_.StoredVersion("us", key);
    std::optional<std::string_view> value;
    if (is_value) value = "v";
    world_.Apply("us", MakeWrite(kSpace, key, value, version, world_.clock.Now(), absl::Hours(1)));
    if (version > before) history_[key].push_back({version, Now(), is_value});
  }
  void UseLease(const std::string& key, const std::string& lease) {
    ++leases;
    const double dice = Uniform();
    if (dice < 0.2) return;  // It dies.
    const absl::Duration takes = absl::Milliseconds(Pick(400));
    world_.executor.PostAfter(takes, [this, key, lease, dice] {
      if (dice < 0.6) return FillHere(key, lease);
      const auto token = ParseLeaseToken(lease, kSpace, key, world_.clock.Now());
      if (token) Store(key, token->version, /*is_value=*/true);
    });
  }
  void FillHere(const std::string& key, const std::string& lease) {
    struct Filling {
      std::string key;
      std::string lease;
      WriteRequest request;
    };
    auto filling = std::make_shared<Filling>(Filling{key, lease, {}});
    filling->request.name_space = kSpace;
    WriteItem item;
    item.key = filling->key;
    item.value = "v";
    item.ttl = absl::Hours(1);
    item.lease = filling->lease;
    filling->request.items.push_back(std::move(item));
    filling->request.deadline = world_.clock.Now() + absl::Seconds(1);
    ++pending_;
    writes_->Write(filling->request, [this, filling](const std::vector<WriteResult>& results) {
      --pending_;
      if (results[0].state != EntryState::kOk) return;
      history_[filling->key].push_back({results[0].version, Now(), /*is_value=*/true});
    });
  }

  // --- Those who read.

  void Ask(const std::string& key, const ReadOptions& options, absl::Duration timeout,
           std::function<void(const Reading&, const ReadResult&)> done) {
    auto reading = std::make_shared<Reading>();
    reading->key = key;
    reading->began = Now();
    EntryKey located;
    ASSERT_TRUE(near_->Locate(kSpace, reading->key, &located));
    reading->token = near_->BeginFill(located);
    reading->request.name_space = kSpace;
    reading->request.keys = {reading->key};
    reading->request.options = options;
    reading->request.deadline = world_.clock.Now() + timeout;
    ++pending_;
    reads_->Read(reading->request,
                 [this, reading, done = std::move(done)](const std::vector<ReadResult>& results) {
                   --pending_;
                   done(*reading, results[0]);
                 });
  }
  void Read(const std::string& key) {
    Ask(key, {}, absl::Seconds(1), [this](const Reading& reading, const ReadResult& result) {
      if (result.state != EntryState::kOk) return;
      if (result.tier == Tier::kL1) ++l1_hits;
      CheckVersion("node", reading.key, result.version, reading.began, /*of_fault=*/true, kBound);
    });
  }
  void ReadNear(const std::string& key) {
    EntryKey located;
    ASSERT_TRUE(near_->Locate(kSpace, key, &located));
    Entry entry;
    if (near_->Get(located, Now(), &entry)) {
      ++near_hits;
      return CheckVersion("near", key, entry.version, Now(), /*of_fault=*/false, kNearBound);
    }
    Ask(key, {}, absl::Seconds(1), [this](const Reading& reading, const ReadResult& result) {
      EntryKey asked;
      ASSERT_TRUE(near_->Locate(kSpace, reading.key, &asked));
      // As CacheService says with its answer.
      const bool told = node_.watch->Follows(asked.slot) && owned_ && !result.fleeting;
      if (result.state != EntryState::kOk || !told) return;
      Entry kept;
      kept.value = result.value;
      kept.raw_size = result.raw_size;
      kept.version = result.version;
      near_->Fill(asked, std::move(kept), result.ttl, node_.watch->incarnation(), Now(),
                  reading.token);
    });
  }
  void ReadForLease(const std::string& key) {
    ReadOptions options;
    options.want_lease = true;
    Ask(key, options, kPatience, [this](const Reading& reading, const ReadResult& result) {
      if (!result.lease.empty()) return UseLease(reading.key, result.lease);
      const absl::Duration took = Now() - reading.began;
      if (result.state == EntryState::kOk && took > absl::Seconds(1)) ++waited;
      if (result.state != EntryState::kMiss || !result.lease_taken) return;
      ++patience;
      // It was not told of a value that was there for long.
      const auto history = history_.find(reading.key);
      if (history == history_.end() || !history->second.back().is_value || broken()) return;
      const absl::Duration since = std::max(history->second.back().at, broken_until_);
      ASSERT_LE(Now() - std::max(since, reading.began), kLeaseBound)
          << reading.key << " waited in vain until " << Now();
    });
  }
  // Since when something newer was stored, and could be heard of.
  void CheckVersion(const char* who, const std::string& key, Version served, absl::Duration asked,
                    bool of_fault, absl::Duration bound) {
    for (const Written& written : history_[key]) {
      if (!(served < written.version)) continue;
      absl::Duration heard = written.at;
      if (of_fault) heard = std::max(heard, broken() ? asked : broken_until_);
      ASSERT_LE(asked - heard, bound) << who << " " << key << " at " << Now();
      return;
    }
  }

  // The near cache hears everything at once; when its stream ends it begins another.
  void ReadTheStream() {
    if (!reader_) {
      WatchFollower::Slots slots;
      for (int i = 0; i < kKeys / 3; ++i) slots.set(SlotOf(kSpace, absl::StrCat("{", i, "}0")));
      follower_->SetSlots(slots);
      const cache::v1::WatchRequest request = follower_->Begin(Now());
      SlotSet asked;
      for (const uint32_t slot : request.slots()) asked.set(slot);
      reader_ = node_.watch->Open(asked, request.resume_after(), request.incarnation());
      stream_ends_ = Now() + absl::Seconds(5);
    }
    std::string bytes;
    if (!node_.watch->Read(&*reader_, /*alive=*/true, &bytes)) return;
    cache::v1::WatchResponse message;
    ASSERT_TRUE(message.ParseFromString(bytes));
    // It ends now and then: slots that came back are attached by the next.
    if (follower_->Take(message) && Now() < stream_ends_) return;
    node_.watch->Close(*reader_);
    reader_.reset();
  }

  // --- Faults.

  void ChangeTheWay() {
    if (broken()) broken_until_ = Now();
    const double dice = Uniform();
    way_since_ = Now();
    wire_.mode = dice < 0.6   ? StoreWire::Mode::kOpen
                 : dice < 0.8 ? StoreWire::Mode::kRefused
                              : StoreWire::Mode::kSilent;
    wire_.delay = Uniform() * kMaxDelay;
  }
  // As in changelog_faults_test: more than a log keeps is not written between two answered polls.
  void Trim() {
    if (held_ || wire_.mode == StoreWire::Mode::kOpen) return;
    if (Now() - way_since_ < absl::Milliseconds(100)) return;
    store().TrimLog(SlotOf(kSpace, AnyKey()), static_cast<size_t>(Pick(3)));
  }
  void Hold() {
    store().HoldReplies();
    held_ = true;
  }
  void Release() {
    store().ReleaseReplies();
    held_ = false;
    broken_until_ = Now();
  }
  void Own(bool owned) {
    if (owned == owned_) return;
    owned_ = owned;
    world_.Publish(world_.region("us"), {owned ? "us-0" : "us-1"});
    // As server/app does.
    for (int i = 0; i < kKeys / 3; ++i) {
      node_.engine->DropSlot(SlotOf(kSpace, absl::StrCat("{", i, "}0")));
    }
  }

  std::mt19937_64 random_;
  ReplicationWorld world_{{"us"}, 2};
  ReplicationWorld::Node& node_ = world_.node("us");
  StoreWire& wire_ = *node_.wires["us"];
  HybridClock writer_{world_.clock, RegionId("eu")};
  NoPeers no_peers_;
  FollowedSlots followed_;
  TimerQueue timers_{world_.clock, world_.executor};
  std::unique_ptr<Namespaces> namespaces_;
  std::unique_ptr<NodeContext> context_;
  std::unique_ptr<MissPath> misses_;
  std::unique_ptr<ReadPath> reads_;
  std::unique_ptr<WritePath> writes_;
  std::unique_ptr<NearCache> near_;
  std::unique_ptr<WatchFollower> follower_;
  std::unique_ptr<Replication> replication_;
  std::optional<WatchHub::Reader> reader_;
  absl::Duration stream_ends_;
  std::map<std::string, std::vector<Written>> history_;  // In order of time.
  int pending_ = 0;
  bool owned_ = false;
  bool held_ = false;
  absl::Duration way_since_ = absl::ZeroDuration();
  absl::Duration broken_until_ = absl::ZeroDuration();
};

TEST(MissFaultsTest, NobodyIsServedWhatIsOldNorWaitsForWhatIsThere) {
  int l1_hits = 0;
  int near_hits = 0;
  int leases = 0;
  int waited = 0;
  size_t gaps = 0;
  int mangled = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    MissFaults faults(seed);
    for (int i = 0; i < 10; ++i) {
      faults.RunWithFaults(60);
      faults.RunInQuiet(600);
      ASSERT_FALSE(testing::Test::HasFatalFailure());
    }
    faults.Finish();
    ASSERT_FALSE(testing::Test::HasFailure());
    l1_hits += faults.l1_hits;
    near_hits += faults.near_hits;
    leases += faults.leases;
    waited += faults.waited;
    gaps += faults.gaps();
    mangled += faults.mangled();
  }
  EXPECT_GT(l1_hits, 1000);
  EXPECT_GT(near_hits, 1000);
  EXPECT_GT(leases, 300);
  EXPECT_GT(waited, 30);
  EXPECT_GT(gaps, 0u);
  EXPECT_GT(mangled, 1000);
}

}  // namespace
}  // namespace meridian
