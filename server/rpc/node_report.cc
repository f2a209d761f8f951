#include "server/rpc/node_report.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/hash.h"
#include "common/rpc/topology_proto.h"
#include "common/telemetry/fine_latency.h"
#include "common/telemetry/process_metrics.h"
#include "server/figures/figures_proto.h"
#include "server/figures/namespace_goals.h"
#include "server/node/evictions.h"
#include "server/node/limits.h"
#include "server/node/warmed_figures.h"
#include "server/policy/build_info.h"

namespace meridian {
namespace {

bool HasOrigin(const PolicyTable& policies) {
  return policies.fallback().origin.enabled() ||
         std::any_of(policies.named().begin(), policies.named().end(),
                     [](const auto& named) { return named.second.origin.enabled(); });
}

void FillNamespaces(const NodeContext& context, admin::v1::GetStatusResponse* response) {
  std::map<std::string, NamespaceEngineStats> engine_stats;
  for (NamespaceEngineStats& stats : context.engine.Stats()) {
    engine_stats[stats.name_space] = std::move(stats);
  }
  for (const Namespace* name_space : context.namespaces.List()) {
    const NamespaceEngineStats& stats = engine_stats[name_space->name];
    admin::v1::NamespaceStats* row = response->add_namespaces();
    row->set_namespace_(name_space->name);
    row->set_l1_hits(name_space->counters.l1_hits);
    row->set_l2_hits(name_space->counters.l2_hits);
    row->set_misses(name_space->counters.misses);
    row->set_sets(name_space->counters.sets);
    row->set_invalidations(name_space->counters.invalidations);
    row->set_l1_entries(stats.counters.entries);
    row->set_l1_bytes(stats.counters.bytes);
    const CompressionCounters& compression = name_space->counters.compression;
    row->set_compressed_values(compression.compressed_values);
    row->set_compression_saved_bytes(compression.raw_bytes - compression.stored_bytes);
    row->set_compression_cpu_seconds(
        1e-9 * static_cast<double>(compression.deflate_nanos + compression.inflate_nanos));
    row->set_evictions(stats.counters.evicted(EvictionCause::kSize));
  }
}

void FillEvictions(const NodeContext& context,
                   google::protobuf::Map<std::string, uint64_t>* evictions) {
  for (const NamespaceEvictions& row : EvictionsOf(context)) {
    if (IsInternalNamespace(row.name_space)) continue;
    for (size_t cause = 0; cause < kEvictionCauses; ++cause) {
      (*evictions)[std::string(EvictionCauseName(static_cast<EvictionCause>(cause)))] +=
          row.by_cause[cause];
    }
  }
}

// What alerts look at beside the counts.
void FillProblems(const NodeContext& context, const AdminSources& sources,
                  admin::v1::GetFiguresResponse* response) {
  if (context.hints != nullptr) {
    response->set_hints_oldest_ms(MsOf(context.hints->Stats(context.clock.Monotonic()).oldest));
  }
  if (const absl::Status clock = context.CheckClock(); !clock.ok()) {
    response->set_clock_problem(std::string(clock.message()));
  }
  if (const std::optional<PolicyStoreStatus> policies = sources.policies(); policies.has_value()) {
    response->set_policies_problem(policies->problem);
  }
  if (sources.staleness) {
    response->set_staleness_incidents(sources.staleness().incidents_total);
  }
  for (NodeOrigin& origin : sources.origins()) {
    admin::v1::OriginFigures* proto = response->add_origins();
    proto->set_namespace_(std::move(origin.name_space));
    proto->set_address(std::move(origin.address));
    proto->set_breaker(std::move(origin.breaker));
  }
}

}  // namespace

void FillStatus(const NodeContext& context, const AdminSources& sources,
                admin::v1::GetStatusResponse* response) {
  const TopologyHolder::Snapshot topology = context.topology.Get();
  response->set_node(context.node_id);
  response->set_region(sources.region);
  response->set_version(std::string(BuildVersion()));
  response->set_uptime_seconds(
      static_cast<uint64_t>(absl::ToInt64Seconds(context.clock.Monotonic() - sources.started)));
  response->set_epoch(topology->epoch());
  response->set_owned_slots(static_cast<uint32_t>(topology->SlotsOf(context.node_id).size()));
  response->set_l1_entries(context.engine.entries());
  response->set_l1_bytes(context.engine.bytes());
  response->set_l1_limit_bytes(context.engine.options().capacity_bytes);
  for (const RegionL2& l2 : sources.l2()) {
    admin::v1::L2Status* status = response->add_l2();
    status->set_region(l2.region);
    status->set_address(l2.health.address);
    status->set_connected(l2.health.connected);
    status->set_breaker(l2.health.breaker);
    status->set_problem(l2.health.problem);
    for (const L2Endpoint& endpoint : l2.health.endpoints) {
      admin::v1::L2Endpoint* server = status->add_endpoints();
      server->set_address(endpoint.address);
      server->set_connected(endpoint.connected);
      server->set_breaker(endpoint.breaker);
      server->set_connections(static_cast<uint32_t>(endpoint.connections));
      server->set_problem(endpoint.problem);
    }
  }
  response->add_fallback_chain("l1");
  if (!context.l1_only) response->add_fallback_chain("l2");
  if (HasOrigin(*context.namespaces.policies())) response->add_fallback_chain("origin");
  FillNamespaces(context, response);
  for (std::string& warning : sources.warnings()) response->add_warnings(std::move(warning));
  response->set_coordinator(sources.coordinator());
  ToProto(Version{context.versions.last(), context.versions.region()}, response->mutable_clock());
}

void FillLinks(const AdminSources& sources,
               google::protobuf::RepeatedPtrField<admin::v1::ReplicationLink>* links) {
  for (const LinkStatus& status : sources.links()) {
    admin::v1::ReplicationLink* link = links->Add();
    link->set_from(sources.region);
    link->set_to(status.to);
    link->set_state(LinkStateName(status.state));
    link->set_lag_ms(MsOf(status.lag));
    link->set_backlog(status.backlog);
    link->set_applied_total(status.applied_total);
    link->set_stale_total(status.stale_total);
    link->set_repairing_slots(status.repair.slots);
    link->set_repair_compared_total(status.repair.compared_total);
    link->set_repair_sent_total(status.repair.sent_total);
    link->set_repair_forgotten_total(status.repair.forgotten_total);
    link->set_repair_withheld_total(status.repair.withheld_total);
    link->set_dropped_total(status.dropped_total);
    link->set_problem(status.problem.empty() ? status.repair.problem : status.problem);
    if (status.last_applied.is_set()) {
      ToProto(status.last_applied, link->mutable_last_applied());
    }
  }
}

void FillFigures(const NodeContext& context, const AdminSources& sources,
                 admin::v1::GetFiguresResponse* response) {
  response->set_node(context.node_id);
  response->set_region(sources.region);
  response->set_incarnation(sources.incarnation());
  response->set_at_unix_ms(static_cast<uint64_t>(absl::ToUnixMillis(context.clock.Now())));
  FillStatus(context, sources, response->mutable_status());
  const std::vector<double>& bounds = FineLatencyBounds();
  response->mutable_latency_bounds()->Add(bounds.begin(), bounds.end());
  const std::shared_ptr<const PolicyTable> policies = context.namespaces.policies();
  for (const auto& [name, figures] : context.namespaces.Figures()) {
    if (IsInternalNamespace(name)) continue;
    for (const ReadFigures::OfVersion& row : figures->ByVersion()) {
      admin::v1::NamespaceFigures* proto = response->add_namespaces();
      proto->set_namespace_(name);
      proto->set_policy_version(row.version);
      ToProto(row.counts, proto);
      ToProto(policies->Of(name).goals, proto);
    }
  }
  FillWarmed(context.engine, response);
  FillLinks(sources, response->mutable_links());
  FillEvictions(context, response->mutable_evictions());
  for (const Namespace* name_space : context.namespaces.List()) {
    response->set_origin_keys(response->origin_keys() + name_space->counters.origin.found +
                              name_space->counters.origin.absent);
  }
  const CallCounts calls = sources.calls();
  response->set_calls(calls.calls);
  response->set_failed_calls(calls.failed);
  ToProto(InBounds(calls.latency, bounds), response->mutable_call_latency());
  response->set_cpu_seconds(ProcessCpuSeconds());
  response->set_resident_bytes(ProcessResidentBytes());
  response->set_warmth(sources.warmth());
  if (const std::optional<L2Usage> usage = sources.l2_usage(); usage.has_value()) {
    response->set_l2_used_bytes(usage->used_bytes);
    response->set_l2_limit_bytes(usage->limit_bytes);
    response->set_l2_persistence(usage->persistence);
    response->set_l2_eviction_policy(usage->eviction_policy);
    response->set_l2_told_ago_ms(MsOf(usage->age));
  }
  if (const absl::Time end = sources.certificates_end(); end != absl::InfiniteFuture()) {
    response->set_certificate_expires_unix_ms(
        static_cast<uint64_t>(std::max<int64_t>(absl::ToUnixMillis(end), 1)));
  }
  FillProblems(context, sources, response);
}

admin::v1::GetAnalyticsResponse AnalyticsOfNode(const NodeContext& context,
                                                const AdminSources& sources,
                                                std::string_view name_space) {
  admin::v1::GetFiguresResponse figures;
  FillFigures(context, sources, &figures);
  const std::shared_ptr<const PolicyTable> policies = context.namespaces.policies();
  const NamespacePolicy& policy =
      name_space.empty() ? policies->fallback() : policies->Of(name_space);
  return AnalyticsOf({&figures, 1}, {.name_space = name_space,
                                     .ttl = policy.ttl,
                                     .costs = sources.costs,
                                     .now = context.clock.Now()});
}

}  // namespace meridian
