#include "server/app/node_metrics.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "server/app/clock_metrics.h"
#include "server/app/goal_metrics.h"
#include "server/node/evictions.h"
#include "server/policy/build_info.h"

namespace meridian {
namespace {

using Samples = std::vector<MetricSample>;

Samples TierSamples(const NodeContext& context) {
  Samples samples;
  for (const Namespace* name_space : context.namespaces.List()) {
    const NamespaceCounters& counters = name_space->counters;
    const double l1_hits = static_cast<double>(counters.l1_hits.load());
    const double l2_hits = static_cast<double>(counters.l2_hits.load());
    const double misses = static_cast<double>(counters.misses.load());
    const double errors = static_cast<double>(counters.errors.load());
    const std::string& name = name_space->name;
    samples.push_back({{"l1", "hit", name}, l1_hits});
    samples.push_back({{"l1", "miss", name}, l2_hits + misses + errors});
    samples.push_back({{"l2", "hit", name}, l2_hits});
    samples.push_back({{"l2", "miss", name}, misses});
    samples.push_back({{"l2", "error", name}, errors});
  }
  return samples;
}

Samples EngineSamples(const NodeContext& context, uint64_t EngineCounters::*field) {
  Samples samples;
  for (const NamespaceEngineStats& stats : context.engine.Stats()) {
    samples.push_back({{stats.name_space}, static_cast<double>(stats.counters.*field)});
  }
  return samples;
}

Samples EvictionSamples(const NodeContext& context) {
  Samples samples;
  for (const NamespaceEvictions& row : EvictionsOf(context)) {
    for (size_t cause = 0; cause < kEvictionCauses; ++cause) {
      samples.push_back(
          {{std::string(EvictionCauseName(static_cast<EvictionCause>(cause))), row.name_space},
           static_cast<double>(row.by_cause[cause])});
    }
  }
  return samples;
}

Samples MissSamples(const NodeContext& context) {
  Samples samples;
  for (const NamespaceEngineStats& stats : context.engine.Stats()) {
    for (size_t i = 0; i < kMissCauses; ++i) {
      const auto cause = static_cast<MissCause>(i);
      samples.push_back({{std::string(MissCauseName(cause)), stats.name_space},
                         static_cast<double>(stats.counters.missed(cause))});
    }
  }
  return samples;
}

Samples WarmedSamples(const NodeContext& context) {
  Samples samples;
  for (const Engine::Warmed& warmed : context.engine.WarmedStats()) {
    const auto add = [&](const char* outcome, uint64_t count) {
      samples.push_back({{warmed.source, warmed.name_space, outcome}, static_cast<double>(count)});
    };
    add("warmed", warmed.counts.warmed);
    add("used", warmed.counts.used);
    add("unused", warmed.counts.unused);
    add("displaced", warmed.counts.displaced);
  }
  return samples;
}

Samples WriteSamples(const NodeContext& context, std::atomic<uint64_t> NamespaceCounters::*field) {
  Samples samples;
  for (const Namespace* name_space : context.namespaces.List()) {
    samples.push_back(
        {{name_space->name}, static_cast<double>((name_space->counters.*field).load())});
  }
  return samples;
}

// One sample a namespace and row: `rows` are a counter of compression and the value of its label.
Samples CompressionSamples(
    const NodeContext& context, double unit,
    std::initializer_list<std::pair<std::atomic<uint64_t> CompressionCounters::*, const char*>>
        rows) {
  Samples samples;
  for (const Namespace* name_space : context.namespaces.List()) {
    for (const auto& [field, label] : rows) {
      const double value =
          static_cast<double>((name_space->counters.compression.*field).load()) * unit;
      if (*label == '\0') {
        samples.push_back({{name_space->name}, value});
      } else {
        samples.push_back({{label, name_space->name}, value});
      }
    }
  }
  return samples;
}

void AddCompressionMetrics(const NodeContext& context, MetricRegistry& registry) {
  using C = CompressionCounters;
  registry.AddCallbackCounters(
      {"meridian_compression_values_total",
       "Values that were tried, by result.",
       {"result", "namespace"}},
      [&context] {
        return CompressionSamples(
            context, 1,
            {{&C::compressed_values, "compressed"}, {&C::incompressible_values, "incompressible"}});
      });
  registry.AddCallbackCounters(
      {"meridian_compression_raw_bytes_total", "Bytes of compressed values before.", {"namespace"}},
      [&context] {
        return CompressionSamples(context, 1, {{&C::raw_bytes, ""}});
      });
  registry.AddCallbackCounters({"meridian_compression_stored_bytes_total",
                                "Bytes of compressed values after.",
                                {"namespace"}},
                               [&context] {
                                 return CompressionSamples(context, 1, {{&C::stored_bytes, ""}});
                               });
  registry.AddCallbackCounters(
      {"meridian_compression_inflated_total",
       "Values that were inflated for clients, by result.",
       {"result", "namespace"}},
      [&context] {
        return CompressionSamples(context, 1,
                                  {{&C::inflated_values, "ok"}, {&C::corrupt_values, "corrupt"}});
      });
  registry.AddCallbackCounters(
      {"meridian_compression_cpu_seconds_total",
       "CPU time of compressing and inflating.",
       {"operation", "namespace"}},
      [&context] {
        return CompressionSamples(
            context, 1e-9, {{&C::deflate_nanos, "compress"}, {&C::inflate_nanos, "inflate"}});
      });
}

void AddHintMetrics(const NodeContext& context, MetricRegistry& registry) {
  const auto stats = [&context] { return context.hints->Stats(context.clock.Monotonic()); };
  registry.AddGauge("meridian_hints_entries", "Writes accepted without Redis that wait for it.",
                    [stats] { return static_cast<double>(stats().entries); });
  registry.AddGauge("meridian_hints_bytes", "Memory of these writes.",
                    [stats] { return static_cast<double>(stats().bytes); });
  registry.AddGauge("meridian_hints_oldest_seconds", "How long the oldest has waited; 0: none.",
                    [stats] { return absl::ToDoubleSeconds(stats().oldest); });
  registry.AddCallbackCounters(
      {"meridian_hints_total", "Writes while Redis was away, by what became of them.", {"result"}},
      [stats] {
        const HintStats now = stats();
        return Samples{{{"accepted"}, static_cast<double>(now.accepted_total)},
                       {{"refused"}, static_cast<double>(now.refused_total)},
                       {{"replayed"}, static_cast<double>(now.replayed_total)},
                       {{"overtaken"}, static_cast<double>(now.overtaken_total)},
                       {{"lost"}, static_cast<double>(now.lost_total)}};
      });
}

void AddFenceMetrics(const NodeContext& context, MetricRegistry& registry) {
  registry.AddCallbackCounters({"meridian_fences_total",
                                "Invalidations of many keys that this node has learnt of.",
                                {"scope"}},
                               [&context] {
                                 const auto count = [&context](FenceScope scope) {
                                   return static_cast<double>(context.fences->learned(scope));
                                 };
                                 return Samples{{{"namespace"}, count(FenceScope::kNamespace)},
                                                {{"prefix"}, count(FenceScope::kPrefix)},
                                                {{"tag"}, count(FenceScope::kTag)}};
                               });
  registry.AddGauge("meridian_fences_known", "Fences that this node keeps.",
                    [&context] { return static_cast<double>(context.fences->named()); });
  registry.AddCallbackCounters(
      {"meridian_fences_unconfirmed_total",
       "Nodes that did not say in time that they have a fence of this node.",
       {}},
      [&context] {
        return Samples{{{}, static_cast<double>(context.fences->unconfirmed())}};
      });
  registry.AddCallbackCounters(
      {"meridian_fences_merged_total",
       "Times that the older half of a namespace's fences became one fence of the namespace.",
       {}},
      [&context] {
        return Samples{{{}, static_cast<double>(context.fences->merged())}};
      });
}

Samples OwnershipSamples(const NodeContext& context) {
  const TopologyHolder::Snapshot topology = context.topology.Get();
  Samples samples;
  for (const Member& member : topology->members()) {
    samples.push_back({{member.id},
                       static_cast<double>(topology->SlotsOf(member.id).size()) /
                           static_cast<double>(kSlotCount)});
  }
  return samples;
}

}  // namespace

void AddWatchMetrics(const WatchHub& hub, const WatchStreams& streams, MetricRegistry& registry) {
  registry.AddGauge("meridian_watch_streams", "Watch streams that are open.",
                    [&streams] { return static_cast<double>(streams.open()); });
  registry.AddGauge("meridian_watch_ring_bytes", "Memory of the events that can be sent again.",
                    [&hub] { return static_cast<double>(hub.Stats().ring_bytes); });
  const auto counter = [&registry](const char* name, const char* help,
                                   std::function<double()> value) {
    registry.AddCallbackCounters({name, help, {}}, [value = std::move(value)] {
      return Samples{{{}, value()}};
    });
  };
  counter("meridian_watch_events_total", "Events that were numbered for Watch.",
          [&hub] { return static_cast<double>(hub.Stats().events); });
  counter("meridian_watch_messages_total", "Messages to Watch streams, signs of life among them.",
          [&streams] { return static_cast<double>(streams.messages()); });
  counter("meridian_watch_resumes_total", "Streams that went on where an earlier one had ended.",
          [&hub] { return static_cast<double>(hub.Stats().resumed); });
  counter("meridian_watch_refused_total", "Watch calls that were refused.",
          [&streams] { return static_cast<double>(streams.refused()); });
  registry.AddCallbackCounters({"meridian_watch_gaps_total",
                                "Gaps that followers were told: of a slot (gained, lost, or with a "
                                "hole in its changelog), or "
                                "of all slots of a stream that was too slow (overrun).",
                                {"cause"}},
                               [&hub] {
                                 const WatchStats stats = hub.Stats();
                                 return Samples{{{"slot"}, static_cast<double>(stats.slot_gaps)},
                                                {{"overrun"}, static_cast<double>(stats.overruns)}};
                               });
}

void AddMirrorMetrics(const MirrorCache& mirrors, MetricRegistry& registry) {
  const auto gauge = [&](const char* name, const char* help, auto value) {
    registry.AddGauge(name, help,
                      [&mirrors, value] { return static_cast<double>(value(mirrors.Stats())); });
  };
  const auto counter = [&](const char* name, const char* help, auto value) {
    registry.AddCallbackCounters({name, help, {}}, [&mirrors, value] {
      return Samples{{{}, static_cast<double>(value(mirrors.Stats()))}};
    });
  };
  using Stats = MirrorStats;
  counter("meridian_mirror_hits_total", "Reads of other nodes' hot keys that were answered here.",
          [](const Stats& stats) { return stats.cache.hits; });
  counter("meridian_mirror_fills_total", "Values of hot keys that owners were asked for.",
          [](const Stats& stats) { return stats.cache.fills; });
  registry.AddCallbackCounters(
      {"meridian_mirror_asks_total",
       "Times that owners were asked for values of hot keys, and what "
       "came of it.",
       {"outcome"}},
      [&mirrors] {
        const AskTimes::Counts asks = mirrors.Stats().asks;
        Samples samples;
        for (size_t i = 0; i < asks.size(); ++i) {
          samples.push_back({{ToText(static_cast<AskOutcome>(i))}, static_cast<double>(asks[i])});
        }
        return samples;
      });
  gauge("meridian_mirror_hot_keys", "Keys of other nodes that are hot here.",
        [](const Stats& stats) { return stats.hot_keys; });
  gauge("meridian_mirror_slots", "Slots of other nodes that are followed.",
        [](const Stats& stats) { return stats.cache.attached; });
  gauge("meridian_mirror_bytes", "Memory of mirrored values.",
        [](const Stats& stats) { return stats.bytes; });
}

void AddPolicyMetrics(const PolicyStore& store, MetricRegistry& registry) {
  registry.AddCallbackCounters({"meridian_policy_reloads_total",
                                "Times that the file of policies was read again.",
                                {"result"}},
                               [&store] {
                                 const PolicyStoreStatus status = store.Status();
                                 return Samples{
                                     {{"ok"}, static_cast<double>(status.reloads)},
                                     {{"failed"}, static_cast<double>(status.failed_reloads)}};
                               });
  registry.AddGauge("meridian_policy_last_reload_successful",
                    "1 when the file of policies was right when it was last read, else 0.",
                    [&store] { return store.Status().problem.empty() ? 1.0 : 0.0; });
  registry.AddGauge("meridian_policy_loaded_timestamp_seconds",
                    "When the policies in force were read, in seconds since 1970.", [&store] {
                      return absl::ToDoubleSeconds(store.Status().loaded_at - absl::UnixEpoch());
                    });
}

void AddUpdateMetrics(const UpdateReporter& reporter, MetricRegistry& registry) {
  registry.AddCallbackCounters(
      {"meridian_updates_total",
       "Keys that clients have changed here, by what the coordinator was told of them.",
       {"outcome"}},
      [&reporter] {
        const UpdateCounters counters = reporter.counters();
        return Samples{{{"reported"}, static_cast<double>(counters.reported)},
                       {{"unwanted"}, static_cast<double>(counters.unwanted)},
                       {{"refused"}, static_cast<double>(counters.refused)},
                       {{"dropped"}, static_cast<double>(counters.dropped)}};
      });
}

void AddBuildInfo(MetricRegistry& registry) {
  registry.AddGauges({"meridian_build_info",
                      "1, with the release and its libraries as labels.",
                      {"version", "grpc"}},
                     [] {
                       return Samples{{{std::string(BuildVersion()), grpc::Version()}, 1}};
                     });
}

void AddNodeMetrics(const NodeContext& context, MetricRegistry& registry) {
  registry.AddCallbackCounters({"meridian_cache_gets_total",
                                "Keys looked up by the owner, by tier, result and namespace.",
                                {"tier", "result", "namespace"}},
                               [&context] { return TierSamples(context); });
  registry.AddCallbackHistograms(
      {"meridian_read_duration_seconds",
       "From a read's arrival at the owner of the key to the value, by what answered.",
       {"tier", "namespace"}},
      [&context] {
        std::vector<HistogramSample> samples;
        for (const auto& [name, figures] : context.namespaces.Figures()) {
          ReadCounts total = figures->Total();
          samples.push_back({{"l1", name}, std::move(total.l1)});
          samples.push_back({{"l2", name}, std::move(total.l2)});
          samples.push_back({{"miss", name}, std::move(total.miss)});
        }
        return samples;
      });
  registry.AddCallbackCounters(
      {"meridian_read_errors_total",
       "Keys whose read failed at their owner, also in calls that did not.",
       {"namespace"}},
      [&context] {
        Samples samples;
        for (const auto& [name, figures] : context.namespaces.Figures()) {
          samples.push_back({{name}, static_cast<double>(figures->Total().errors)});
        }
        return samples;
      });
  registry.AddCallbackCounters(
      {"meridian_cache_puts_total", "Values written by the owner (Touch included).", {"namespace"}},
      [&context] { return WriteSamples(context, &NamespaceCounters::sets); });
  registry.AddCallbackCounters(
      {"meridian_cache_invalidations_total", "Keys invalidated by the owner.", {"namespace"}},
      [&context] { return WriteSamples(context, &NamespaceCounters::invalidations); });
  registry.AddCallbackCounters({"meridian_cache_evictions_total",
                                "Entries that left L1, by cause and namespace.",
                                {"cause", "namespace"}},
                               [&context] { return EvictionSamples(context); });
  registry.AddCallbackCounters({"meridian_cache_misses_total",
                                "Keys that L1 did not have, by why it did not.",
                                {"cause", "namespace"}},
                               [&context] { return MissSamples(context); });
  registry.AddCallbackCounters({"meridian_warmed_entries_total",
                                "Entries that warming brought into L1, by what became of them.",
                                {"source", "namespace", "outcome"}},
                               [&context] { return WarmedSamples(context); });
  registry.AddGauges({"meridian_l1_entries", "Entries in L1.", {"namespace"}},
                     [&context] { return EngineSamples(context, &EngineCounters::entries); });
  registry.AddGauges({"meridian_l1_bytes", "Bytes in L1, overhead included.", {"namespace"}},
                     [&context] { return EngineSamples(context, &EngineCounters::bytes); });
  registry.AddGauge("meridian_l1_limit_bytes", "Bytes that L1 may use.", [&context] {
    return static_cast<double>(context.engine.options().capacity_bytes);
  });
  registry.AddGauge("meridian_traffic_log_bytes", "Bytes of the logs for what-if answers.",
                    [&context] {
                      size_t bytes = 0;
                      for (const Namespace* name_space : context.namespaces.List()) {
                        if (name_space->traffic != nullptr) bytes += name_space->traffic->bytes();
                      }
                      return static_cast<double>(bytes);
                    });
  registry.AddCallbackCounters(
      {"meridian_cache_bypassed_total",
       "Gets and Sets of keys that the policy does not cache.",
       {"namespace"}},
      [&context] { return WriteSamples(context, &NamespaceCounters::bypassed); });
  registry.AddCallbackCounters(
      {"meridian_l1_ttl_boosts_total", "Lives in L1 that hits have lengthened.", {"namespace"}},
      [&context] { return WriteSamples(context, &NamespaceCounters::boosts); });
  registry.AddCallbackCounters(
      {"meridian_l1_refreshes_total",
       "Entries read again from L2 ahead of their expiry in L1.",
       {"namespace"}},
      [&context] { return WriteSamples(context, &NamespaceCounters::refreshes); });
  registry.AddCallbackCounters(
      {"meridian_l1_demotions_total",
       "Victims of a pool that moved to a colder one instead.",
       {"namespace"}},
      [&context] { return EngineSamples(context, &EngineCounters::demotions); });
  registry.AddCallbackCounters(
      {"meridian_l1_promotions_total",
       "Entries that their hits moved to a hotter pool.",
       {"namespace"}},
      [&context] { return WriteSamples(context, &NamespaceCounters::pool_promotions); });
  AddGoalMetrics(context, registry);
  AddCompressionMetrics(context, registry);
  if (context.hints != nullptr) AddHintMetrics(context, registry);
  AddFenceMetrics(context, registry);
  if (const ClockGuard* clock = context.clock_guard; clock != nullptr) {
    AddClockMetrics([clock] { return !clock->ok(); }, [clock] { return clock->Offsets(); },
                    registry);
  }
  registry.AddGauge("meridian_ring_epoch", "Epoch of the topology in use; 0: none.",
                    [&context] { return static_cast<double>(context.topology.Get()->epoch()); });
  registry.AddGauge("meridian_ring_nodes", "Members of the topology in use.", [&context] {
    return static_cast<double>(context.topology.Get()->members().size());
  });
  registry.AddGauges({"meridian_ring_ownership_ratio", "Share of the slots, by node.", {"node"}},
                     [&context] { return OwnershipSamples(context); });
}

}  // namespace meridian
