#include "server/app/warming_metrics.h"

#include <optional>
#include <vector>

namespace meridian {

void AddWarmingMetrics(const Warmer& warmer, MetricRegistry& metrics) {
  metrics.AddGauges(
      {"meridian_warm_jobs", "Warm jobs of the leader that are not over, by state.", {"state"}},
      [&warmer]() -> std::vector<MetricSample> {
        const WarmQueue::Totals jobs = warmer.counters().jobs;
        return {{{"queued"}, static_cast<double>(jobs.queued)},
                {{"running"}, static_cast<double>(jobs.running)},
                {{"paused"}, static_cast<double>(jobs.paused)}};
      });
  metrics.AddGauge("meridian_warm_keys_left", "Keys that the warm jobs have still to read.",
                   [&warmer] { return static_cast<double>(warmer.counters().jobs.keys_left); });
  metrics.AddGauge("meridian_warm_reads_limit",
                   "Reads of warm jobs that the nodes' load allows at once; 0: paused.",
                   [&warmer] { return static_cast<double>(warmer.counters().reads_at_once); });
  const auto of_sources = [&warmer](auto value) {
    return [&warmer, value]() -> std::vector<MetricSample> {
      std::vector<MetricSample> samples;
      for (const WarmSources::View& source : warmer.counters().sources) {
        const std::optional<double> number = value(source);
        if (number) samples.push_back({{source.source, source.name_space}, *number});
      }
      return samples;
    };
  };
  using View = WarmSources::View;
  metrics.AddGauges({"meridian_warm_budget_keys_per_second",
                     "Keys a second that a source of warming may read for a namespace.",
                     {"source", "namespace"}},
                    of_sources([](const View& view) { return std::optional(view.budget); }));
  metrics.AddGauges({"meridian_warm_precision_ratio",
                     "Of the entries that a source brought and whose end is known, of late, those "
                     "that were hit.",
                     {"source", "namespace"}},
                    of_sources([](const View& view) { return view.precision; }));
  metrics.AddGauges({"meridian_warm_net_benefit",
                     "Loads spared less loads spent in vain, by entry that a source brought, of "
                     "late.",
                     {"source", "namespace"}},
                    of_sources([](const View& view) { return std::optional(view.net_benefit); }));
  metrics.AddCallbackCounters(
      {"meridian_warm_refused_keys_total",
       "Keys that a source of warming wanted to read and had no budget for.",
       {"source", "namespace"}},
      of_sources(
          [](const View& view) { return std::optional(static_cast<double>(view.refused)); }));
}

void AddWarmSettingsMetrics(const FileFollower& settings, MetricRegistry& metrics) {
  metrics.AddCallbackCounters({"meridian_warm_settings_reloads_total",
                               "Times that schedules, rules and budgets were read again.",
                               {"result"}},
                              [&settings]() -> std::vector<MetricSample> {
                                const FileFollowerStatus status = settings.Status();
                                return {{{"ok"}, static_cast<double>(status.reloads)},
                                        {{"failed"}, static_cast<double>(status.failed_reloads)}};
                              });
  metrics.AddGauge("meridian_warm_settings_last_reload_successful",
                   "1 when they were right when they were last read, else 0.",
                   [&settings] { return settings.Status().problem.empty() ? 1.0 : 0.0; });
}

void AddPredictionMetrics(const PredictionLead& prediction, MetricRegistry& metrics) {
  metrics.AddCallbackCounters({"meridian_prediction_accesses_total",
                               "Reads of sampled callers that prediction learnt from."},
                              [&prediction]() -> std::vector<MetricSample> {
                                return {{{}, static_cast<double>(prediction.counters().accesses)}};
                              });
  metrics.AddCallbackCounters({"meridian_predictions_total",
                               "Keys that were expected, by what became of them.",
                               {"outcome"}},
                              [&prediction]() -> std::vector<MetricSample> {
                                const PredictionLead::Counters counters = prediction.counters();
                                return {{{"queued"}, static_cast<double>(counters.queued)},
                                        {{"refused"}, static_cast<double>(counters.refused)}};
                              });
  metrics.AddGauge("meridian_prediction_keys", "Keys that prediction knows.",
                   [&prediction] { return static_cast<double>(prediction.counters().keys); });
}

}  // namespace meridian
