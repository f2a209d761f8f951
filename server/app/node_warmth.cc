// Warmth of a node: who refills it, and who is told how warm it is.

#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "server/app/node_parts.h"
#include "server/coordinator/rollout_tickets.h"

namespace meridian {
namespace {

constexpr absl::Duration kWarmthInterval = absl::Milliseconds(100);
constexpr char kWarmService[] = "meridian.warm";  // Of grpc.health.v1.

}  // namespace

void NodeParts::MakeRefill() {
  registry.AddGauge("meridian_warmth_ratio",
                    "Share of the hot keys of this node's slots, by weight, that L1 has.",
                    [this] { return Warmth(); });
  if (config.redis_url.empty()) return;
  warm_readiness =
      std::make_unique<WarmReadiness>(WarmReadinessOptions{.warmth = config.ready_warmth,
                                                           .deadline = config.ready_warmth_deadline,
                                                           .paced = RolloutTickets::kWarm});
  Histogram& seconds = registry.AddHistogram(
      "meridian_refill_seconds", "From slots gained to all their hot keys refilled, or given up.",
      {0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60});
  refill_executor = std::make_unique<ThreadExecutor>("refill");
  RefillOptions options;
  options.refill.keys_per_second = static_cast<double>(config.refill_rate);
  options.refill.seed = RandomSeed();
  options.saver.interval = config.heat_interval;
  options.stage.max_bytes = config.hand_off_max_bytes;
  options.stage.log_entries = std::min(config.changelog_max_entries, StoreUpkeep::kFewestEntries);
  refill = std::make_unique<Refill>(
      options, *context, *peers, *refill_executor,
      [this, &seconds](absl::Duration took, uint64_t filled) {
        seconds.Observe(took);
        spdlog::info("refilled {} hot keys in {}, warmth {:.2f}", filled,
                     absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))), Warmth());
      });
  registry.AddCallbackCounters(
      {"meridian_refill_keys_total",
       "Hot keys of slots that were gained, by what became of their refill.",
       {"outcome"}},
      [this] {
        std::vector<MetricSample> samples;
        for (size_t i = 0; i < kRefillOutcomes; ++i) {
          samples.push_back({{RefillOutcomeName(static_cast<RefillOutcome>(i))},
                             static_cast<double>(refill->counters()[i].load())});
        }
        return samples;
      });
  registry.AddCallbackCounters(
      {"meridian_hand_off_sent_total",
       "Entries that other nodes have taken from this one before they got its slots.",
       {}},
      [this] {
        return std::vector<MetricSample>{{{}, static_cast<double>(refill->handed_off())}};
      });
  registry.AddCallbackCounters(
      {"meridian_hand_off_entries_total",
       "Entries that other nodes have handed over to this one, by what became of them.",
       {"outcome"}},
      [this] {
        std::vector<MetricSample> samples;
        for (size_t i = 0; i < kRefillOutcomes; ++i) {
          samples.push_back({{RefillOutcomeName(static_cast<RefillOutcome>(i))},
                             static_cast<double>(refill->taken()[i].load())});
        }
        return samples;
      });
  registry.AddGauge("meridian_heat_keys", "Keys that are known as the hot ones of owned slots.",
                    [this] { return static_cast<double>(refill->expected_keys()); });
  registry.AddCallbackCounters(
      {"meridian_heat_saved_total", "Digests of slots' hot keys that were saved in Redis.", {}},
      [this] {
        return std::vector<MetricSample>{{{}, static_cast<double>(refill->saved_digests())}};
      });
  refill->Start();
}

double NodeParts::Warmth() const { return refill == nullptr ? 1.0 : refill->warmth(); }

bool NodeParts::IsWarmedUp() const {
  if (warm_readiness == nullptr) return true;
  const bool owns = !topology.Get()->SlotsOf(config.id).empty();
  return warm_readiness->Update(owns, Warmth(), clock.Monotonic());
}

std::string NodeParts::WhyCold() const {
  return absl::StrFormat("warms up: has %.2f of its hot keys, waits for %.2f", Warmth(),
                         config.ready_warmth);
}

void NodeParts::FollowWarmth() {
  const double warmth = Warmth();
  if (coordinator_client != nullptr && warm_readiness != nullptr) {
    const bool owns = !topology.Get()->SlotsOf(config.id).empty();
    coordinator_client->SetWarmth(warm_readiness->Told(owns, warmth, clock.Monotonic()));
  }
  TellHealth(IsWarmedUp(), warm_readiness == nullptr || warm_readiness->IsWarm(warmth));
  housekeeping->PostAfter(kWarmthInterval, [this] { FollowWarmth(); });
}

void NodeParts::TellHealth(bool serving, bool warm) {
  absl::MutexLock lock(&health_mu);
  const std::pair<bool, bool> news(serving, warm);
  if (stopping || told_health == news) return;  // Whoever watches is told of changes.
  told_health = news;
  for (grpc::Server* server : {data_server.get(), admin_server.get(), health_server()}) {
    if (server == nullptr) continue;  // It could not listen, or need not.
    server->GetHealthCheckService()->SetServingStatus("", serving);
    server->GetHealthCheckService()->SetServingStatus(kWarmService, warm);
  }
}

}  // namespace meridian
