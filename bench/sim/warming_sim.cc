#include "bench/sim/warming_sim.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
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

class Run {
 public:
  Run(const Trace& trace, const WarmingOptions& options, std::unique_ptr<Engine> engine)
      : trace_(trace),
        options_(options),
        engine_(std::move(engine)),
        name_space_(*engine_->InternNamespace(kSpace)),
        source_(engine_->InternWarmSource(options.source)),
        sources_([&options](const std::string&) { return options.ceiling; }),
        bucket_(options.ceiling, std::max(options.ceiling, 1.0), absl::ZeroDuration()),
        predictor_({.threshold = options.threshold}) {}

  WarmingResult Go() {
    for (const Request& request : trace_.requests) Ask(request);
    for (const Engine::Warmed& warmed : engine_->WarmedStats()) result_.warmed += warmed.counts;
    for (const WarmSources::View& view : sources_.List("")) result_.budget = view.budget;
    return result_;
  }

 private:
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
    if (options_.source != "none" && now_ - looked_at_ >= kLook) Look();
    if (options_.source == "rule") FollowRules(request.key);
    ++result_.requests;
    if (IsLate()) ++result_.late_requests;
    ttl_ns_[request.key] = request.ttl_ns;
    ++counts_[request.key];
    if (options_.source == "prediction") told_.push_back({request.key, request.caller, now_});
    const EntryKey key = KeyOf(request.key);
    Entry entry;
    if (engine_->Get(key, now_, &entry)) {
      ++result_.hits;
    } else {
      engine_->Put(key, Fresh(request.key), now_);
    }
  }
  bool IsLate() const { return result_.requests > trace_.requests.size() / 2; }

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
    std::vector<uint64_t> wanted;
    if (options_.source == "prediction") {
      for (; !told_.empty() && told_.front().at <= now_ - options_.delay; told_.pop_front()) {
        const Told& read = told_.front();
        predictor_.Learn(kSpace, absl::StrCat(read.key), read.caller, read.at);
      }
      for (const Predictor::Prediction& prediction : predictor_.Take(now_)) {
        uint64_t key = 0;
        if (absl::SimpleAtoi(prediction.key, &key)) wanted.push_back(key);
      }
    } else if (options_.source == "schedule" && now_ - scheduled_at_ >= options_.hot_interval) {
      scheduled_at_ = now_;
      wanted = HotKeys();
    }
    Read(wanted);
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
    Read(wanted);
  }

  // As far as the budget goes.
  void Read(const std::vector<uint64_t>& wanted) {
    if (wanted.empty()) return;
    const double rate = sources_.RateOf(options_.source, kSpace, now_).value_or(options_.ceiling);
    bucket_.SetRate(rate, std::max(rate, 1.0), now_);
    for (const uint64_t key : wanted) {
      if (bucket_.Available(now_) < 1) break;
      bucket_.Take(1, now_);
      ++result_.read;
      if (IsLate()) ++result_.late_read;
      Warm(key);
    }
  }

  void Warm(uint64_t number) {
    const EntryKey key = KeyOf(number);
    Lookup answer;
    if (options_.source == "schedule") {  // Of hot keys: they are loaded anew.
      answer.token = engine_->BeginFill(key);
    } else {
      engine_->GetBatch({&key, 1}, now_, &answer, LookKind::kWarming);
      if (answer.found) return;
    }
    Entry entry = Fresh(number);
    entry.warm_source = source_;
    engine_->PutFill(key, std::move(entry), now_, answer.token);
  }

  void Report() {
    WarmFigures figures;
    figures.incarnation = 1;
    for (const Engine::Warmed& warmed : engine_->WarmedStats()) {
      figures.warmed.push_back({warmed.source, kSpace, warmed.counts.warmed, warmed.counts.used,
                                warmed.counts.unused, warmed.counts.displaced});
    }
    figures.requests[kSpace] = result_.requests;
    sources_.Report("node", figures, now_);
    sources_.Tick(now_);
  }

  // What was asked for most, of late.
  std::vector<uint64_t> HotKeys() {
    std::vector<std::pair<uint32_t, uint64_t>> hottest;
    for (auto it = counts_.begin(); it != counts_.end();) {
      hottest.emplace_back(it->second, it->first);
      it->second /= 2;
      it = it->second == 0 ? counts_.erase(it) : std::next(it);
    }
    const size_t count = std::min(options_.hot_keys, hottest.size());
    std::partial_sort(hottest.begin(), hottest.begin() + static_cast<std::ptrdiff_t>(count),
                      hottest.end(), std::greater<>());
    std::vector<uint64_t> keys;
    for (size_t i = 0; i < count; ++i) keys.push_back(hottest[i].second);
    return keys;
  }

  const Trace& trace_;
  const WarmingOptions& options_;
  const std::unique_ptr<Engine> engine_;
  const NamespaceId name_space_;
  const WarmSourceId source_;
  WarmSources sources_;
  TokenBucket bucket_;
  Predictor predictor_;
  absl::Duration now_;
  absl::Duration looked_at_;
  absl::Duration scheduled_at_;
  uint64_t versions_ = 0;
  std::unordered_map<uint64_t, int64_t> ttl_ns_;
  std::unordered_map<uint64_t, uint32_t> counts_;
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
  if (options.source != "none" && options.source != "prediction" && options.source != "rule" &&
      options.source != "schedule") {
    return absl::InvalidArgumentError(
        absl::StrCat("source ", options.source, " is not none, prediction, rule or schedule"));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                   Engine::Create({.capacity_bytes = std::numeric_limits<size_t>::max() / 4,
                                   .capacity_entries = options.capacity_entries,
                                   .shard_bits = 0,
                                   .policy = "adaptive"}));
  return Run(trace, options, std::move(engine)).Go();
}

}  // namespace meridian::sim
