// Three (or more) regions in one test: a small real store each, nodes that replicate between them
// over wires that can be cut, one clock, one executor, no thread.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_REPLICATION_REPLICATION_WORLD_H_
#define MERIDIAN_TESTS_UNIT_SERVER_REPLICATION_REPLICATION_WORLD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/base/version.h"
#include "common/cluster/topology.h"
#include "common/engine/engine.h"
#include "server/node/peer_transport.h"
#include "server/replication/replication.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_l2_store.h"
#include "tests/support/skewed_clock.h"
#include "tests/unit/server/replication/store_wire.h"

namespace meridian {

// Remembers what it heard.
class RecordingObserver final : public ReplicationObserver {
 public:
  struct Foreign {
    uint16_t region;
    absl::Duration lag;
  };
  void OnForeignChange(uint16_t region, absl::Duration lag) override {
    foreign.push_back({region, lag});
  }
  void OnLinkState(const std::string& target, LinkState state, const std::string&) override {
    states[target].push_back(state);
  }
  void OnLinkGap(const std::string&, uint32_t) override { ++link_gaps; }
  void OnTargetLoss(const std::string&, size_t) override { ++target_losses; }
  void OnDropped(const std::string&, const absl::Status&) override { ++dropped; }
  void OnGone(const std::string&, bool removal) override {
    ++gone;
    removals_gone += removal ? 1 : 0;
  }
  void OnTailError(const absl::Status&) override { ++tail_errors; }
  void OnTailGap(uint32_t slot) override { tail_gaps.insert(slot); }
  void OnClockSkew(const absl::Status&) override { ++skews; }
  void OnOwnClock(const absl::Status& status) override { own_clock.push_back(status.code()); }

  std::vector<Foreign> foreign;
  std::map<std::string, std::vector<LinkState>> states;
  std::set<uint32_t> tail_gaps;
  int link_gaps = 0;
  int target_losses = 0;
  int dropped = 0;
  int gone = 0;
  int removals_gone = 0;
  int tail_errors = 0;
  void OnLostChanges(uint32_t, size_t count) override { lost += count; }
  void OnRecovered(size_t values, size_t removals) override {
    recovered_values += values;
    recovered_removals += removals;
  }
  int skews = 0;
  size_t lost = 0;
  size_t recovered_values = 0;
  size_t recovered_removals = 0;
  std::vector<absl::StatusCode> own_clock;
};

class ReplicationWorld;

// Has what a test puts into it, whatever anybody told it.
class PlantedMirrors final : public MirrorReads {
 public:
  bool Read(std::string_view, std::string_view, const Member&, ReadResult*) override {
    return false;
  }
  bool Peek(std::string_view, std::string_view key, Entry* entry) const override {
    const auto found = entries.find(key);
    if (found == entries.end()) return false;
    *entry = found->second;
    return true;
  }
  void Wrote(std::string_view, std::string_view key, Version version) override {
    const auto found = entries.find(key);
    if (found != entries.end() && found->second.version < version) entries.erase(found);
  }

  std::map<std::string, Entry, std::less<>> entries;
};

// Lets a node look into the memory of the others of its region; nothing else.
class WorldPeers final : public PeerTransport {
 public:
  WorldPeers(ReplicationWorld& world, std::string region)
      : world_(world), region_(std::move(region)) {}
  void Read(const Member&, const PeerRead&, absl::Time, ReadReplyCallback callback) override {
    callback({absl::UnavailableError("no reads"), {}, std::nullopt});
  }
  void Write(const Member&, const PeerWrite&, absl::Time, WriteReplyCallback callback) override {
    callback({absl::UnavailableError("no writes"), {}, std::nullopt});
  }
  void Explain(const Member& to, std::string_view name_space, std::string_view key, Tiers tiers,
               absl::Time, ExplainReplyCallback callback) override;
  void GetFence(const Member& to, const Fence& fence, absl::Time, ClockCallback callback) override;
  void Ping(const Member&, uint64_t, absl::Time, AnswerCallback callback) override {
    callback({absl::UnavailableError("no pings"), 0, std::nullopt});
  }
  void PushFence(const Member&, uint64_t, const Fence&, absl::Time,
                 AnswerCallback callback) override {
    callback({absl::UnavailableError("no fences"), 0, std::nullopt});
  }

 private:
  ReplicationWorld& world_;
  const std::string region_;
};

class ReplicationWorld {
 public:
  struct Node {
    explicit Node(const Clock& world) : clock(world) {}

    std::string id;
    SkewedClock clock;
    ClockGuard clock_guard{clock};
    HintLog hints{{.max_bytes = size_t{1} << 20, .max_age = absl::Minutes(10)}};
    std::unique_ptr<Engine> engine;
    std::unique_ptr<HybridClock> hybrid_clock;
    std::unique_ptr<Fences> fences;
    SlotHorizons horizons;
    PlantedMirrors mirrors;
    std::unique_ptr<WatchHub> watch;  // Of nodes that are started after it was made; or none.
    bool lost_fences = false;  // It says that it knows none.
    TopologyHolder topology;
    RecordingObserver observer;
    std::map<std::string, std::unique_ptr<StoreWire>> wires;  // By region, the own one included.
    std::unique_ptr<WorldPeers> peers;
    std::unique_ptr<Replication> replication;
  };
  struct Region {
    std::string name;
    std::unique_ptr<FakeL2Store> store;
    std::unique_ptr<HybridClock> writer;  // Gives the versions of Set and Delete.
    std::vector<std::unique_ptr<Node>> nodes;
    uint64_t epoch = 0;
  };

  // Nodes are named "<region>-<n>", from 0. All serve.
  explicit ReplicationWorld(std::vector<std::string> regions = {"us", "eu", "asia"},
                            int nodes_per_region = 1);
  ~ReplicationWorld();

  // Starts every node that is not running.
  void Start();
  void StopNode(Node& node) { node.replication.reset(); }
  // Tells all nodes of a region that the serving members are these.
  void Publish(Region& region, const std::vector<std::string>& serving);
  // The store comes back empty, as a Redis without persistence does.
  void Wipe(Region& region);

  Region& region(std::string_view name);
  Node& node(std::string_view region_name, size_t index = 0);
  LinkStatus Link(std::string_view from, std::string_view to, size_t index = 0);

  // Writes as an owner does: into the regional store. Returns the version.
  Version Set(std::string_view region, std::string_view key, std::string_view value,
              absl::Duration ttl = absl::Hours(1), std::string_view name_space = "task");
  Version Delete(std::string_view region, std::string_view key,
                 std::string_view name_space = "task");
  void Apply(std::string_view region, L2Write write);

  // The live value in a region's store; nullopt for none, a tombstone or an expired one.
  std::optional<std::string> Get(std::string_view region, std::string_view key,
                                 std::string_view name_space = "task");
  // Version of what is stored, dead or alive.
  Version StoredVersion(std::string_view region, std::string_view key,
                        std::string_view name_space = "task");
  // All entries of the slot's changelog.
  std::vector<LogEntry> Log(std::string_view region, uint32_t slot);
  // How many of `keys` are not the same everywhere.
  int DifferingKeys(const std::vector<std::string>& keys);

  FakeClock clock;
  FakeExecutor executor{clock};
  ReplicationOptions options;                    // Of nodes started from now on.
  std::map<std::string, ReplicationMode> modes;  // By namespace; kAsync for all others.
  std::vector<std::unique_ptr<Region>> regions;
};

// The write of a value or (nullopt) a tombstone.
L2Write MakeWrite(std::string_view name_space, std::string_view key,
                  std::optional<std::string_view> value, Version version, absl::Time now,
                  absl::Duration ttl);

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_REPLICATION_REPLICATION_WORLD_H_
