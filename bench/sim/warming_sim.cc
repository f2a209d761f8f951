#include "bench/sim/warming_sim.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/engine/engine.h"
#include "common/resilience/token_bucket.h"
#include "server/warming/predictor.h"
#include "server/warming/warm_sources.h"

namespace meridian::sim {
namespace {

constexpr char kSpace[] = "trace";
constexpr absl::Duration kLook = absl::Seconds(1);
constexpr size_t kAdvanceLimit = size_t{1} << 40;
constexpr size_t kFirstShare = 100;
constexpr const char* kSources[] = {"startup", "schedule", "rule", "prediction"};

absl::StatusOr<std::unique_ptr<Engine>> NewEngine(const WarmingOptions& options) {
  return Engine::Create({.capacity_bytes = std::numeric_limits<size_t>::max() / 4,
                         .capacity_entries = options.capacity_entries,
                         .shard_bits = 0,
                         .policy = "adaptive"});
}

WarmedCounts Since(const WarmedCounts& then, const WarmedCounts& now) {
  return {now.warmed - then.warmed, now.used - then.used, now.unused - then.unused,
          now.displaced - then.displaced};
}

class Run {
 public:
  Run(const Trace& trace, const WarmingOptions& options, std::unique_ptr<Engine> engine)
      : trace_(trace),
        options_(options),
        predicts_(Has("prediction")),
        follows_rules_(Has("rule")),
        refreshes_(Has("schedule")),
        starts_warm_(Has("startup")),
        sources_([&options](const std::string&) { return options.ceiling; }),
        predictor_({.threshold = options.threshold}) {
    Begin(std::move(engine));
  }

  absl::StatusOr<WarmingResult> Go() {
    for (const Request& request : trace_.requests) {
      if (result_.requests == Half()) RETURN_IF_ERROR(BeginSecondHalf());
      Ask(request);
    }
    AddWarmed();
    result_.late = Warmed();
    for (auto& [source, late] : result_.late) late = Since(at_half_[source], late);
    for (const WarmSources::View& view : sources_.List("")) result_.budget = view.budget;
    return result_;
  }

 private:
  bool Has(const std::string& source) const {
    return std::find(options_.sources.begin(), options_.sources.end(), source) !=
           options_.sources.end();
  }
  size_t StartupKeys() const { return std::min(options_.startup_keys, options_.capacity_entries); }
  size_t Half() const { return trace_.requests.size() / 2; }

  void Begin(std::unique_ptr<Engine> engine) {
    engine_ = std::move(engine);
    name_space_ = *engine_->InternNamespace(kSpace);
    for (const std::string& source : options_.sources) {
      ids_[source] = engine_->InternWarmSource(source);
    }
    ++incarnation_;
  }

  // By source, of this engine.
  std::map<std::string, WarmedCounts> Warmed() const {
    std::map<std::string, WarmedCounts> counts;
    for (const Engine::Warmed& warmed : engine_->WarmedStats()) {
      counts[warmed.source] += warmed.counts;
    }
    return counts;
  }
  void AddWarmed() {
    for (const auto& [source, counts] : Warmed()) result_.warmed += counts;
  }

  absl::Status BeginSecondHalf() {
    if (!options_.restarts) {
      at_half_ = Warmed();
      return absl::OkStatus();
    }
    Report();
    AddWarmed();
    requests_before_ = result_.requests;
    ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, NewEngine(options_));
    Begin(std::move(engine));
    if (starts_warm_) Read("startup", Hottest(known_, StartupKeys()));
    return absl::OkStatus();
  }

  EntryKey KeyOf(const uint64_t& key) const {
    const std::string_view bytes(reinterpret_cast<const char*>(&key), sizeof(key));
    return {name_space_, 0, engine_->HashOf(name_space_, bytes), bytes};
  }

  void Ask(const Request& request) {
    const absl::Duration time = absl::Nanoseconds(request.time_ns);
    if (time > now_) {
      engine_->Advance(time, kAdvanceLimit);
      now_ = time;
    }
    if (!options_.sources.empty() && now_ - looked_at_ >= kLook) Look();
    if (follows_rules_) FollowRules(request.key);
    ++result_.requests;
    if (IsLate()) ++result_.late_requests;
    const bool is_first = options_.restarts && IsLate() &&
                          result_.late_requests <= trace_.requests.size() / kFirstShare;
    ttl_ns_[request.key] = request.ttl_ns;
    if (refreshes_) ++counts_[request.key];
    if (starts_warm_ && !IsLate()) ++known_[request.key];
    if (predicts_) told_.push_back({request.key, request.caller, now_});
    const EntryKey key = KeyOf(request.key);
    Entry entry;
    const bool hit = engine_->Get(key, now_, &entry);
    if (!hit) engine_->Put(key, Fresh(request.key), now_);
    result_.hits += hit ? 1 : 0;
    result_.first_requests += is_first ? 1 : 0;
    result_.first_hits += is_first && hit ? 1 : 0;
  }
  bool IsLate() const { return result_.requests > Half(); }

  Entry Fresh(uint64_t key) {
    const int64_t ttl_ns = ttl_ns_[key];
    Entry entry;
    entry.version = {.hlc = ++versions_, .region = 1};
    entry.expires_at = ttl_ns == 0 ? absl::InfiniteDuration() : now_ + absl::Nanoseconds(ttl_ns);
    return entry;
  }

  void Look() {
    looked_at_ = now_;
    Report();
    if (refreshes_ && now_ - scheduled_at_ >= options_.hot_interval) {
      scheduled_at_ = now_;
      Read("schedule", Hottest(counts_, options_.hot_keys));
      Halve();
    }
    if (predicts_) Predict();
  }

  void Predict() {
    for (; !told_.empty() && told_.front().at <= now_ - options_.delay; told_.pop_front()) {
      const Told& read = told_.front();
      predictor_.Learn(kSpace, absl::StrCat(read.key), read.caller, read.at);
    }
    std::vector<uint64_t> wanted;
    for (const Predictor::Prediction& prediction : predictor_.Take(now_)) {
      uint64_t key = 0;
      if (absl::SimpleAtoi(prediction.key, &key)) wanted.push_back(key);
    }
    Read("prediction", wanted);
  }

  void FollowRules(uint64_t asked) {
    const auto related = trace_.related.find(asked);
    if (related != trace_.related.end()) {
      for (const uint64_t key : related->second) {
        const auto [it, is_new] = ruled_.try_emplace(key, now_);
        if (!is_new && now_ - it->second < options_.not_again_for) continue;
        it->second = now_;
        wanted_.push_back({key, 0, now_});
      }
    }
    std::vector<uint64_t> wanted;
    for (; !wanted_.empty() && wanted_.front().at <= now_ - options_.rule_delay;
         wanted_.pop_front()) {
      wanted.push_back(wanted_.front().key);
    }
    Read("rule", wanted);
  }

  // As far as the budget of the source goes.
  void Read(const std::string& source, const std::vector<uint64_t>& wanted) {
    if (wanted.empty()) return;
    const double rate = sources_.RateOf(source, kSpace, now_).value_or(options_.ceiling);
    TokenBucket& bucket =
        buckets_.try_emplace(source, rate, std::max(rate, 1.0), now_).first->second;
    bucket.SetRate(rate, std::max(rate, 1.0), now_);
    for (const uint64_t key : wanted) {
      if (bucket.Available(now_) < 1) break;
      bucket.Take(1, now_);
      ++result_.read;
      if (result_.requests >= Half()) ++result_.late_read;
      Warm(source, key);
    }
  }

  void Warm(const std::string& source, uint64_t number) {
    const EntryKey key = KeyOf(number);
    Lookup answer;
    if (source == "schedule") {  // Of hot keys: they are loaded anew.
      answer.token = engine_->BeginFill(key);
    } else {
      engine_->GetBatch({&key, 1}, now_, &answer, LookKind::kWarming);
      if (answer.found) return;
    }
    Entry entry = Fresh(number);
    entry.warm_source = ids_.at(source);
    engine_->PutFill(key, std::move(entry), now_, answer.token);
  }

  void Report() {
    WarmFigures figures;
    figures.incarnation = incarnation_;
    for (const Engine::Warmed& warmed : engine_->WarmedStats()) {
      figures.warmed.push_back({warmed.source, kSpace, warmed.counts.warmed, warmed.counts.used,
                                warmed.counts.unused, warmed.counts.displaced});
    }
    figures.requests[kSpace] = result_.requests - requests_before_;
    sources_.Report("node", figures, now_);
    sources_.Tick(now_);
  }

  using Counts = std::unordered_map<uint64_t, uint32_t>;

  // Those with the largest counts; of equals, the smallest key.
  static std::vector<uint64_t> Hottest(const Counts& counts, size_t most) {
    std::vector<std::pair<uint32_t, uint64_t>> hottest;
    for (const auto& [key, count] : counts) hottest.emplace_back(count, ~key);
    const size_t count = std::min(most, hottest.size());
    std::partial_sort(hottest.begin(), hottest.begin() + static_cast<std::ptrdiff_t>(count),
                      hottest.end(), std::greater<>());
    std::vector<uint64_t> keys;
    for (size_t i = 0; i < count; ++i) keys.push_back(~hottest[i].second);
    return keys;
  }

  // What is hot is hot of late.
  void Halve() {
    for (auto it = counts_.begin(); it != counts_.end();) {
      it->second /= 2;
      it = it->second == 0 ? counts_.erase(it) : std::next(it);
    }
  }

  const Trace& trace_;
  const WarmingOptions& options_;
  const bool predicts_;
  const bool follows_rules_;
  const bool refreshes_;
  const bool starts_warm_;
  std::unique_ptr<Engine> engine_;
  NamespaceId name_space_ = 0;
  std::map<std::string, WarmSourceId> ids_;
  uint64_t incarnation_ = 0;
  uint64_t requests_before_ = 0;  // The restart.
  std::map<std::string, WarmedCounts> at_half_;  // Of an engine that goes on.
  WarmSources sources_;
  std::map<std::string, TokenBucket> buckets_;  // By source.
  Predictor predictor_;
  absl::Duration now_;
  absl::Duration looked_at_;
  absl::Duration scheduled_at_;
  uint64_t versions_ = 0;
  std::unordered_map<uint64_t, int64_t> ttl_ns_;
  Counts counts_;  // Of late.
  Counts known_;   // Of the first half.
  struct Told {
    uint64_t key = 0;
    uint64_t caller = 0;
    absl::Duration at;
  };
  std::deque<Told> told_;                               // To the predictor, later.
  std::deque<Told> wanted_;                             // By rules.
  std::unordered_map<uint64_t, absl::Duration> ruled_;  // When last.
  WarmingResult result_;
};

}  // namespace

Trace Shuffled(const Trace& trace, uint64_t seed) {
  Trace shuffled = trace;
  std::mt19937_64 random(seed);
  std::vector<Request>& requests = shuffled.requests;
  for (size_t i = requests.size(); i > 1; --i) {
    Request& a = requests[i - 1];
    Request& b = requests[random() % i];
    std::swap(a.key, b.key);
    std::swap(a.ttl_ns, b.ttl_ns);
    std::swap(a.size, b.size);
  }
  return shuffled;
}

absl::StatusOr<WarmingResult> SimulateWarming(const Trace& trace, const WarmingOptions& options) {
  for (const std::string& source : options.sources) {
    if (std::find(std::begin(kSources), std::end(kSources), source) == std::end(kSources)) {
      return absl::InvalidArgumentError(
          absl::StrCat("source ", source, " is none of ", absl::StrJoin(kSources, ", ")));
    }
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, NewEngine(options));
  return Run(trace, options, std::move(engine)).Go();
}

}  // namespace meridian::sim
