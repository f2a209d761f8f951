#include "server/app/replication_metrics.h"

#include <spdlog/spdlog.h>

#include "common/base/clock.h"
#include "common/base/version.h"

namespace meridian {
namespace {

constexpr absl::Duration kSkewLogInterval = absl::Seconds(10);

using Samples = std::vector<MetricSample>;

}  // namespace

ReplicationMetrics::ReplicationMetrics(MetricRegistry& registry, std::string own_region,
                                       const std::vector<std::string>& regions)
    : own_region_(std::move(own_region)),
      applied_(registry.AddCounters({"meridian_replication_applied_total",
                                     "Changes sent to another region, by result.",
                                     {"to", "result"}})),
      link_gaps_(
          registry.AddCounters({"meridian_replication_lost_total",
                                "Slots of which changes were trimmed before a region got them.",
                                {"to"}})),
      target_losses_(registry.AddCounters(
          {"meridian_replication_target_losses_total",
           "Slots of which another region's store has less than it had answered.",
           {"to"}})),
      dropped_(
          registry.AddCounters({"meridian_replication_dropped_total",
                                "Changes left out because their record is malformed or refused.",
                                {"to"}})),
      gone_(registry.AddCounters(
          {"meridian_replication_gone_total",
           "Changes whose record was gone before it was sent: values that expired or were evicted, "
           "deletes that were evicted; the other region drops what is older.",
           {"to", "what"}})),
      tail_errors_(registry.AddCounter("meridian_changelog_errors_total",
                                       "Polls of the changelog that failed.")),
      tail_gaps_(registry.AddCounter("meridian_changelog_gaps_total",
                                     "Slots whose L1 was dropped because changes may be missing.")),
      lost_(
          registry.AddCounter("meridian_changelog_lost_total",
                              "Acknowledged changes that the regional Redis has lost, at least.")),
      recovered_(registry.AddCounters(
          {"meridian_changelog_recovered_total",
           "Keys that were mended after the regional Redis had lost changes: values that L1 still "
           "held, and removals of older values that had come back.",
           {"what"}})),
      clock_skew_(registry.AddCounter("meridian_clock_skew_total",
                                      "Versions more than 60 s ahead of this clock.")) {
  HistogramFamily& lags =
      registry.AddHistograms({"meridian_replication_lag_seconds",
                              "Time from a write in another region to its arrival in this one.",
                              {"from", "to"}});
  for (const std::string& region : regions) {
    if (region == own_region_) continue;
    lags_.emplace_back(RegionId(region), &lags.With({region, own_region_}));
  }
}

void ReplicationMetrics::AddLinks(MetricRegistry& registry,
                                  std::function<std::vector<LinkStatus>()> links) {
  const auto add = [&](const char* name, const char* help, auto value) {
    registry.AddGauges({name, help, {"from", "to"}}, [links, value] {
      Samples samples;
      for (const LinkStatus& link : links()) samples.push_back({{link.from, link.to}, value(link)});
      return samples;
    });
  };
  add("meridian_replication_queue_entries", "Changes of this node that wait for another region.",
      [](const LinkStatus& link) { return static_cast<double>(link.backlog); });
  add("meridian_replication_oldest_seconds",
      "Age of the oldest change that waits for another region; 0: none.",
      [](const LinkStatus& link) { return absl::ToDoubleSeconds(link.lag); });
  add("meridian_replication_cut", "1 while an operator has stopped replication to another region.",
      [](const LinkStatus& link) { return link.state == LinkState::kCut ? 1.0 : 0.0; });
  add("meridian_replication_refused_slots",
      "Slots whose changes another region's Redis refuses now, while it answers.",
      [](const LinkStatus& link) { return static_cast<double>(link.refused_slots); });
  add("meridian_replication_owed_drops",
      "Drops of what is older than a change that has expired or been evicted, which the own Redis "
      "refuses now.",
      [](const LinkStatus& link) { return static_cast<double>(link.owed_drops); });
  add("meridian_replication_repairing_slots",
      "Slots that are compared key by key with another region.",
      [](const LinkStatus& link) { return static_cast<double>(link.repair.slots); });
  registry.AddCallbackCounters(
      {"meridian_replication_repair_keys_total",
       "Keys of repairs: compared, and of those sent, or sent to fill what had nothing (filled), "
       "forgotten here, withheld or refused.",
       {"from", "to", "result"}},
      [links] {
        Samples samples;
        for (const LinkStatus& link : links()) {
          const auto count = [&](const char* result, uint64_t keys) {
            samples.push_back({{link.from, link.to, result}, static_cast<double>(keys)});
          };
          count("compared", link.repair.compared_total);
          count("sent", link.repair.sent_total);
          count("filled", link.repair.filled_total);
          count("forgotten", link.repair.forgotten_total);
          count("withheld", link.repair.withheld_total);
          count("refused", link.repair.refused_total);
        }
        return samples;
      });
}

void ReplicationMetrics::OnForeignChange(uint16_t region_id, absl::Duration lag) {
  for (const auto& [id, histogram] : lags_) {
    if (id == region_id) histogram->Observe(lag);
  }
}

void ReplicationMetrics::OnApplied(const std::string& target, size_t applied, size_t stale) {
  applied_.With({target, "applied"}).Add(applied);
  applied_.With({target, "stale"}).Add(stale);
}

void ReplicationMetrics::OnLinkState(const std::string& target, LinkState state,
                                     const std::string& problem) {
  if (problem.empty()) {
    spdlog::info("replication to {}: {}", target, LinkStateName(state));
  } else {
    spdlog::warn("replication to {}: {}: {}", target, LinkStateName(state), problem);
  }
}

void ReplicationMetrics::OnTargetLoss(const std::string& target, size_t slots) {
  target_losses_.With({target}).Add(slots);
  spdlog::warn("replication to {}: its store has lost what it had of {} slots; it is sent again",
               target, slots);
}

void ReplicationMetrics::OnLinkGap(const std::string& target, uint32_t slot) {
  link_gaps_.With({target}).Add();
  spdlog::error(
      "replication to {}: changes of slot {} were trimmed before they were sent; it is "
      "compared key by key",
      target, slot);
}

void ReplicationMetrics::OnGone(const std::string& target, bool removal) {
  gone_.With({target, removal ? "delete" : "value"}).Add();
}

void ReplicationMetrics::OnDropped(const std::string& target, const absl::Status& why) {
  dropped_.With({target}).Add();
  spdlog::error("replication to {}: a change is left out: {}", target, std::string(why.message()));
}

void ReplicationMetrics::OnTailError(const absl::Status& status) {
  tail_errors_.Add();
  spdlog::debug("changelog: {}", std::string(status.message()));
}

void ReplicationMetrics::OnTailGap(uint32_t slot) {
  tail_gaps_.Add();
  spdlog::debug("changelog: slot {} has a gap, its L1 is dropped", slot);
}

void ReplicationMetrics::OnRecovered(size_t values, size_t removals) {
  if (values > 0) recovered_.With({"value"}).Add(values);
  if (removals > 0) recovered_.With({"removal"}).Add(removals);
  spdlog::warn(
      "after a loss of the regional redis {} values of L1 were written back, and {} older values "
      "were removed",
      values, removals);
}

void ReplicationMetrics::OnLostChanges(uint32_t slot, size_t count) {
  lost_.Add(count);
  spdlog::error(
      "changelog: slot {}: the regional Redis came back older and has lost at least {} "
      "acknowledged changes",
      slot, count);
}

void ReplicationMetrics::OnOwnClock(const absl::Status& status) {
  if (status.ok()) {
    spdlog::info("this node's clock is right again");
  } else {
    spdlog::error("{}", std::string(status.message()));
  }
}

void ReplicationMetrics::OnClockSkew(const absl::Status& status) {
  clock_skew_.Add();
  const int64_t now = absl::ToInt64Milliseconds(SystemClock().Monotonic());
  int64_t next = next_skew_log_ms_;
  if (now < next || !next_skew_log_ms_.compare_exchange_strong(
                        next, now + absl::ToInt64Milliseconds(kSkewLogInterval))) {
    return;
  }
  spdlog::error("{}", std::string(status.message()));
}

void AddHorizonMetrics(MetricRegistry& registry, const SlotHorizons& horizons) {
  registry.AddGauge("meridian_replication_fenced_slots",
                    "Slots whose old values are not served until another region has told what it "
                    "has deleted.",
                    [&horizons] { return static_cast<double>(horizons.size()); });
}

void AddStoreUseMetrics(MetricRegistry& registry, std::function<StoreUse()> use) {
  const auto add = [&](const char* name, const char* help, uint64_t StoreUse::*field) {
    registry.AddGauge(name, help, [use, field] { return static_cast<double>(use().*field); });
  };
  add("meridian_changelog_entries", "Entries in the changelogs of this node's slots.",
      &StoreUse::changelog_entries);
  add("meridian_changelog_bytes", "Bytes of these in the regional Redis, as it estimates them.",
      &StoreUse::changelog_bytes);
  add("meridian_changelog_trimmed_entries",
      "Entries that were trimmed from them because of --changelog-max-bytes, since start.",
      &StoreUse::changelog_trimmed);
  add("meridian_tombstones", "Tombstones in the regional Redis; 0 but at the owner of slot 0.",
      &StoreUse::tombstones);
  add("meridian_tombstone_bytes", "Bytes of these, as Redis estimates them.",
      &StoreUse::tombstone_bytes);
  add("meridian_tombstones_evictable",
      "Of these, such that a full Redis may evict, because they take more than "
      "--tombstone-max-bytes.",
      &StoreUse::tombstones_evictable);
}

void AddStalenessMetrics(MetricRegistry& registry, std::function<StalenessReport()> report) {
  registry.AddCallbackCounters(
      {"meridian_staleness_looks_total",
       "Looks for sampled changes at places where they should be, so long after the regional "
       "Redis got them, or after they were sent there by this node.",
       {"region", "within", "result"}},
      [report] {
        std::map<std::string, StalenessRow> regions;  // All namespaces together.
        for (const StalenessRow& row : report().rows) {
          StalenessRow& sum = regions[row.region];
          for (size_t age = 0; age < kStalenessAges.size(); ++age) {
            sum.right[age] += row.right[age];
            sum.wrong[age] += row.wrong[age];
          }
        }
        Samples samples;
        for (const auto& [region, sum] : regions) {
          for (size_t age = 0; age < kStalenessAges.size(); ++age) {
            const std::string within = absl::FormatDuration(kStalenessAges[age]);
            samples.push_back({{region, within, "right"}, static_cast<double>(sum.right[age])});
            samples.push_back({{region, within, "wrong"}, static_cast<double>(sum.wrong[age])});
          }
        }
        return samples;
      });
  registry.AddCallbackCounters(
      {"meridian_staleness_late_total",
       "Sampled changes that were heard of later than 1 s after the regional Redis got them, or "
       "after they were sent there; right looks do not count for times that had passed.",
       {}},
      [report] {
        return Samples{{{}, static_cast<double>(report().late_total)}};
      });
  registry.AddCallbackCounters(
      {"meridian_staleness_dropped_total",
       "Changes and fences that this node has carried out and did not follow, because too many "
       "came at once.",
       {"what"}},
      [report] {
        const StalenessReport now = report();
        return Samples{{{"change"}, static_cast<double>(now.dropped_changes_total)},
                       {{"fence"}, static_cast<double>(now.dropped_fences_total)}};
      });
  registry.AddCallbackCounters(
      {"meridian_staleness_incidents_total",
       "Places that would have served an old value when they should have known better.",
       {}},
      [report] {
        return Samples{{{}, static_cast<double>(report().incidents_total)}};
      });
}

}  // namespace meridian
