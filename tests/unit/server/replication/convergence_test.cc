// Random histories with random faults: when everything has healed, no key differs, and every key has
// the newest version that was ever written. The seed is in every message; MERIDIAN_TEST_SEEDS=1000
// tries more of them.

#include <cstdlib>
#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

class History {
 public:
  explicit History(uint32_t seed) : random_(seed), world_({"us", "eu", "asia"}, 2) {
    world_.options.link.queue_capacity = 1 + random_() % 200;
    world_.options.link.batch_changes = 1 + random_() % 50;
    world_.options.link.read_entries = 1 + random_() % 10;
    world_.options.link.max_fetches = 1 + random_() % 4;
    world_.options.link.max_slots = 1 + random_() % 20;
    world_.options.tail.read_limit = 1 + random_() % 10;
    for (int i = 0; i < 40; ++i) {  // Some keys share a slot.
      keys_.push_back(i % 2 == 0 ? absl::StrCat("key", i) : absl::StrCat("{shared}", i));
    }
    world_.Start();
  }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      Step();
      world_.executor.RunFor(absl::Milliseconds(random_() % 20));
    }
  }

  void Heal() {
    for (const auto& region : world_.regions) {
      region->store->SetAvailable(true);
      region->store->ReleaseReplies();
      world_.Publish(*region, {region->name + "-0", region->name + "-1"});
      for (const auto& node : region->nodes) {
        for (auto& [name, wire] : node->wires) {
          wire->mode = StoreWire::Mode::kOpen;
          wire->delay = absl::ZeroDuration();
        }
      }
    }
    world_.Start();
    world_.executor.RunFor(absl::Seconds(20));
  }

  void Check() {
    for (const std::string& key : keys_) {
      for (const auto& region : world_.regions) {
        EXPECT_EQ(world_.StoredVersion(region->name, key), newest_[key])
            << key << " in " << region->name;
      }
    }
    EXPECT_EQ(world_.DifferingKeys(keys_), 0);
    for (const auto& region : world_.regions) {
      for (size_t i = 0; i < 2; ++i) {
        for (const LinkStatus& link : region->nodes[i]->replication->Links()) {
          const std::string name = absl::StrCat(region->nodes[i]->id, " to ", link.to);
          EXPECT_EQ(link.state, LinkState::kStreaming) << name << ": " << link.problem;
          EXPECT_EQ(link.backlog, 0u) << name;
          EXPECT_EQ(link.lag, absl::ZeroDuration());
          EXPECT_EQ(link.dropped_total, 0u);
        }
      }
    }
  }

 private:
  ReplicationWorld::Region& AnyRegion() { return *world_.regions[random_() % 3]; }
  ReplicationWorld::Node& AnyNode() { return *AnyRegion().nodes[random_() % 2]; }
  StoreWire& AnyWire() {
    auto& wires = AnyNode().wires;
    return *std::next(wires.begin(), static_cast<ptrdiff_t>(random_() % 3))->second;
  }

  void Step() {
    switch (random_() % 24) {
      case 0: AnyWire().mode = StoreWire::Mode::kRefused; break;
      case 1: AnyWire().mode = StoreWire::Mode::kSilent; break;
      case 2:
      case 3:
      case 4: AnyWire().mode = StoreWire::Mode::kOpen; break;
      case 5: AnyWire().delay = absl::Milliseconds(random_() % 60); break;
      case 6: AnyRegion().store->SetAvailable(random_() % 3 != 0); break;
      case 7: AnyRegion().store->FailNext(absl::UnavailableError("once"), 2); break;
      case 8: AnyRegion().store->LoseNextReply(absl::DeadlineExceededError("lost"), 2); break;
      case 9: AnyRegion().store->HoldReplies(); break;
      case 10: AnyRegion().store->ReleaseReplies(); break;
      case 11: world_.StopNode(AnyNode()); break;
      case 12: world_.Start(); break;
      case 13: {
        ReplicationWorld::Region& region = AnyRegion();
        const std::vector<std::vector<std::string>> layouts = {
            {region.name + "-0"}, {region.name + "-1"}, {region.name + "-0", region.name + "-1"}};
        world_.Publish(region, layouts[random_() % layouts.size()]);
        break;
      }
      default: Write();
    }
  }

  // Straight into the store, whatever the wires do. A write counts if the store has taken it.
  void Write() {
    ReplicationWorld::Region& region = AnyRegion();
    const std::string& key = keys_[random_() % keys_.size()];
    const Version version = region.writer->Next();
    const bool is_delete = random_() % 4 == 0;
    const std::string value = version.ToText();
    region.store->Apply(
        {MakeWrite("task", key,
                   is_delete ? std::nullopt : std::optional<std::string_view>(value), version,
                   world_.clock.Now(), absl::Hours(1))},
        world_.clock.Now() + absl::Seconds(1), [](const auto&) {});
    // Peek sees what the store did, also when its answer is lost or held.
    world_.executor.Post([this, name = region.name, key, version] {
      if (world_.StoredVersion(name, key) == version) {
        newest_[key] = std::max(newest_[key], version);
      }
    });
  }

  std::mt19937 random_;
  ReplicationWorld world_;
  std::vector<std::string> keys_;
  std::map<std::string, Version> newest_;
};

TEST(ConvergenceTest, NoKeyDiffersAfterAnyHistoryOfFaults) {
  const char* const more = std::getenv("MERIDIAN_TEST_SEEDS");
  const int seeds = more == nullptr ? 25 : std::atoi(more);
  for (int seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    History history(static_cast<uint32_t>(seed));
    history.Run(400);
    history.Heal();
    history.Check();
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace meridian
