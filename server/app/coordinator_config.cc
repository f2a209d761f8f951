#include "server/app/coordinator_config.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/option_set.h"
#include "server/policy/text.h"
#include "server/rollout/rollout_plan.h"

namespace meridian {
namespace {

using Texts = std::vector<std::string>;
using RolloutGuardsProto = coordinator::v1::RolloutGuards;

constexpr char kExamples[] = R"(Examples:
  meridian-coordinator --region us                                   the only one of its region
  meridian-coordinator --region us --redis redis://127.0.0.1:6379    one of several
  meridian-coordinator --config coordinator.yaml --print-config      every setting and its origin)";

auto SetDuration(absl::Duration* target, absl::Duration low, absl::Duration high) {
  return [target, low, high](const Texts& texts) -> absl::Status {
    ASSIGN_OR_RETURN(*target, ParseDuration(texts[0]));
    if (*target < low || *target > high) {
      return absl::InvalidArgumentError(absl::StrCat(
          texts[0], " is not in ", absl::FormatDuration(low), "..", absl::FormatDuration(high)));
    }
    return absl::OkStatus();
  };
}

auto SetName(std::string* target) {
  return [target](const Texts& texts) -> absl::Status {
    RETURN_IF_ERROR(CheckName(texts[0]));
    *target = texts[0];
    return absl::OkStatus();
  };
}

auto SetOneOf(std::string* target, std::vector<std::string> allowed) {
  return [target, allowed](const Texts& texts) -> absl::Status {
    for (const std::string& word : allowed) {
      if (texts[0] != word) continue;
      *target = word;
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat(QuoteKey(texts[0]), " is not one of ", absl::StrJoin(allowed, ", ")));
  };
}

void AddIdentityOptions(CoordinatorConfig* config, OptionSet* set) {
  set->Add({"id", "coordinator.id", "coordinator-1",
            "Name of this coordinator, unique in its region", SetName(&config->id)});
  set->Add({"region", "coordinator.region", "local", "Region that this coordinator serves",
            SetName(&config->region)});
  set->AddAddress(&config->grpc_address,
                  {"grpc-address", "listen.grpc", "127.0.0.1:7410",
                   "Where CoordinatorService listens; port 0: any free one"});
  set->AddAddress(&config->http_address, {"http-address", "listen.http", "127.0.0.1:7413",
                                          "Where metrics and health listen"});
  set->AddString(&config->advertise_address,
                 {"advertise-address", "listen.advertise_address", "",
                  "host:port that others reach this coordinator by; empty: as it listens"});
  set->Add({"insecure", "listen.insecure", "false",
            "Allow plaintext on addresses beyond loopback: anybody who reaches them may register",
            [config](const Texts& texts) -> absl::Status {
              ASSIGN_OR_RETURN(config->insecure, ParseBool(texts[0]));
              return absl::OkStatus();
            }});
}

template <typename T>
auto SetCount(T* target, uint64_t low, uint64_t high) {
  return [target, low, high](const Texts& texts) -> absl::Status {
    ASSIGN_OR_RETURN(const uint64_t value, ParseInteger(texts[0], low, high));
    *target = static_cast<T>(value);
    return absl::OkStatus();
  };
}

// `file`: what the YAML names as warming.file, which is read when all options are known.
void AddWarmingOptions(CoordinatorConfig* config, std::string* file, OptionSet* set) {
  WarmerOptions& warmer = config->warmer;
  WarmSettings& settings = config->warming;
  set->Add({"warm-rate", "warming.keys_per_second", "1000",
            "Keys a second that warm jobs read, of a namespace without a budget of its own",
            [&settings](const Texts& texts) -> absl::Status {
              ASSIGN_OR_RETURN(settings.budgets.default_rate,
                               ParseNumber(texts[0], 0.001, WarmSettings::kMaxRate));
              return absl::OkStatus();
            }});
  set->Add({"warm-reads", "warming.reads", "4",
            "Reads of warm jobs at once; fewer while nodes are late or have too much to do",
            SetCount(&warmer.runner.pace.max, 1, 64)});
  set->Add({"warm-batch", "warming.batch_keys", "100", "Keys of one such read",
            SetCount(&warmer.runner.batch_keys, 1, 1000)});
  set->Add({"warm-late", "warming.late", "1s", "Answers that take longer slow warming down",
            SetDuration(&warmer.runner.pace.late, absl::Milliseconds(1), absl::Seconds(10))});
  set->Add({"warm-deadline", "warming.job_deadline", "1h",
            "When a job that `meridianctl warm run KEY` queued gives up",
            SetDuration(&warmer.job_deadline, absl::Seconds(1), absl::Hours(24 * 30))});
  set->Add({"warm-max-jobs", "warming.max_jobs", "1000", "Warm jobs that may wait or run",
            SetCount(&warmer.queue.max_live, 1, 10000)});
  set->Add({"warm-events", "warming.events_per_second", "10000",
            "Events a second that services may report; the rest is refused",
            [&warmer](const Texts& texts) -> absl::Status {
              ASSIGN_OR_RETURN(warmer.events.events_per_second,
                               ParseNumber(texts[0], 1, WarmSettings::kMaxRate));
              return absl::OkStatus();
            }});
  set->Add({"warm-settle", "warming.settle", "5s",
            "How long the nodes of a cold cluster must be the same before startup: is warmed",
            SetDuration(&warmer.settle, absl::ZeroDuration(), absl::Minutes(10))});
  set->AddString(
      file, {"warm-file", "warming.file", "",
             "YAML file with schedules:, startup:, rules: and budgets:, besides those of warming "
             "in this one"});
  set->Add({"warm-poll", "warming.poll", "5s",
            "How often it, and the warming of this file, are looked at; SIGHUP reads them at once",
            SetDuration(&config->warming_poll, absl::Milliseconds(50), absl::Hours(24))});
  set->AddSection("warming.schedules",
                  [&settings](const std::string& name, const YAML::Node& node) {
                    return settings.ReadSchedules(name, node);
                  });
  set->AddSection("warming.startup", [&settings](const std::string& name, const YAML::Node& node) {
    return settings.ReadStartup(name, node);
  });
  set->AddSection("warming.rules", [&settings](const std::string& name, const YAML::Node& node) {
    return settings.ReadRules(name, node);
  });
  set->AddSection("warming.budgets", [&settings](const std::string& name, const YAML::Node& node) {
    return settings.ReadBudgets(name, node);
  });
}

void AddPredictionOptions(CoordinatorConfig* config, OptionSet* set) {
  PredictionOptions& prediction = config->prediction;
  set->Add({"prediction", "prediction.enabled", "false",
            "Learn which keys are wanted together and next, and warm them; nodes need "
            "--sample-callers",
            [&prediction](const Texts& texts) -> absl::Status {
              ASSIGN_OR_RETURN(prediction.enabled, ParseBool(texts[0]));
              return absl::OkStatus();
            }});
  set->Add({"prediction-threshold", "prediction.threshold", "0.5",
            "How sure it must be that a key is wanted soon, 0.05..1",
            [&prediction](const Texts& texts) -> absl::Status {
              ASSIGN_OR_RETURN(prediction.predictor.threshold, ParseNumber(texts[0], 0.05, 1));
              return absl::OkStatus();
            }});
  set->Add({"prediction-keys", "prediction.keys", "50000",
            "Keys that it knows, 100..200000, each about 500 bytes",
            SetCount(&prediction.predictor.max_keys, 100, 200'000)});
  set->Add({"prediction-window", "prediction.window", "60s",
            "What one caller asks for within this time is asked for together",
            SetDuration(&prediction.predictor.window, absl::Seconds(1), absl::Hours(1))});
}

auto SetShare(RolloutGuardsProto* guards, void (RolloutGuardsProto::*set)(double), double most) {
  return [guards, set, most](const Texts& texts) -> absl::Status {
    ASSIGN_OR_RETURN(const double value, ParseNumber(texts[0], 0, most));
    (guards->*set)(value);
    return absl::OkStatus();
  };
}

// Milliseconds in a message.
template <typename Message>
auto SetMs(Message* message, void (Message::*set)(uint64_t), absl::Duration low,
           absl::Duration high) {
  return [message, set, low, high](const Texts& texts) -> absl::Status {
    absl::Duration value;
    RETURN_IF_ERROR(SetDuration(&value, low, high)(texts));
    (message->*set)(static_cast<uint64_t>(absl::ToInt64Milliseconds(value)));
    return absl::OkStatus();
  };
}

// Stages of a plan: "10,50,100".
auto SetStages(coordinator::v1::RolloutPlan* plan) {
  return [plan](const Texts& texts) -> absl::Status {
    plan->clear_percents();
    for (const std::string& text : texts) {
      ASSIGN_OR_RETURN(const uint64_t percent, ParseInteger(text, 1, 100));
      plan->add_percents(static_cast<uint32_t>(percent));
    }
    return CompletePlan(*plan, ShippedPlan()).status();
  };
}

auto SetFloors(RolloutWatch::MinHitRates* floors) {
  return [floors](const Texts& texts) -> absl::Status {
    for (const std::string& text : texts) {
      const size_t equals = text.find('=');
      const std::string name = text.substr(0, equals);
      if (equals == std::string::npos || !IsName(name)) {
        return absl::InvalidArgumentError(
            absl::StrCat(QuoteKey(text), " is not NAMESPACE=SHARE, such as task=0.8"));
      }
      ASSIGN_OR_RETURN((*floors)[name], ParseNumber(text.substr(equals + 1), 0, 1));
    }
    return absl::OkStatus();
  };
}

// "eu=127.0.0.1:7413", and "eu=https://coordinator.eu" for what is behind TLS.
auto SetCoordinators(OtherRegions::Coordinators* target) {
  return [target](const Texts& texts) -> absl::Status {
    for (const std::string& text : texts) {
      if (text.empty()) continue;
      const size_t equals = text.find('=');
      if (equals == std::string::npos) {
        return absl::InvalidArgumentError(absl::StrCat(QuoteKey(text), " is not REGION=HOST:PORT"));
      }
      const std::string region = text.substr(0, equals);
      const std::string address = text.substr(equals + 1);
      RETURN_IF_ERROR(CheckName(region));
      const bool is_url = address.find("://") != std::string::npos;
      if (!is_url) RETURN_IF_ERROR(CheckAddress(address));
      ASSIGN_OR_RETURN(HttpUrl url,
                       ParseHttpUrl(is_url ? address : absl::StrCat("http://", address)));
      if (url.target != "/") {
        return absl::InvalidArgumentError(absl::StrCat(QuoteKey(text), " has a path"));
      }
      (*target)[region].push_back(std::move(url));
    }
    return absl::OkStatus();
  };
}

void AddRolloutOptions(PolicyRolloutsOptions* rollouts, OptionSet* set) {
  coordinator::v1::RolloutPlan* plan = &rollouts->plan;
  RolloutGuardsProto* guards = plan->mutable_guards();
  set->Add(
      {"rollout-stages", "rollout.stages", "10,50,100",
       "Shares of the slots, in percent, that a new version of the policies gets one after the "
       "other",
       SetStages(plan), true});
  set->Add({"rollout-hold", "rollout.hold", "4h",
            "How long a stage is watched before the next, and the last one before it is done",
            SetMs(plan, &coordinator::v1::RolloutPlan::set_hold_ms, absl::Milliseconds(1),
                  absl::Hours(24 * 7))});
  set->Add({"rollout-interval", "rollout.guard_interval", "10s",
            "How often the guards of a rollout look",
            SetMs(guards, &RolloutGuardsProto::set_interval_ms, absl::Milliseconds(100),
                  absl::Hours(1))});
  set->Add({"rollout-min-reads", "rollout.min_reads", "1000",
            "Reads of a namespace in the slots of the trial below which a guard says nothing",
            [guards](const Texts& texts) -> absl::Status {
              ASSIGN_OR_RETURN(const uint64_t reads, ParseInteger(texts[0], 1, 1'000'000'000));
              guards->set_min_reads(reads);
              return absl::OkStatus();
            }});
  set->Add({"rollout-hit-rate-drop", "rollout.max_hit_rate_drop", "0.05",
            "Points (0..1) that the hit rate may be below that of the other slots",
            SetShare(guards, &RolloutGuardsProto::set_max_hit_rate_drop, 1)});
  set->Add({"rollout-p99-rise", "rollout.max_p99_rise", "0.05",
            "Share that the p99 of reads may be above that of the other slots",
            SetShare(guards, &RolloutGuardsProto::set_max_p99_rise, 100)});
  set->Add({"rollout-error-rise", "rollout.max_error_rise", "0",
            "Points (0..1) that the share of failed reads may be above that of the other slots",
            SetShare(guards, &RolloutGuardsProto::set_max_error_rise, 1)});
  set->Add(
      {"rollout-min-hit-rate", "rollout.min_hit_rate", "",
       "Hit rates that namespaces must keep in the slots of the trial: task=0.8; none: no floor",
       SetFloors(&rollouts->min_hit_rates), true});
}

void AddHttpOptions(CoordinatorConfig* config, OptionSet* set) {
  set->Add({"alert-webhook", "alerts.webhook", "",
            "http:// or https:// URL that is told which alerts begin and end, in the JSON of "
            "Alertmanager's webhook; empty: none",
            [config](const Texts& texts) -> absl::Status {
              if (texts[0].empty()) return absl::OkStatus();
              ASSIGN_OR_RETURN(config->alert_webhook, ParseHttpUrl(texts[0]));
              return absl::OkStatus();
            },
            false, true});
  set->Add({"alert-external-url", "alerts.external_url", "",
            "URL at which people reach this coordinator's page, for the receiver of alerts; empty: "
            "where it listens",
            [config](const Texts& texts) -> absl::Status {
              config->external_url = texts[0];
              return texts[0].empty() ? absl::OkStatus() : ParseHttpUrl(texts[0]).status();
            }});
  set->Add({"other-coordinators", "cluster.other_coordinators", "",
            "HTTP addresses of the coordinators of other regions, REGION=HOST:PORT (or a URL), one "
            "for each coordinator: whom /v1/cluster/…?scope=cluster asks, too",
            SetCoordinators(&config->other_coordinators), true});
  set->AddString(&config->http_ca,
                 {"http-ca", "http.ca_file", "",
                  "PEM file with the authorities that servers of https:// URLs are judged by; "
                  "empty: those of the system"});
}

absl::Status CheckHttp(const CoordinatorConfig& config) {
  bool tls = config.alert_webhook.has_value() && config.alert_webhook->tls;
  for (const auto& [region, urls] : config.other_coordinators) {
    if (region == config.region) {
      return absl::InvalidArgumentError(
          absl::StrCat("--other-coordinators ", region, ": that is this coordinator's own region"));
    }
    for (const HttpUrl& url : urls) tls |= url.tls;
  }
  if (!config.http_ca.empty() && !tls) {
    return absl::InvalidArgumentError(
        "--http-ca needs an https:// URL in --alert-webhook or --other-coordinators");
  }
  return absl::OkStatus();
}

OptionSet Options(CoordinatorConfig* config, std::string* warm_file) {
  OptionSet set("meridian-coordinator",
                "Decides who is a member of a region of a Meridian cache cluster.", kExamples);
  AddIdentityOptions(config, &set);
  AddTlsOptions(&config->tls, &set);
  set.AddRedisUrl(&config->redis_url,
                  {.name = "redis",
                   .yaml_path = "redis.url",
                   .default_text = "",
                   .help = "URL of the regional Redis (docs/config.md has the forms); empty: the "
                           "only coordinator of its region",
                   .alias = "REDIS_URL"});
  set.Add({"heartbeat-interval", "membership.heartbeat_interval", "500ms",
           "How often a node says that it is there",
           SetDuration(&config->heartbeat_interval, absl::Milliseconds(10), absl::Seconds(10))});
  set.Add({"failure-timeout", "membership.failure_timeout", "2s",
           "Silence after which a node is gone",
           SetDuration(&config->failure_timeout, absl::Milliseconds(50), absl::Minutes(5))});
  set.Add({"hand-off-timeout", "membership.hand_off_timeout", "5s",
           "How long a join or a leave waits for those that lose slots to hand over what their "
           "memory has of them, at most 7s: a node that ends waits for 8; 0: not at all",
           SetDuration(&config->hand_off_timeout, absl::ZeroDuration(), absl::Seconds(7))});
  set.Add({"lease-duration", "leader.lease_duration", "3s",
           "How long a leader leads after its last renewal; a standby takes over then",
           SetDuration(&config->lease_duration, absl::Milliseconds(300), absl::Minutes(1))});
  set.Add({"restart-absence", "membership.restart_absence", "30s",
           "A node that was to restart and has been away for so long does not come back: the next "
           "one may",
           SetDuration(&config->restart_absence, absl::Milliseconds(100), absl::Minutes(30))});
  AddWarmingOptions(config, warm_file, &set);
  AddPredictionOptions(config, &set);
  AddRolloutOptions(&config->rollouts, &set);
  AddHttpOptions(config, &set);
  set.Add({"log-level", "log.level", "info", "trace, debug, info, warn or error",
           SetOneOf(&config->log_level, {"trace", "debug", "info", "warn", "error"})});
  set.Add({"log-format", "log.format", "text", "text or json",
           SetOneOf(&config->log_format, {"text", "json"})});
  set.Add({"origin-query-cost", "analytics.origin_query_cost", "0",
           "What one query of an origin costs, for the savings that /v1/analytics/dashboard tells; "
           "0: not known",
           [config](const Texts& texts) -> absl::Status {
             ASSIGN_OR_RETURN(config->costs.origin_query, ParseNumber(texts[0], 0, 1e6));
             return absl::OkStatus();
           }});
  set.AddString(&config->costs.currency,
                {"cost-currency", "analytics.cost_currency", "USD", "Money that this is in"});
  set.AddString(&config->ready_file,
                {"ready-file", "ready_file", "",
                 "Write the bound addresses and the pid here, as JSON, when it listens"});
  return set;
}

absl::Status CheckWhole(const CoordinatorConfig& config) {
  for (const std::string* address : {&config.grpc_address, &config.http_address}) {
    const bool protects = config.insecure || (config.tls.on() && address != &config.http_address);
    if (!protects) RETURN_IF_ERROR(CheckNotReachable(*address));
  }
  RETURN_IF_ERROR(CheckTlsSettings(config.tls));
  if (!config.advertise_address.empty()) RETURN_IF_ERROR(CheckAddress(config.advertise_address));
  RETURN_IF_ERROR(CheckHttp(config));
  if (config.failure_timeout < 2 * config.heartbeat_interval) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--failure-timeout ", absl::FormatDuration(config.failure_timeout),
        " must be at least twice --heartbeat-interval ",
        absl::FormatDuration(config.heartbeat_interval), ": one late heartbeat is not a failure"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<CoordinatorConfig>> CoordinatorConfig::Parse(
    int argc, const char* const* argv, const std::map<std::string, std::string>& environment,
    bool* of_warming) {
  CoordinatorConfig config;
  std::string warm_file;
  OptionSet set = Options(&config, &warm_file);
  const absl::StatusOr<OptionSet::Action> action = set.Parse(argc, argv, environment);
  *of_warming = set.refused().rfind("warming", 0) == 0;
  RETURN_IF_ERROR(action.status());
  if (*action == OptionSet::Action::kExit) return std::optional<CoordinatorConfig>();
  for (const std::string& file : {set.file(), warm_file}) {
    if (file.empty()) continue;
    *of_warming = file == warm_file;
    ASSIGN_OR_RETURN(std::string text, ReadSmallFile(file));
    if (file == warm_file) RETURN_IF_ERROR(config.warming.ReadFile(file, text));
    config.warming_files.push_back(file);
    config.warming_texts.push_back(std::move(text));
    config.warming_nothing.push_back(file == warm_file ? "for no schedules, write `schedules: {}`"
                                                       : "for no settings, write `{}`");
  }
  *of_warming = false;
  RETURN_IF_ERROR(CheckWhole(config));
  if (*action == OptionSet::Action::kCheck) return std::optional<CoordinatorConfig>();
  config.read_warming = [argc, argv, environment](bool* its_own) -> absl::StatusOr<WarmSettings> {
    ASSIGN_OR_RETURN(std::optional<CoordinatorConfig> again,
                     Parse(argc, argv, environment, its_own));
    return std::move(again->warming);
  };
  return std::optional<CoordinatorConfig>(std::move(config));
}

std::string CoordinatorConfig::MarkdownTable() {
  CoordinatorConfig config;
  std::string warm_file;
  return Options(&config, &warm_file).MarkdownTable();
}

}  // namespace meridian
