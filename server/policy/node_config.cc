#include "server/policy/node_config.h"

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/base/version.h"
#include "common/engine/eviction_policy.h"
#include "server/policy/option_set.h"
#include "server/policy/redis_url.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

using Texts = std::vector<std::string>;

constexpr uint64_t kMinL1Bytes = 1 << 20;

constexpr char kExamples[] = R"(Examples:
  meridian-node --region us                                   one node, L1 only
  meridian-node --region us --redis redis://127.0.0.1:6379    with its regional Redis
  meridian-node --config node.yaml --print-config             every setting and its origin)";

template <typename T>
auto SetDuration(T* target, absl::Duration low) {
  return [target, low](const Texts& texts) -> absl::Status {
    ASSIGN_OR_RETURN(*target, ParseDuration(texts[0]));
    if (*target < low) {
      return absl::InvalidArgumentError(
          absl::StrCat("must be at least ", absl::FormatDuration(low)));
    }
    return absl::OkStatus();
  };
}

template <typename T>
auto SetInteger(T* target, uint64_t low, uint64_t high) {
  return [target, low, high](const Texts& texts) -> absl::Status {
    ASSIGN_OR_RETURN(const uint64_t value, ParseInteger(texts[0], low, high));
    *target = static_cast<T>(value);
    return absl::OkStatus();
  };
}

auto SetBytesOrNone(uint64_t* target, uint64_t minimum) {
  return [target, minimum](const Texts& texts) -> absl::Status {
    ASSIGN_OR_RETURN(*target, ParseBytes(texts[0]));
    if (*target == 0 || *target >= minimum) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(QuoteKey(texts[0]), " is less than ", minimum, " bytes, and not 0"));
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
      if (texts[0] == word) {
        *target = word;
        return absl::OkStatus();
      }
    }
    return absl::InvalidArgumentError(
        absl::StrCat(QuoteKey(texts[0]), " is not one of ", absl::StrJoin(allowed, ", ")));
  };
}

auto SetAddresses(std::vector<std::string>* target) {
  return [target](const Texts& texts) -> absl::Status {
    for (const std::string& text : texts) RETURN_IF_ERROR(CheckAddress(text));
    *target = texts;
    return absl::OkStatus();
  };
}

// "us-1=127.0.0.1:7400/127.0.0.1:7401": id, data address, peer address.
auto SetPeers(std::vector<Member>* target) {
  return [target](const Texts& texts) -> absl::Status {
    target->clear();
    for (const std::string& text : texts) {
      const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
      const std::vector<std::string> addresses =
          parts.size() == 2 ? std::vector<std::string>(absl::StrSplit(parts[1], '/'))
                            : std::vector<std::string>();
      if (addresses.size() != 2 || !IsName(parts[0])) {
        return absl::InvalidArgumentError(
            absl::StrCat(QuoteKey(text),
                         " is not ID=DATA_ADDRESS/PEER_ADDRESS, as in us-1=host:7400/host:7401"));
      }
      RETURN_IF_ERROR(CheckAddress(addresses[0]));
      RETURN_IF_ERROR(CheckAddress(addresses[1]));
      Member member;
      member.id = parts[0];
      member.data_address = addresses[0];
      member.peer_address = addresses[1];
      target->push_back(std::move(member));
    }
    return absl::OkStatus();
  };
}

// URLs hold commas too, between hosts: what does not begin with REGION= goes on with the one before.
Texts JoinUrls(const Texts& texts) {
  Texts joined;
  for (const std::string& text : texts) {
    const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
    const bool begins = parts.size() == 2 && IsName(parts[0]) && absl::StrContains(parts[1], "://");
    if (begins || joined.empty()) {
      joined.push_back(text);
    } else {
      absl::StrAppend(&joined.back(), ",", text);
    }
  }
  return joined;
}

auto SetRegionRedis(std::map<std::string, std::string>* target) {
  return [target](const Texts& texts) -> absl::Status {
    target->clear();
    for (const std::string& text : JoinUrls(texts)) {
      const std::vector<std::string> parts = absl::StrSplit(text, absl::MaxSplits('=', 1));
      if (parts.size() != 2 || !IsName(parts[0]) || parts[1].empty()) {
        return absl::InvalidArgumentError("each must be REGION=URL, as in eu=redis://host:6379");
      }
      if (const absl::Status status = ParseRedisUrl(parts[1]).status(); !status.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("region ", parts[0], ": ", std::string(status.message())));
      }
      if (!target->emplace(parts[0], parts[1]).second) {
        return absl::InvalidArgumentError(absl::StrCat("region ", parts[0], " is given twice"));
      }
    }
    return absl::OkStatus();
  };
}

void AddIdentityOptions(NodeConfig* config, OptionSet* set) {
  set->Add({"id", "node.id", "node-1",
            "Name of this node, unique in its region, stable over restarts", SetName(&config->id)});
  set->Add({"region", "node.region", "local", "Region of this node", SetName(&config->region)});
  set->Add({"weight", "node.weight", "1", "Share of the slots, 1..1000",
            SetInteger(&config->weight, 1, 1000)});
  set->AddAddress(&config->data_address, {"data-address", "listen.data", "127.0.0.1:7400",
                                          "Where CacheService listens; port 0: any free one"});
  set->AddAddress(&config->peer_address,
                  {"peer-address", "listen.peer", "127.0.0.1:7401", "Where PeerService listens"});
  set->AddAddress(&config->admin_address, {"admin-address", "listen.admin", "127.0.0.1:7402",
                                           "Where AdminService listens"});
  set->AddAddress(&config->http_address, {"http-address", "listen.http", "127.0.0.1:7403",
                                          "Where metrics and health listen"});
  set->AddString(&config->advertise_host,
                 {"advertise-host", "listen.advertise_host", "",
                  "Host that others reach this node by; empty: the host that it listens on"});
  set->Add(
      {"insecure", "listen.insecure", "false",
       "Allow plaintext on addresses beyond loopback: anybody who reaches them may read and write",
       [config](const Texts& texts) -> absl::Status {
         ASSIGN_OR_RETURN(config->insecure, ParseBool(texts[0]));
         return absl::OkStatus();
       }});
}

void AddClusterOptions(NodeConfig* config, OptionSet* set) {
  set->Add({"coordinators", "coordinators", "", "Addresses of the region's coordinators",
            SetAddresses(&config->coordinators), true});
  set->Add(
      {"peers", "peers", "",
       "Static members ID=DATA_ADDRESS/PEER_ADDRESS, this node included; instead of coordinators",
       SetPeers(&config->static_peers), true});
  set->Add(
      {"rollout-wait", "rollout_wait", "5s",
       "At SIGTERM, wait for so long while another node of the region restarts or is cold, and "
       "(5s at least) for Redis to take what was accepted without it; 0: for no other node",
       SetDuration(&config->rollout_wait, absl::ZeroDuration())});
  set->Add({"drain-delay", "drain_delay", "5s",
            "A node that leaves answers for so long those who have not noticed; less when nobody asks",
            SetDuration(&config->drain_delay, absl::ZeroDuration())});
  set->AddRedisUrl(&config->redis_url,
                   {.name = "redis",
                    .yaml_path = "redis.url",
                    .default_text = "",
                    .help = "URL of the regional Redis (docs/config.md has the forms); empty: L1 "
                            "only",
                    .alias = "REDIS_URL"});
  set->Add({"region-redis", "regions", "", "Redis of another region, REGION=URL; one for each",
            SetRegionRedis(&config->region_redis), true, true});
  set->Add({"l2-timeout", "redis.timeout", "1s",
            "Silence of a Redis that owes an answer, after which its connection is dropped",
            SetDuration(&config->l2_timeout, absl::Milliseconds(10))});
  set->Add({"l2-connections", "redis.connections", "2", "Connections to each server of the regional Redis at most, 2..64: one for writes, the "
            "others for reads and opened when all are busy",
            SetInteger(&config->l2_connections, 2, 64)});
  set->Add({"changelog-max-entries", "redis.changelog_max_entries", "100000",
            "Changes that each slot's changelog keeps, unless all of them take more than "
            "--changelog-max-bytes; the same at all nodes",
            SetInteger(&config->changelog_max_entries, 100, 100'000'000)});
  set->AddBytes(&config->changelog_max_bytes, 1 << 20,
                {"changelog-max-bytes", "redis.changelog_max_bytes", "256MiB",
                 "What all changelogs of the region may take in its Redis; the largest are trimmed, "
                 "to 1000 changes at least"});
  set->AddBytes(&config->tombstone_max_bytes, 1 << 20,
                {"tombstone-max-bytes", "redis.tombstone_max_bytes", "256MiB",
                 "What deleted keys that are remembered may take in the regional Redis before the "
                 "oldest of them may be evicted"});
  set->Add({"tombstone-ttl", "redis.tombstone_ttl", "24h",
            "How long a deleted key is remembered: longer than any region outage to survive",
            SetDuration(&config->tombstone_ttl, absl::Seconds(1))});
  set->Add({"staleness-one-in", "redis.staleness_one_in", "100",
            "Share of changes that are looked for everywhere 1 s, 10 s and 60 s later, and one fence a "
            "second with them; 0: none",
            SetInteger(&config->staleness_one_in, 0, 1'000'000'000)});
  set->AddBytes(&config->hints_max_bytes, 0,
                {"hints-max-bytes", "redis.hints_max_bytes", "64MiB",
                 "Memory for writes that were accepted while Redis is away; then they fail"});
  set->Add({"hints-max-age", "redis.hints_max_age", "10m",
            "No more writes are accepted without Redis once the oldest has waited so long",
            SetDuration(&config->hints_max_age, absl::Seconds(1))});
}

void AddEngineOptions(NodeConfig* config, OptionSet* set) {
  set->AddBytes(
      &config->l1_max_bytes, kMinL1Bytes,
      {"l1-max-bytes", "l1.max_bytes", "256MiB", "Memory of L1, overhead included; at least 1MiB"});
  set->Add({"l1-max-entries", "l1.max_entries", "0", "Entries in L1 at most; 0: no such limit",
            SetInteger(&config->l1_max_entries, 0, 1ull << 40)});
  set->Add({"mirror-max-bytes", "l1.mirror_max_bytes", "0",
            "Memory for copies of other nodes' hot keys, at least 1MiB; 0: none are kept",
            SetBytesOrNone(&config->mirror_max_bytes, kMinL1Bytes)});
  set->Add({"sample-callers", "warmth.sample_callers", "0",
            "Of one caller (session, else connection) in so many the coordinator is told all reads, "
            "for prediction; 0: of none",
            SetInteger(&config->sample_callers, 0, 1'000'000)});
  set->Add({"report-updates", "warmth.report_updates", "true",
            "Tell the coordinator which keys clients set or invalidate, when it has warming rules "
            "on: update",
            [config](const Texts& texts) -> absl::Status {
              ASSIGN_OR_RETURN(config->report_updates, ParseBool(texts[0]));
              return absl::OkStatus();
            }});
  set->Add({"l1-policy", "l1.policy", "adaptive", "Eviction policy",
            SetOneOf(&config->l1_policy, EvictionPolicyNames())});
}

void AddWarmthOptions(NodeConfig* config, OptionSet* set) {
  set->Add({"refill-rate", "warmth.refill_rate", "5000",
            "Keys a second that are read from Redis into L1 when slots are gained, the hottest "
            "first, at most 10000; 0: none",
            SetInteger(&config->refill_rate, 0, 10'000)});
  set->AddBytes(&config->hand_off_max_bytes, 0,
                {"hand-off-max-bytes", "warmth.hand_off_max_bytes", "256MiB",
                 "Memory beside L1 for what other nodes hand over of slots that this one is about "
                 "to gain; 0: nothing is taken"});
  set->Add({"heat-interval", "warmth.heat_interval", "10s",
            "How often the hot keys of each slot are saved in Redis for its next owner",
            SetDuration(&config->heat_interval, absl::Milliseconds(100))});
  set->Add({"ready-warmth", "warmth.ready", "0.8",
            "Share of the hot keys, by weight, that L1 has before a node that starts is ready, 0..1",
            [config](const Texts& texts) -> absl::Status {
              if (absl::SimpleAtod(texts[0], &config->ready_warmth) && config->ready_warmth >= 0 &&
                  config->ready_warmth <= 1) {
                return absl::OkStatus();
              }
              return absl::InvalidArgumentError(
                  absl::StrCat(QuoteKey(texts[0]), " is not a number from 0 to 1"));
            }});
  set->Add({"ready-warmth-deadline", "warmth.ready_deadline", "10s",
            "A node that has had slots for so long is ready however cold it is",
            SetDuration(&config->ready_warmth_deadline, absl::ZeroDuration())});
}

void AddLogOptions(NodeConfig* config, OptionSet* set) {
  set->Add({"log-level", "log.level", "info", "trace, debug, info, warn or error",
            SetOneOf(&config->log_level, {"trace", "debug", "info", "warn", "error"})});
  set->Add({"log-format", "log.format", "text", "text or json",
            SetOneOf(&config->log_format, {"text", "json"})});
  set->Add({"origin-query-cost", "analytics.origin_query_cost", "0",
            "What one query of an origin costs, for the savings that /v1/analytics/dashboard tells; "
            "0: not known",
            [config](const Texts& texts) -> absl::Status {
              ASSIGN_OR_RETURN(config->origin_query_cost, ParseNumber(texts[0], 0, 1e6));
              return absl::OkStatus();
            }});
  set->AddString(&config->cost_currency,
                 {"cost-currency", "analytics.cost_currency", "USD", "Money that this is in"});
  set->AddString(&config->ready_file,
                 {"ready-file", "ready_file", "",
                  "Write the bound addresses and the pid here, as JSON, when the node listens"});
  set->AddString(&config->policies_file,
                 {"policies", "policies", "",
                  "File with the sections tiers and namespaces, instead of those of --config"});
  set->Add({"policies-poll", "policies_poll", "5s",
            "How often the file of the policies is looked at; SIGHUP reads it at once",
            SetDuration(&config->policies_poll, absl::Milliseconds(50))});
}

OptionSet Options(NodeConfig* config) {
  OptionSet set("meridian-node", "A node of a Meridian cache cluster: front and L1 shard in one.",
                kExamples);
  AddIdentityOptions(config, &set);
  AddTlsOptions(&config->tls, &set);
  AddClientAuthOption(&config->tls, &set);
  AddClusterOptions(config, &set);
  AddEngineOptions(config, &set);
  AddWarmthOptions(config, &set);
  AddLogOptions(config, &set);
  // Read together after the whole: a namespace may name a tier that stands below it.
  for (const char* section : {"tiers", "namespaces"}) {
    set.AddSection(section, [config](const std::string&, const YAML::Node&) {
      config->policies_in_config = true;
      return absl::OkStatus();
    });
  }
  return set;
}

absl::Status ReadPolicies(const std::string& config_file, NodeConfig* config) {
  if (!config->policies_file.empty() && config->policies_in_config) {
    return absl::InvalidArgumentError(
        absl::StrCat(config_file, " has tiers: or namespaces:, and --policies names ",
                     config->policies_file, "; give the policies in one place"));
  }
  PolicyTable::FileKind kind = PolicyTable::FileKind::kPolicies;
  if (config->policies_file.empty()) {
    config->policies_file = config_file;
    kind = PolicyTable::FileKind::kNodeConfig;
  }
  config->policies_kind = kind;
  if (config->policies_file.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(config->policies_text, ReadSmallFile(config->policies_file));
  ASSIGN_OR_RETURN(config->policies,
                   PolicyTable::ReadFile(config->policies_file, config->policies_text, kind));
  return absl::OkStatus();
}

absl::Status CheckWhole(const NodeConfig& config) {
  for (const std::string* address :
       {&config.data_address, &config.peer_address, &config.admin_address, &config.http_address}) {
    const bool protects = config.insecure || (config.tls.on() && address != &config.http_address);
    if (!protects) RETURN_IF_ERROR(CheckNotReachable(*address));
  }
  RETURN_IF_ERROR(CheckTlsSettings(config.tls));
  if (!config.coordinators.empty() && !config.static_peers.empty()) {
    return absl::InvalidArgumentError("give --coordinators or --peers, not both");
  }
  if (config.redis_url.empty() && !config.region_redis.empty()) {
    return absl::InvalidArgumentError(
        "--region-redis needs --redis: replication reads the own one");
  }
  std::set<uint16_t> ids = {RegionId(config.region)};
  for (const auto& [region, url] : config.region_redis) {
    if (region == config.region) {
      return absl::InvalidArgumentError(
          absl::StrCat("--region-redis ", region, ": that is this node's own region; use --redis"));
    }
    if (!ids.insert(RegionId(region)).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "region ", region, " has the same 16-bit id as another one; rename one of them"));
    }
  }
  bool listed = config.static_peers.empty();
  for (const Member& member : config.static_peers) listed |= member.id == config.id;
  if (!listed) {
    return absl::InvalidArgumentError(absl::StrCat("--peers does not list this node, ", config.id));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<NodeConfig>> NodeConfig::Parse(
    int argc, const char* const* argv, const std::map<std::string, std::string>& environment) {
  NodeConfig config;
  OptionSet set = Options(&config);
  ASSIGN_OR_RETURN(const OptionSet::Action action, set.Parse(argc, argv, environment));
  if (action == OptionSet::Action::kExit) return std::optional<NodeConfig>();
  RETURN_IF_ERROR(ReadPolicies(set.file(), &config));
  RETURN_IF_ERROR(CheckWhole(config));
  if (action == OptionSet::Action::kCheck) return std::optional<NodeConfig>();
  return std::optional<NodeConfig>(std::move(config));
}

std::string NodeConfig::MarkdownTable() {
  NodeConfig config;
  return Options(&config).MarkdownTable();
}

}  // namespace meridian
