#include "server/app/l2_metrics.h"

#include <spdlog/spdlog.h>

#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/error.h"

namespace meridian {
namespace {

using Samples = std::vector<MetricSample>;

double BreakerNumber(std::string_view breaker) {
  return breaker == "closed" ? 0 : breaker == "open" ? 1 : 2;
}

}  // namespace

// One region's connections.
class L2Metrics::RegionObserver final : public L2Observer {
 public:
  RegionObserver(L2Metrics& metrics, std::string region)
      : metrics_(metrics), region_(std::move(region)) {}

  void CommandDone(std::string_view command, absl::Duration latency,
                   absl::StatusCode code) override {
    metrics_.durations_.With({region_, command}).Observe(latency);
    if (code != absl::StatusCode::kOk) {
      metrics_.errors_.With({region_, CodeName(static_cast<grpc::StatusCode>(code))}).Add();
    }
  }
  void ConnectionUp() override { spdlog::info("redis of {}: connected", region_); }
  void ConnectionDown(std::string_view cause, std::string_view why, bool was_ready) override {
    metrics_.reconnects_.With({region_, cause}).Add();
    // Of a connect that fails again and again only what changes is told.
    absl::MutexLock lock(&mu_);
    if (was_ready) {
      spdlog::warn("redis of {}: a connection was lost: {}", region_, why);
    } else if (why != last_failure_) {
      spdlog::warn("redis of {}: cannot connect: {}", region_, why);
    }
    last_failure_ = was_ready ? std::string_view() : why;
  }
  void Redirected(std::string_view kind) override {
    metrics_.redirects_.With({region_, kind}).Add();
  }
  void ReadFromReplica() override { metrics_.replica_reads_.With({region_}).Add(); }
  void PrimaryChanged(std::string_view from, std::string_view to) override {
    metrics_.primary_changes_.With({region_}).Add();
    spdlog::warn("redis of {}: {} is the primary now, it was {}", region_, to, from);
  }
  void SentinelChanged(std::string_view sentinel, std::string_view problem) override {
    if (problem.empty()) {
      spdlog::info("redis of {}: sentinel {} is well again", region_, sentinel);
    } else {
      spdlog::warn("redis of {}: sentinel {}: {}", region_, sentinel, problem);
    }
  }
  void BreakerChanged(std::string_view state) override {
    spdlog::warn("redis of {}: circuit breaker {}", region_, state);
  }

 private:
  L2Metrics& metrics_;
  const std::string region_;
  absl::Mutex mu_;
  std::string last_failure_ ABSL_GUARDED_BY(mu_);
};

L2Metrics::L2Metrics(MetricRegistry& registry)
    : durations_(registry.AddHistograms({"meridian_l2_command_duration_seconds",
                                         "Time of a command to a region's Redis.",
                                         {"region", "command"}})),
      errors_(registry.AddCounters({"meridian_l2_errors_total",
                                    "Failed commands to a region's Redis, by status code.",
                                    {"region", "kind"}})),
      reconnects_(registry.AddCounters({"meridian_l2_disconnects_total",
                                        "Connections to a region's Redis that were lost or failed.",
                                        {"region", "cause"}})),
      redirects_(registry.AddCounters(
          {"meridian_l2_redirects_total",
           "Commands that came back not carried out, because their data is elsewhere.",
           {"region", "kind"}})),
      replica_reads_(registry.AddCounters(
          {"meridian_l2_replica_reads_total",
           "Reads that did not reach their primary and were asked of a replica.",
           {"region"}})),
      primary_changes_(
          registry.AddCounters({"meridian_l2_primary_changes_total",
                                "Times that the sentinels of a region have named another primary.",
                                {"region"}})) {}

L2Metrics::~L2Metrics() = default;

L2Observer& L2Metrics::For(const std::string& region) {
  observers_.push_back(std::make_unique<RegionObserver>(*this, region));
  return *observers_.back();
}

void L2Metrics::AddStates(MetricRegistry& registry,
                          std::function<std::vector<std::pair<std::string, L2Health>>()> stores) {
  // One sample a region, or one a server of a region's `list`.
  const auto by_region = [&](const char* name, const char* help, auto value) {
    registry.AddGauges({name, help, {"region"}}, [stores, value] {
      Samples samples;
      for (const auto& [region, health] : stores()) samples.push_back({{region}, value(health)});
      return samples;
    });
  };
  const auto by_server = [&](const char* name, const char* help, const char* label, auto list,
                             auto value) {
    registry.AddGauges({name, help, {"region", label}}, [stores, list, value] {
      Samples samples;
      for (const auto& [region, health] : stores()) {
        for (const auto& server : health.*list) {
          samples.push_back({{region, server.address}, value(server)});
        }
      }
      return samples;
    });
  };
  by_region("meridian_l2_up", "1 when a region's Redis is connected.",
            [](const L2Health& health) { return health.connected ? 1.0 : 0.0; });
  by_region("meridian_l2_circuit_state",
            "Circuit breaker of a region's Redis: 0 closed, 1 open, 2 half open.",
            [](const L2Health& health) { return BreakerNumber(health.breaker); });
  by_server("meridian_l2_endpoint_circuit_state",
            "Circuit breaker of one server: 0 closed, 1 open, 2 half open.", "endpoint",
            &L2Health::endpoints,
            [](const L2Endpoint& endpoint) { return BreakerNumber(endpoint.breaker); });
  by_server("meridian_l2_connections", "Open connections to one server.", "endpoint",
            &L2Health::endpoints,
            [](const L2Endpoint& endpoint) { return static_cast<double>(endpoint.connections); });
  by_server("meridian_l2_sentinel_up", "1 when a sentinel answers, and is believed.", "sentinel",
            &L2Health::sentinels,
            [](const L2Sentinel& sentinel) { return sentinel.problem.empty() ? 1.0 : 0.0; });
}

void AddL2UsageMetrics(MetricRegistry& registry, const std::string& region,
                       std::function<std::optional<L2Usage>()> usage) {
  // `value`: nullopt: it has none.
  const auto add = [&](const char* name, const char* help, auto value) {
    registry.AddGauges({name, help, {"region"}}, [region, usage, value]() -> Samples {
      const std::optional<L2Usage> known = usage();
      if (!known.has_value()) return {};
      const std::optional<double> number = value(*known);
      if (!number.has_value()) return {};
      return {{{region}, *number}};
    });
  };
  using Number = std::optional<double>;
  add("meridian_l2_memory_used_bytes", "Memory that the servers of the regional Redis use.",
      [](const L2Usage& known) -> Number { return static_cast<double>(known.used_bytes); });
  add("meridian_l2_memory_limit_bytes", "Memory that they may use (maxmemory).",
      [](const L2Usage& known) -> Number {
        if (known.limit_bytes == 0) return std::nullopt;
        return static_cast<double>(known.limit_bytes);
      });
  add("meridian_l2_saves_ok", "0 when a server of the regional Redis could not write to its disk.",
      [](const L2Usage& known) -> Number { return known.saves ? 1 : 0; });
  add("meridian_l2_saved_timestamp_seconds",
      "When the oldest snapshot of the regional Redis was made, in seconds since 1970.",
      [](const L2Usage& known) -> Number {
        return static_cast<double>(absl::ToUnixSeconds(known.saved_at));
      });
  registry.AddGauges({"meridian_l2_settings",
                      "1, with settings of the regional Redis as labels.",
                      {"region", "eviction_policy", "aof"}},
                     [region, usage]() -> Samples {
                       const std::optional<L2Usage> known = usage();
                       if (!known.has_value()) return {};
                       return {{{region, known->eviction_policy, known->aof ? "on" : "off"}, 1}};
                     });
}

}  // namespace meridian
