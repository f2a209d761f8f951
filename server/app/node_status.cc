#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/telemetry/process_metrics.h"
#include "server/app/logging.h"
#include "server/app/node_parts.h"

namespace meridian {

void NodeParts::MakeMetrics() {
  AddProcessMetrics(registry);
  AddBuildInfo(registry);
  AddNodeMetrics(*context, registry);
  AddOriginMetrics(*context, *origins, *misses, registry);
  rpc_metrics = std::make_unique<RpcMetrics>(registry);
  MakeCertificates();
  if (config.redis_url.empty()) return;
  AddL2UsageMetrics(registry, config.region, [this] { return l2_usage->Last(); });
  l2_metrics->AddStates(registry, [this] {
    std::vector<std::pair<std::string, L2Health>> states;
    for (RegionL2& state : L2States()) {
      states.emplace_back(std::move(state.region), std::move(state.health));
    }
    return states;
  });
}

void NodeParts::MakeCertificates() {
  std::vector<CertificateFile> of_settings = CertificateFilesOf(config.tls.files);
  const auto add = [&of_settings](const std::string& url) {
    const absl::StatusOr<RedisUrl> parsed = ParseRedisUrl(url);
    if (!parsed.ok()) return;
    for (CertificateFile& file : CertificateFilesOf(*parsed))
      of_settings.push_back(std::move(file));
  };
  if (!config.redis_url.empty()) add(config.redis_url);
  for (const auto& [region, url] : config.region_redis) add(url);
  certificates = std::make_unique<CertificateExpiry>(
      [this, of_settings] {
        std::vector<CertificateFile> files = of_settings;
        const auto add_origin = [&files](const NamespacePolicy& policy) {
          if (policy.origin.ca_file.empty()) return;
          files.push_back({policy.origin.ca_file, /*authorities=*/true});
        };
        const std::shared_ptr<const PolicyTable> policies = namespaces->policies();
        add_origin(policies->fallback());
        for (const auto& [name, policy] : policies->named()) add_origin(policy);
        return files;
      },
      clock);
  certificates->AddMetrics(registry);
}

AdminSources NodeParts::MakeAdminSources() {
  AdminSources sources;
  sources.region = config.region;
  sources.started = started;
  sources.l2 = [this] { return L2States(); };
  sources.links = [this] { return Links(); };
  sources.coordinator = [this]() -> std::string {
    if (coordinator_client == nullptr) return "";
    const CoordinatorClientStatus status = coordinator_client->status();
    return status.connected ? status.coordinator : "";
  };
  if (replication != nullptr) {
    sources.staleness = [this] { return replication->Staleness(); };
    sources.diff = [this](RegionDiffOptions options, RegionDiff::Done done) {
      replication->Diff(std::move(options), std::move(done));
    };
    if (!region_l2.empty()) {
      sources.set_cut = [this](const std::string& region, bool cut, std::string reason,
                               std::function<void(absl::Status)> done) {
        replication->SetCut(region, cut, std::move(reason), std::move(done));
      };
    }
  }
  sources.warnings = [this] { return Warnings(); };
  sources.policies = [this] {
    std::optional<PolicyStoreStatus> status;
    if (policy_store != nullptr) status = policy_store->Status();
    const PolicyFollowerStatus assigned = policy_follower->Status();
    if (assigned.revision == 0 && assigned.problem.empty()) return status;
    if (!status.has_value()) status.emplace();
    if (assigned.base_version > 0) {
      status->file = absl::StrCat("version ", assigned.base_version, " of the coordinator");
    }
    if (assigned.trial_percent > 0) {
      absl::StrAppend(&status->file, status->file.empty() ? "" : ", ", "version ",
                      assigned.trial_version, " in ", assigned.trial_percent, " % of the slots");
    }
    if (!assigned.problem.empty()) status->problem = assigned.problem;
    return status;
  };
  sources.set_log_level = [](const std::string& level) { return SetLogLevel(level); };
  sources.handed_off = [this] { return refill == nullptr ? uint64_t{0} : refill->handed_off(); };
  sources.drain = [this](absl::Duration timeout, std::function<void(absl::Status)> done) {
    return Drain(timeout, std::move(done));
  };
  sources.incarnation = [this] { return incarnation; };
  sources.calls = [this] { return rpc_metrics->Counts(); };
  sources.warmth = [this] { return Warmth(); };
  sources.l2_usage = [this] {
    return l2_usage == nullptr ? std::optional<L2Usage>() : l2_usage->Last();
  };
  sources.origins = [this] {
    std::vector<NodeOrigin> states;
    for (OriginState& state : origins->States()) {
      states.push_back(
          {std::move(state.name_space), std::move(state.address), std::move(state.breaker)});
    }
    return states;
  };
  sources.certificates_end = [this] { return certificates->First(); };
  sources.costs = {config.origin_query_cost, config.cost_currency};
  return sources;
}

std::vector<RegionL2> NodeParts::L2States() const {
  std::vector<RegionL2> states = {{config.region, l2->Health()}};
  for (const auto& [region, store] : region_l2) states.push_back({region, store->Health()});
  return states;
}

std::vector<LinkStatus> NodeParts::Links() const {
  return replication == nullptr ? std::vector<LinkStatus>() : replication->Links();
}

std::vector<std::string> NodeParts::Warnings() const {
  std::vector<std::string> warnings;
  for (const RegionL2& state : L2States()) {
    if (!state.health.problem.empty()) {
      warnings.push_back(absl::StrCat("Redis of ", state.region, ": ", state.health.problem));
    }
  }
  const std::optional<L2Usage> usage = l2_usage == nullptr ? std::nullopt : l2_usage->Last();
  if (usage.has_value() && !usage->saves) {
    warnings.push_back(
        absl::StrCat("Redis of ", config.region,
                     " cannot write to its disk: what it has is lost if it restarts"));
  }
  if (const absl::Status status = clock_guard.Check(); !status.ok()) {
    warnings.push_back(std::string(status.message()));
  }
  for (const ClockOffset& offset : clock_guard.Offsets()) {
    if (absl::AbsDuration(offset.ahead) <= ClockGuard::kMaxSkew || !clock_guard.ok()) continue;
    warnings.push_back(absl::StrCat("the clock of ", offset.reference, " is ",
                                    absl::FormatDuration(absl::AbsDuration(offset.ahead)),
                                    offset.ahead > absl::ZeroDuration() ? " behind" : " ahead",
                                    "; check NTP there"));
  }
  if (const HintStats stats = hints->Stats(clock.Monotonic()); stats.entries > 0) {
    warnings.push_back(absl::StrCat(
        stats.entries, " writes that were accepted without Redis wait for it, the oldest for ",
        absl::FormatDuration(absl::Trunc(stats.oldest, absl::Seconds(1))),
        "; they are lost if this process ends before it is back"));
  }
  for (const OriginState& origin : origins->States()) {
    if (origin.breaker == "closed") continue;
    warnings.push_back(absl::StrCat("namespace ", origin.name_space, ": its origin at ",
                                    origin.address, " does not answer (breaker ", origin.breaker,
                                    "); keys that no tier has fail"));
  }
  for (const LinkStatus& link : Links()) {
    if (link.state != LinkState::kCut) continue;
    warnings.push_back(absl::StrCat("replication to ", link.to, " is ", link.problem,
                                    "; meridianctl region heal ", link.to));
  }
  if (const PolicyFollowerStatus assigned = policy_follower->Status(); !assigned.problem.empty()) {
    warnings.push_back(
        absl::StrCat("the policies that the coordinator assigns cannot be used, those of before "
                     "stay in force: ",
                     assigned.problem));
  }
  if (config.insecure && !config.tls.on()) {
    warnings.push_back("plaintext without authentication is reachable beyond this machine");
  }
  if (coordinator_client != nullptr && !coordinator_client->status().connected) {
    warnings.push_back(absl::StrCat("no coordinator answers, the last topology stays: ",
                                    coordinator_client->status().problem));
  }
  if (!IsWarmedUp()) warnings.push_back(absl::StrCat("not ready: it ", WhyCold()));
  for (std::string& problem : namespaces->Problems()) warnings.push_back(std::move(problem));
  if (policy_store != nullptr && !policy_store->Status().problem.empty()) {
    warnings.push_back(absl::StrCat("policies: ", policy_store->Status().problem,
                                    "; those of before stay in force"));
  }
  return warnings;
}

Readiness NodeParts::ReadinessNow() const {
  if (stopping) return {false, "stopping"};
  // Before the topology: a coordinator takes no such node, and this says why.
  if (const absl::Status status = clock_guard.Check(); !status.ok()) {
    return {false, std::string(status.message())};
  }
  const TopologyHolder::Snapshot now = topology.Get();
  const uint16_t index = now->IndexOf(config.id);
  if (index == Topology::kNoOwner) return {false, "not in the topology yet"};
  if (now->members()[index].state != MemberState::kServing) return {false, "not serving yet"};
  if (replication != nullptr) {
    const std::vector<std::string> waits = replication->WaitsForFences();
    if (!waits.empty()) {
      return {false, absl::StrCat("waits until ", absl::StrJoin(waits, ", "),
                                  " has said what was deleted while this region may have been away "
                                  "for longer than tombstones are kept")};
    }
  }
  if (!IsWarmedUp()) return {false, WhyCold()};
  return {true, absl::StrCat("serving in epoch ", now->epoch())};
}

}  // namespace meridian
