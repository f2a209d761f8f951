#include "tests/support/redis_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr size_t kSlots = 16384;
constexpr absl::Duration kJoinTimeout = absl::Seconds(60);

}  // namespace

absl::StatusOr<std::unique_ptr<RedisCluster>> RedisCluster::Start(const std::string& directory,
                                                                  size_t primaries, size_t spare) {
  std::unique_ptr<RedisCluster> cluster(new RedisCluster);
  for (size_t i = 0; i < primaries + spare; ++i) {
    auto server = RedisProcess::Start({"--cluster-enabled", "yes", "--cluster-port",
                                       absl::StrCat(FreePort()), "--dir", directory,
                                       "--cluster-config-file", absl::StrCat("nodes-", i, ".conf"),
                                       "--cluster-node-timeout", "5000", "--databases", "1"});
    if (!server.ok()) return server.status();
    cluster->servers_.push_back(*std::move(server));
  }
  if (absl::Status status = cluster->Join(primaries); !status.ok()) return status;
  return cluster;
}

absl::Status RedisCluster::Join(size_t primaries) {
  for (size_t i = 0; i < servers_.size(); ++i) {
    const absl::StatusOr<std::string> id = servers_[i]->Command({"CLUSTER", "MYID"});
    if (!id.ok()) return id.status();
    ids_.push_back(*id);
    // Different from the start, so that nobody has to settle who owns what.
    if (absl::Status status = Run(i, {"CLUSTER", "SET-CONFIG-EPOCH", absl::StrCat(i + 1)});
        !status.ok()) {
      return status;
    }
  }
  owner_.resize(kSlots);
  for (size_t i = 0; i < primaries; ++i) {
    const size_t first = kSlots * i / primaries;
    const size_t last = kSlots * (i + 1) / primaries - 1;
    std::fill(owner_.begin() + static_cast<ptrdiff_t>(first),
              owner_.begin() + static_cast<ptrdiff_t>(last) + 1, i);
    if (absl::Status status =
            Run(i, {"CLUSTER", "ADDSLOTSRANGE", absl::StrCat(first), absl::StrCat(last)});
        !status.ok()) {
      return status;
    }
  }
  for (size_t i = 1; i < servers_.size(); ++i) {
    const auto bus = servers_[i]->List({"CONFIG", "GET", "cluster-port"});
    if (!bus.ok()) return bus.status();
    if (absl::Status status =
            Run(0, {"CLUSTER", "MEET", "127.0.0.1", absl::StrCat(servers_[i]->port()), bus->at(1)});
        !status.ok()) {
      return status;
    }
  }
  const std::string known = absl::StrCat("cluster_known_nodes:", servers_.size());
  const auto all_well = [&] {
    return std::all_of(servers_.begin(), servers_.end(), [&](const auto& server) {
      const std::string info = server->Command({"CLUSTER", "INFO"}).value_or("");
      return absl::StrContains(info, "cluster_state:ok") && absl::StrContains(info, known);
    });
  };
  if (WaitUntil(all_well, kJoinTimeout)) return absl::OkStatus();
  return absl::DeadlineExceededError("the servers did not become one cluster");
}

std::string RedisCluster::url() const {
  return absl::StrCat("redis+cluster://127.0.0.1:", servers_[0]->port());
}

absl::Status RedisCluster::Run(size_t server, const std::vector<std::string>& arguments) {
  const absl::StatusOr<std::string> reply = servers_[server]->Command(arguments);
  if (!reply.ok()) return reply.status();
  return absl::StartsWith(*reply, "-") ? absl::InternalError(*reply) : absl::OkStatus();
}

absl::Status RedisCluster::BeginMove(uint16_t slot, size_t to) {
  const size_t from = owner_[slot];
  const std::string number = absl::StrCat(slot);
  // Who has just got the slot may hear by gossip, for a moment, that it is still another one's.
  absl::Status last;
  WaitUntil(
      [&] {
        last = TryBeginMove(number, from, to);
        return last.ok() || !absl::StrContains(last.message(), "not the owner");
      },
      absl::Seconds(10));
  return last;
}

absl::Status RedisCluster::TryBeginMove(const std::string& number, size_t from, size_t to) {
  if (absl::Status status = Run(to, {"CLUSTER", "SETSLOT", number, "IMPORTING", ids_[from]});
      !status.ok()) {
    return status;
  }
  return Run(from, {"CLUSTER", "SETSLOT", number, "MIGRATING", ids_[to]});
}

absl::Status RedisCluster::MoveKeys(uint16_t slot, size_t to, int at_most) {
  const size_t from = owner_[slot];
  while (at_most > 0) {
    const auto keys = servers_[from]->List(
        {"CLUSTER", "GETKEYSINSLOT", absl::StrCat(slot), absl::StrCat(std::min(at_most, 10))});
    if (!keys.ok()) return keys.status();
    if (keys->empty()) break;
    std::vector<std::string> migrate = {
        "MIGRATE", "127.0.0.1", absl::StrCat(servers_[to]->port()), "", "0", "5000", "KEYS"};
    migrate.insert(migrate.end(), keys->begin(), keys->end());
    if (absl::Status status = Run(from, migrate); !status.ok()) return status;
    at_most -= static_cast<int>(keys->size());
  }
  return absl::OkStatus();
}

absl::Status RedisCluster::EndMove(uint16_t slot, size_t to) {
  const size_t from = owner_[slot];
  // First who gets it, so that at no time nobody has it.
  std::vector<size_t> order = {to, from};
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (i != to && i != from) order.push_back(i);
  }
  for (const size_t i : order) {
    if (absl::Status status = Run(i, {"CLUSTER", "SETSLOT", absl::StrCat(slot), "NODE", ids_[to]});
        !status.ok()) {
      return status;
    }
  }
  owner_[slot] = to;
  return absl::OkStatus();
}

absl::Status RedisCluster::MoveSlot(uint16_t slot, size_t to) {
  if (owner_[slot] == to) return absl::OkStatus();
  if (absl::Status status = BeginMove(slot, to); !status.ok()) return status;
  if (absl::Status status = MoveKeys(slot, to, 1 << 30); !status.ok()) return status;
  return EndMove(slot, to);
}

absl::Status RedisCluster::FlushAll() {
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (absl::Status status = Run(i, {"FLUSHALL"}); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace meridian
