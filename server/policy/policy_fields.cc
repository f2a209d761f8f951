#include "server/policy/policy_fields.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/engine/eviction_policy.h"
#include "server/policy/field_values.h"
#include "server/policy/goal_fields.h"
#include "server/policy/heat_tier.h"
#include "server/policy/origin_fields.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

constexpr size_t kMaxNames = 64;      // Of states or parameters.
constexpr size_t kMaxNameBytes = 64;  // As of a state_hint.

constexpr Word<Priority> kPriorities[] = {{"low", Priority::kLow},
                                          {"normal", Priority::kNormal},
                                          {"high", Priority::kHigh},
                                          {"critical", Priority::kCritical}};
constexpr Word<KeyHash> kHashes[] = {
    {"none", KeyHash::kNone}, {"md5", KeyHash::kMd5}, {"xxh3", KeyHash::kXxh3}};
constexpr Word<ReplicationMode> kModes[] = {{"async", ReplicationMode::kAsync},
                                            {"sync", ReplicationMode::kSync},
                                            {"invalidate_only", ReplicationMode::kInvalidateOnly},
                                            {"local", ReplicationMode::kLocal}};
constexpr Word<bool> kWithoutRedis[] = {{"refuse", false}, {"accept", true}};
constexpr Word<bool KeyPolicy::*> kForms[] = {{"trim", &KeyPolicy::trim},
                                              {"lowercase", &KeyPolicy::lowercase},
                                              {"collapse_spaces", &KeyPolicy::collapse_spaces}};

// A name that a service gives: no control characters, so that it prints.
absl::Status CheckGivenName(const std::string& name) {
  const bool prints =
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (!name.empty() && name.size() <= kMaxNameBytes && prints) return absl::OkStatus();
  return Bad(name, "a word of 1 to 64 printable characters");
}

absl::Status SetTiers(const PolicyField::Texts& texts, PolicyDraft* draft) {
  int last = -1;
  for (const std::string& text : texts) {
    const int index = TierIndex(text);
    if (index < 0) return Bad(text, "one of hot, warm, cold");
    if (index <= last) {
      return absl::InvalidArgumentError(
          "the tiers stand hottest first, each once: victims move from one to the next");
    }
    last = index;
  }
  if (texts.empty()) return absl::InvalidArgumentError("names no tier");
  draft->tiers = texts;
  return absl::OkStatus();
}

std::string GetTiers(const NamespacePolicy& policy) {
  std::vector<std::string> names;
  for (const PoolPolicy& pool : policy.pools) {
    if (!pool.tier.empty()) names.push_back(pool.tier);
  }
  if (names.empty()) return "";
  return names.size() == 1 ? names[0] : absl::StrCat("[", absl::StrJoin(names, ", "), "]");
}

// The pool that max_bytes, max_entries and eviction speak of.
const PoolPolicy* OnlyPool(const NamespacePolicy& policy) {
  return policy.pools.size() == 1 ? &policy.pools[0] : nullptr;
}

absl::Status SetEviction(const std::string& text, PolicyDraft* draft) {
  const std::vector<std::string> known = EvictionPolicyNames();
  if (std::find(known.begin(), known.end(), text) == known.end()) {
    return Bad(text, absl::StrCat("one of ", absl::StrJoin(known, ", ")));
  }
  draft->eviction = text;
  return absl::OkStatus();
}

absl::Status SetStates(const PolicyField::Pairs& pairs, PolicyDraft* draft) {
  if (pairs.size() > kMaxNames) return absl::InvalidArgumentError("more than 64 states");
  draft->policy.ttl_by_state.clear();
  for (const auto& [state, text] : pairs) {
    RETURN_IF_ERROR(CheckGivenName(state));
    RETURN_IF_ERROR(ReadDuration(text, kShortest, &draft->policy.ttl_by_state[state]));
  }
  return absl::OkStatus();
}

std::string GetStates(const NamespacePolicy& policy) {
  if (policy.ttl_by_state.empty()) return "";
  std::vector<std::string> pairs;
  for (const auto& [state, ttl] : policy.ttl_by_state) {
    pairs.push_back(absl::StrCat(Quoted(state), ": ", DurationText(ttl)));
  }
  return absl::StrCat("{", absl::StrJoin(pairs, ", "), "}");
}

absl::Status SetForms(const PolicyField::Texts& texts, PolicyDraft* draft) {
  for (const std::string& text : texts) {
    bool KeyPolicy::*form = nullptr;
    RETURN_IF_ERROR(ReadWord(text, kForms, &form));
    draft->policy.key.*form = true;
  }
  return absl::OkStatus();
}

std::string GetForms(const NamespacePolicy& policy) {
  std::vector<std::string> names;
  for (const auto& word : kForms) {
    if (policy.key.*word.value) names.push_back(word.text);
  }
  return names.empty() ? "" : absl::StrCat("[", absl::StrJoin(names, ", "), "]");
}

absl::Status SetParameters(const PolicyField::Texts& texts, PolicyDraft* draft) {
  if (texts.size() > kMaxNames) return absl::InvalidArgumentError("more than 64 parameters");
  for (const std::string& text : texts) RETURN_IF_ERROR(CheckGivenName(text));
  draft->policy.bypass_parameters = texts;
  return absl::OkStatus();
}

std::string GetParameters(const NamespacePolicy& policy) {
  if (policy.bypass_parameters.empty()) return "";
  std::vector<std::string> names;
  for (const std::string& name : policy.bypass_parameters) names.push_back(Quoted(name));
  return absl::StrCat("[", absl::StrJoin(names, ", "), "]");
}

// "20%" of the L1 TTL, or a duration.
absl::Status SetAhead(const std::string& text, PolicyDraft* draft) {
  RefreshPolicy& refresh = draft->policy.refresh;
  if (!text.empty() && text.back() == '%') {
    const absl::StatusOr<double> percent =
        ParseNumber(std::string_view(text).substr(0, text.size() - 1), 0, 100);
    if (!percent.ok()) return Bad(text, "a share from 0% to 100% or a duration");
    refresh.ahead_share = *percent / 100;
    return absl::OkStatus();
  }
  return ReadDuration(text, absl::ZeroDuration(), &refresh.ahead);
}

std::string GetAhead(const NamespacePolicy& policy) {
  if (policy.refresh.ahead_share > 0) {
    return absl::StrCat(NumberText(policy.refresh.ahead_share * 100), "%");
  }
  return DurationText(policy.refresh.ahead);
}

using P = const NamespacePolicy&;

std::vector<PolicyField> TtlFields() {
  return {
      {"ttl", "1h", "1ms..365d", "Life of values whose writer gave none; of a tier: its `ttl_max`",
       "1-06, 3-10", MERIDIAN_SET(ReadDuration(text, kShortest, &policy.ttl)), nullptr, nullptr,
       MERIDIAN_GET(DurationText(policy.ttl))},
      {"l1_ttl", "0", "0..ttl",
       "At most this long in L1 (an answer from L1 then says what is left there); 0: as long as in "
       "L2",
       "0-03, 0-06", MERIDIAN_SET(ReadDuration(text, absl::ZeroDuration(), &policy.l1_ttl)),
       nullptr, nullptr, MERIDIAN_GET(DurationText(policy.l1_ttl))},
      {"ttl_min", "1ms", "1ms..ttl",
       "Least TTL that the policy computes; a writer's own TTL is taken as it is",
       "2-02, 2-03, 2-04", MERIDIAN_SET(ReadDuration(text, kShortest, &policy.ttl_min)), nullptr,
       nullptr, MERIDIAN_GET(DurationText(policy.ttl_min))},
      {"ttl_max", "365d", "ttl..365d", "Greatest TTL that the policy computes", "2-02, 2-03, 2-04",
       MERIDIAN_SET(ReadDuration(text, kShortest, &policy.ttl_max)), nullptr, nullptr,
       MERIDIAN_GET(DurationText(policy.ttl_max))},
      {"ttl_jitter", "0.05", "0..1",
       "A TTL that the policy gives is shortened by a random share of up to this", "",
       MERIDIAN_SET(ReadNumber(text, 0, 1, &policy.ttl_jitter)), nullptr, nullptr,
       MERIDIAN_GET(NumberText(policy.ttl_jitter))},
      {"ttl_by_state", "", "up to 64 states",
       "TTL by the writer's `state_hint`; other states: `ttl`", "4-02", nullptr, nullptr, SetStates,
       GetStates},
      {"volatility.enabled", "false", "true, false; true when the group is given",
       "Life by how often a key changes: the score of a key selects one of three TTLs, which caps "
       "all "
       "others",
       "2-06", MERIDIAN_SET(ReadBool(text, &policy.volatility.enabled)), nullptr, nullptr,
       MERIDIAN_GET(BoolText(policy.volatility.enabled))},
      {"volatility.base", "1", "0..1", "Factor of the type in the score", "2-06",
       MERIDIAN_SET(ReadNumber(text, 0, 1, &policy.volatility.base)), nullptr, nullptr,
       MERIDIAN_GET(NumberText(policy.volatility.base))},
      {"volatility.high_at", "0.7", "medium_at..1", "Scores from here on are high", "2-06",
       MERIDIAN_SET(ReadNumber(text, 0, 1, &policy.volatility.high_at)), nullptr, nullptr,
       MERIDIAN_GET(NumberText(policy.volatility.high_at))},
      {"volatility.medium_at", "0.4", "0..high_at", "Scores from here on are medium", "2-06",
       MERIDIAN_SET(ReadNumber(text, 0, 1, &policy.volatility.medium_at)), nullptr, nullptr,
       MERIDIAN_GET(NumberText(policy.volatility.medium_at))},
      {"volatility.high", "", "1ms..medium", "TTL of keys of high volatility", "2-05",
       MERIDIAN_SET(ReadDuration(text, kShortest, &policy.volatility.high)), nullptr, nullptr,
       MERIDIAN_GET(DurationText(policy.volatility.high))},
      {"volatility.medium", "", "high..low", "TTL of keys of medium or unknown volatility", "2-05",
       MERIDIAN_SET(ReadDuration(text, kShortest, &policy.volatility.medium)), nullptr, nullptr,
       MERIDIAN_GET(DurationText(policy.volatility.medium))},
      {"volatility.low", "", "medium..365d",
       "TTL of keys of low volatility; `ttl` when that is not given", "2-05",
       MERIDIAN_SET(ReadDuration(text, kShortest, &policy.volatility.low)), nullptr, nullptr,
       MERIDIAN_GET(DurationText(policy.volatility.low))},
      {"adaptive_ttl.enabled", "false", "true, false; true when the group is given",
       "Life in L1 by hits; needs `l1_ttl`, which is the life between the two", "0-08, 1-07",
       MERIDIAN_SET(ReadBool(text, &policy.adaptive_ttl.enabled)), nullptr, nullptr,
       MERIDIAN_GET(BoolText(policy.adaptive_ttl.enabled))},
      {"adaptive_ttl.boost_hits", "50", "cut_hits + 1..65000",
       "More hits than this in one residence give `boost_ttl`; never to a key of high volatility",
       "0-08", MERIDIAN_SET(ReadCount(text, 0, kMaxResidenceHits, &policy.adaptive_ttl.boost_hits)),
       nullptr, nullptr, MERIDIAN_GET(absl::StrCat(policy.adaptive_ttl.boost_hits))},
      {"adaptive_ttl.boost_ttl", "2m", "l1_ttl..ttl", "", "0-08",
       MERIDIAN_SET(ReadDuration(text, kShortest, &policy.adaptive_ttl.boost_ttl)), nullptr,
       nullptr, MERIDIAN_GET(DurationText(policy.adaptive_ttl.boost_ttl))},
      {"adaptive_ttl.cut_hits", "5", "0..boost_hits - 1", "Fewer hits than this give `cut_ttl`",
       "0-08", MERIDIAN_SET(ReadCount(text, 0, kMaxResidenceHits, &policy.adaptive_ttl.cut_hits)),
       nullptr, nullptr, MERIDIAN_GET(absl::StrCat(policy.adaptive_ttl.cut_hits))},
      {"adaptive_ttl.cut_ttl", "20s", "1ms..l1_ttl", "", "0-08",
       MERIDIAN_SET(ReadDuration(text, kShortest, &policy.adaptive_ttl.cut_ttl)), nullptr, nullptr,
       MERIDIAN_GET(DurationText(policy.adaptive_ttl.cut_ttl))},
      {"stale.max", "10s", "0..365d",
       "How long after its TTL a value may still answer who asks with `max_stale`; 0: not at all",
       "", MERIDIAN_SET(ReadDuration(text, absl::ZeroDuration(), &policy.stale_max)), nullptr,
       nullptr, MERIDIAN_GET(DurationText(policy.stale_max))},
      {"refresh.ahead", "0", "a share such as 20%, or a duration below l1_ttl",
       "How long before it leaves L1 a value that is asked for is loaded anew, from L2, or from "
       "the "
       "origin when its life ends in L2 as well; 0: not at all",
       "0-11", SetAhead, nullptr, nullptr, GetAhead},
  };
}

std::vector<PolicyField> PlaceFields() {
  return {
      {"tier", "", "hot, warm, cold, or a list of them, hottest first",
       "Part of L1: gives TTL bounds, a budget and an eviction policy; in a list, what is hit "
       "moves up "
       "and victims move down",
       "1-03, 2-02, 2-03, 2-04, 2-12", nullptr, SetTiers, nullptr, GetTiers},
      {"max_bytes", "0", "0 or at least 1 byte",
       "Own budget in L1, overhead included; of one tier: instead of the tier's; 0: none",
       "2-02, 3-15",
       [](const std::string& text, PolicyDraft* draft) -> absl::Status {
         ASSIGN_OR_RETURN(draft->max_bytes, ParseBytes(text));
         return absl::OkStatus();
       },
       nullptr, nullptr,
       [](P policy) -> std::string {
         const PoolPolicy* pool = OnlyPool(policy);
         return pool == nullptr ? "" : absl::StrCat(pool->max_bytes);
       }},
      {"max_entries", "0", "0 or at least 1", "The same in entries", "0-06, 3-16",
       [](const std::string& text, PolicyDraft* draft) -> absl::Status {
         ASSIGN_OR_RETURN(draft->max_entries, ParseInteger(text, 0, uint64_t{1} << 40));
         return absl::OkStatus();
       },
       nullptr, nullptr,
       [](P policy) -> std::string {
         const PoolPolicy* pool = OnlyPool(policy);
         return pool == nullptr ? "" : absl::StrCat(pool->max_entries);
       }},
      {"eviction", "", "as `--l1-policy`",
       "Eviction policy of the own budget; empty: that of `--l1-policy`", "1-08, 2-01", SetEviction,
       nullptr, nullptr,
       [](P policy) -> std::string {
         const PoolPolicy* pool = OnlyPool(policy);
         return pool == nullptr ? "" : pool->eviction;
       }},
      {"priority", "normal", "low, normal, high, critical",
       "Who leaves L1 first when room is short", "1-08",
       MERIDIAN_SET(ReadWord(text, kPriorities, &policy.priority)), nullptr, nullptr,
       MERIDIAN_GET(WordOf(policy.priority, kPriorities))},
      {"cost", "1", "0.125..8",
       "What loading a value anew costs, relative to others: dearer stays longer", "",
       MERIDIAN_SET(ReadNumber(text, 0.125, 8, &policy.cost)), nullptr, nullptr,
       MERIDIAN_GET(NumberText(policy.cost))},
      {"admission.enabled", "false", "true, false; true when the group is given",
       "Only small or often asked values go into L1, the rest is in L2 only", "0-17",
       MERIDIAN_SET(ReadBool(text, &policy.admission.enabled)), nullptr, nullptr,
       MERIDIAN_GET(BoolText(policy.admission.enabled))},
      {"admission.max_size", "100", "bytes", "Smaller values go into L1", "0-17",
       [](const std::string& text, PolicyDraft* draft) -> absl::Status {
         ASSIGN_OR_RETURN(draft->policy.admission.max_size, ParseBytes(text));
         return absl::OkStatus();
       },
       nullptr, nullptr, MERIDIAN_GET(absl::StrCat(policy.admission.max_size))},
      {"admission.min_hits", "50", "0..1000000", "Keys asked for more often than this go into L1",
       "0-17", MERIDIAN_SET(ReadCount(text, 0, kMaxDailyRequests, &policy.admission.min_hits)),
       nullptr, nullptr, MERIDIAN_GET(absl::StrCat(policy.admission.min_hits))},
      {"promotion_misses", "1", "1..100",
       "L1 misses of a key after which its value goes from L2 to L1: 1 at once, 3 to wait for "
       "proof",
       "0-13, 4-10", MERIDIAN_SET(ReadCount(text, 1, 100, &policy.promotion_misses)), nullptr,
       nullptr, MERIDIAN_GET(absl::StrCat(policy.promotion_misses))},
  };
}

std::vector<PolicyField> FormFields() {
  return {
      {"compression.enabled", "false", "true, false; true when the group is given",
       "Values are stored deflated (zlib) when that saves enough", "0-16, 1-08",
       MERIDIAN_SET(ReadBool(text, &policy.compression.enabled)), nullptr, nullptr,
       MERIDIAN_GET(BoolText(policy.compression.enabled))},
      {"compression.threshold", "1024", "bytes", "Only larger values are tried", "0-16, 1-08",
       [](const std::string& text, PolicyDraft* draft) -> absl::Status {
         ASSIGN_OR_RETURN(draft->policy.compression.threshold, ParseBytes(text));
         return absl::OkStatus();
       },
       nullptr, nullptr, MERIDIAN_GET(absl::StrCat(policy.compression.threshold))},
      {"compression.min_saving", "0.1", "0..1",
       "Kept as it is when deflating saves a smaller share", "0-16",
       MERIDIAN_SET(ReadNumber(text, 0, 1, &policy.compression.min_saving)), nullptr, nullptr,
       MERIDIAN_GET(NumberText(policy.compression.min_saving))},
      {"compression.level", "6", "1..9", "zlib's level: 1 fast, 9 small", "0-16",
       MERIDIAN_SET(ReadCount(text, 1, 9, &policy.compression.level)), nullptr, nullptr,
       MERIDIAN_GET(absl::StrCat(policy.compression.level))},
      {"key.normalize", "", "a list of trim, lowercase, collapse_spaces",
       "Forms of a key that are one key: spaces at its ends and in front of its text go, large "
       "ASCII "
       "letters (no others) become small, runs of spaces become one space",
       "3-09", nullptr, SetForms, nullptr, GetForms},
      {"key.hash", "none", "none, md5, xxh3",
       "The key's text, which follows the last `:` before the first space or `?`, is stored as its "
       "hash: `context:{md5}`",
       "3-09", MERIDIAN_SET(ReadWord(text, kHashes, &policy.key.hash)), nullptr, nullptr,
       MERIDIAN_GET(WordOf(policy.key.hash, kHashes))},
      {"key.hash_above", "0", "0..1024", "Only keys longer than this many bytes are hashed", "3-09",
       MERIDIAN_SET(ReadCount(text, 0, 1024, &policy.key.hash_above)), nullptr, nullptr,
       MERIDIAN_GET(absl::StrCat(policy.key.hash_above))},
      {"bypass_parameters", "", "up to 64 names",
       "A key that carries one of these parameters (`?name=value&...`; the name may be "
       "percent-encoded, and in large letters with `lowercase`) is neither answered from the "
       "cache nor stored",
       "4-04", nullptr, SetParameters, nullptr, GetParameters},
      {"replication", "async", "async, sync, invalidate_only, local",
       "`async`: to every other region; `sync`: so, and an answer waits for `sync_regions` and "
       "names "
       "those that have it; `invalidate_only`: others drop what they have, and load it themselves; "
       "`local`: stays in its region",
       "0-04", MERIDIAN_SET(ReadWord(text, kModes, &policy.replication)), nullptr, nullptr,
       MERIDIAN_GET(WordOf(policy.replication, kModes))},
      {"sync_regions", "0", "0..64",
       "With `replication: sync`: for how many other regions a write waits; 0: all", "",
       MERIDIAN_SET(ReadCount(text, 0, 64, &policy.sync_regions)), nullptr, nullptr,
       MERIDIAN_GET(absl::StrCat(policy.sync_regions))},
      {"write_without_redis", "refuse", "refuse, accept",
       "While the regional Redis is away: `refuse`: writes fail; `accept`: the owner keeps Sets "
       "and "
       "Invalidates in memory, answers `degraded`, and writes them when it is back",
       "", MERIDIAN_SET(ReadWord(text, kWithoutRedis, &policy.write_without_redis)), nullptr,
       nullptr, MERIDIAN_GET(WordOf(policy.write_without_redis, kWithoutRedis))},
  };
}

}  // namespace

const std::vector<PolicyField>& PolicyFields() {
  static const std::vector<PolicyField>* const fields = [] {
    auto* all = new std::vector<PolicyField>(TtlFields());
    for (std::vector<PolicyField> more :
         {OriginFields(), PlaceFields(), FormFields(), GoalFields()}) {
      for (PolicyField& field : more) all->push_back(std::move(field));
    }
    return all;
  }();
  return *fields;
}

const PolicyField* FindPolicyField(std::string_view path) {
  for (const PolicyField& field : PolicyFields()) {
    if (field.path == path) return &field;
  }
  return nullptr;
}

bool IsPolicyGroup(std::string_view path) {
  for (const PolicyField& field : PolicyFields()) {
    if (field.path.size() > path.size() && field.path[path.size()] == '.' &&
        std::string_view(field.path).substr(0, path.size()) == path) {
      return true;
    }
  }
  return false;
}

std::string PolicyMarkdownTable() {
  std::string table =
      "| field | default | values | meaning | requirement |\n|---|---|---|---|---|\n";
  for (const PolicyField& field : PolicyFields()) {
    absl::StrAppend(&table, "| `", field.path, "` | ",
                    field.default_text.empty() ? "" : absl::StrCat("`", field.default_text, "`"),
                    " | ", field.range, " | ", field.meaning, " | ", field.requirement, " |\n");
  }
  return table;
}

std::string NamespacePolicy::ToYaml() const {
  std::string yaml;
  std::string current;  // The group that is looked at ...
  std::string open;     // ... if something of it was written.
  bool skip = false;
  const auto close = [&] {
    if (!open.empty()) absl::StrAppend(&yaml, "}\n");
    open.clear();
  };
  for (const PolicyField& field : PolicyFields()) {
    const size_t dot = field.path.find('.');
    const std::string group = dot == std::string::npos ? "" : field.path.substr(0, dot);
    const std::string name = group.empty() ? field.path : field.path.substr(dot + 1);
    if (group != current) {
      close();
      current = group;
      skip = false;
    }
    const std::string value = field.get(*this);
    // Without one, the rest says nothing, but how long an absence is remembered that a caller
    // tells.
    if (field.path == "origin.address" && value.empty()) skip = true;
    const bool remembers = field.path == "origin.negative_ttl" &&
                           origin.negative_ttl != NamespacePolicy().origin.negative_ttl;
    if ((skip && !remembers) || value.empty()) continue;
    if (group.empty()) {
      absl::StrAppend(&yaml, name, ": ", value, "\n");
      continue;
    }
    absl::StrAppend(&yaml, open.empty() ? absl::StrCat(group, ": {") : std::string(", "), name,
                    ": ", value);
    open = group;
    skip = name == "enabled" && value == "false";  // The rest of a group that is off says nothing.
  }
  close();
  return yaml;
}

}  // namespace meridian
