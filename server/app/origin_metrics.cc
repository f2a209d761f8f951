#include "server/app/origin_metrics.h"

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace meridian {
namespace {

using Samples = std::vector<MetricSample>;
using Field = std::atomic<uint64_t> OriginCounters::*;

// One sample a namespace and row; a row without a label has the namespace alone.
Samples Rows(const NodeContext& context,
             std::initializer_list<std::pair<Field, const char*>> rows) {
  Samples samples;
  for (const Namespace* name_space : context.namespaces.List()) {
    for (const auto& [field, label] : rows) {
      const double value = static_cast<double>((name_space->counters.origin.*field).load());
      if (*label == '\0') {
        samples.push_back({{name_space->name}, value});
      } else {
        samples.push_back({{label, name_space->name}, value});
      }
    }
  }
  return samples;
}

void AddCounter(const NodeContext& context, const char* name, const char* help, Field field,
                MetricRegistry& registry) {
  registry.AddCallbackCounters({name, help, {"namespace"}}, [&context, field] {
    return Rows(context, {{field, ""}});
  });
}

void AddCounters(const NodeContext& context, MetricRegistry& registry) {
  using C = OriginCounters;
  AddCounter(context, "meridian_origin_loads_total", "Calls to origins, every attempt.", &C::loads,
             registry);
  AddCounter(context, "meridian_origin_retries_total",
             "Calls that were made again because the origin was unavailable.", &C::retries,
             registry);
  registry.AddCallbackCounters({"meridian_origin_keys_total",
                                "Keys that origins were asked for, by result.",
                                {"result", "namespace"}},
                               [&context] {
                                 return Rows(context, {{&C::found, "found"},
                                                       {&C::absent, "absent"},
                                                       {&C::errors, "error"},
                                                       {&C::invalid, "invalid"},
                                                       {&C::timeouts, "timeout"},
                                                       {&C::unavailable, "unavailable"}});
                               });
  AddCounter(
      context, "meridian_origin_ignored_results_total",
      "Results of origins for keys that were not asked for, and all but the first of others.",
      &C::ignored, registry);
  AddCounter(context, "meridian_dependencies_cut_total",
             "Entries that were written without all of what they inherit from their dependencies.",
             &C::dependencies_cut, registry);
  AddCounter(context, "meridian_dependencies_unknown_total",
             "Entries that were written when a key that they depend on was not stored.",
             &C::dependencies_unknown, registry);
  AddCounter(context, "meridian_origin_overtaken_total",
             "Loaded values that were not stored, because something newer came meanwhile.",
             &C::overtaken, registry);
  AddCounter(context, "meridian_origin_answers_total",
             "Keys of callers that were answered with a value that was loaded just then.",
             &C::answers, registry);
  AddCounter(context, "meridian_negative_hits_total",
             "Keys of callers that the origin is known not to have, so that it was not asked.",
             &C::negative_hits, registry);
  AddCounter(context, "meridian_stale_answers_total",
             "Keys of callers that were answered with a value past its TTL, as they allowed.",
             &C::stale_answers, registry);
  registry.AddCallbackCounters(
      {"meridian_leases_total", "Leases, by what became of them.", {"event", "namespace"}},
      [&context] {
        return Rows(context, {{&C::leases_granted, "granted"},
                              {&C::leases_filled, "filled"},
                              {&C::leases_void, "void"},
                              {&C::leases_expired, "expired"},
                              {&C::leases_returned, "returned"}});
      });
}

double BreakerNumber(std::string_view breaker) {
  return breaker == "closed" ? 0 : breaker == "open" ? 1 : 2;
}

}  // namespace

OriginMetrics::OriginMetrics(MetricRegistry& registry)
    : durations_(registry.AddHistograms({"meridian_origin_call_duration_seconds",
                                         "Time of a call to an origin.",
                                         {"namespace"}})) {}

void OriginMetrics::OnCall(std::string_view name_space, absl::Duration took) {
  durations_.With({name_space}).Observe(took);
}

void AddOriginMetrics(const NodeContext& context, const OriginLoader& origins,
                      const MissPath& misses, MetricRegistry& registry) {
  AddCounters(context, registry);
  const auto gauge = [&](const char* name, const char* help, double (*value)(const OriginState&)) {
    registry.AddGauges({name, help, {"namespace"}}, [&origins, value] {
      Samples samples;
      for (const OriginState& state : origins.States()) {
        samples.push_back({{state.name_space}, value(state)});
      }
      return samples;
    });
  };
  gauge("meridian_origin_waiting_keys", "Keys that wait for a call to their origin.",
        [](const OriginState& state) { return static_cast<double>(state.waiting); });
  gauge("meridian_origin_calls", "Calls to origins under way.",
        [](const OriginState& state) { return static_cast<double>(state.calls); });
  gauge("meridian_origin_breaker_state", "0 closed, 1 open, 2 half open.",
        [](const OriginState& state) { return BreakerNumber(state.breaker); });
  registry.AddGauge("meridian_miss_waiters",
                    "Keys of callers that wait for L2, an origin or a lease.",
                    [&misses] { return static_cast<double>(misses.flights().waiters()); });
}

}  // namespace meridian
