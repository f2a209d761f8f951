#include "server/figures/advisor.h"

#include <algorithm>
#include <iterator>

namespace meridian {
namespace {

// The TTLs that are asked for, as multiples of the present one.
constexpr uint64_t kLonger[] = {4, 15, 60};
constexpr uint64_t kLongestMs = uint64_t{24} * 3600 * 1000;

}  // namespace

Advisor::Advisor(FigureCollector& collector, const Clock& clock, Executor& executor,
                 FigureTransport& transport, std::function<std::vector<HotKey>()> hot_keys)
    : collector_(collector),
      clock_(clock),
      executor_(executor),
      transport_(transport),
      hot_keys_(std::move(hot_keys)) {
  collector_.AddObserver([this] { Look(); });
}

void Advisor::Look() {
  const absl::Duration now = clock_.Monotonic();
  if (!collector_.leading()) {
    kept_.clear();
    questions_.clear();
    sums_.clear();
    asking_ = false;
    ++round_;
    return;
  }
  for (auto it = kept_.begin(); it != kept_.end();) {
    it = now - it->second.at > kKept ? kept_.erase(it) : std::next(it);
  }
  if (asking_ || now < next_round_) return;
  const std::vector<std::string> names = DoubtfulNamespaces(collector_.figures(), kNamespaces);
  if (names.empty()) return;
  next_round_ = now + kRound;
  for (const std::string& name : names) {
    size_t nodes = 0;
    for (const auto& [id, node] : collector_.figures().nodes()) {
      if (!node.IsAlive(now) || !node.answered.has_value()) continue;
      if (nodes++ >= kNodes) break;
      Question question;
      question.address = node.known.member.admin_address;
      question.request.set_namespace_(name);
      // The shortest question tells how things are, too.
      question.request.set_ttl_ms(kLongestMs);
      questions_.push_back(std::move(question));
    }
  }
  if (questions_.empty()) return;
  asking_ = true;
  AskNext();
}

void Advisor::AskNext() {
  if (questions_.empty()) {
    EndRound();
    return;
  }
  const Question question = std::move(questions_.front());
  questions_.pop_front();
  transport_.WhatIf(question.address, question.request, kTimeout,
                    [this, executor = &executor_, question,
                     round = round_](absl::StatusOr<admin::v1::WhatIfResponse> answer) {
                      executor->Post([this, question, round, answer = std::move(answer)] {
                        if (round != round_) return;
                        Take(question, answer);
                        AskNext();
                      });
                    });
}

void Advisor::Take(const Question& question,
                   const absl::StatusOr<admin::v1::WhatIfResponse>& answer) {
  if (!answer.ok()) return;  // It has seen too little, or is busy: the others are enough.
  const admin::v1::WhatIfRequest& asked = question.request;
  // A TTL that is asked as a multiple of the present one counts as that at every node.
  sums_[asked.namespace_()][asked.max_bytes() > 0 ? 0 : asked.ttl_ms()].Add(asked, *answer);
  if (asked.ttl_ms() == kLongestMs) AskMore(question, *answer);
}

void Advisor::AskMore(const Question& first, const admin::v1::WhatIfResponse& present) {
  // What a day would not bring, less does not either.
  if (present.predicted_hit_rate() - present.hit_rate() >= 0.02) {
    for (const uint64_t times : kLonger) {
      const uint64_t ttl_ms = times * std::max<uint64_t>(present.present_ttl_ms(), 1);
      if (ttl_ms >= kLongestMs) break;
      Question question = first;
      question.request.set_ttl_ms(ttl_ms);
      questions_.push_back(std::move(question));
    }
  }
  if (present.present_max_bytes() == 0) return;
  Question larger = first;
  larger.request.set_ttl_ms(0);
  larger.request.set_max_bytes(2 * present.present_max_bytes());
  larger.request.set_max_entries(2 * present.present_max_entries());
  questions_.push_back(std::move(larger));
}

void Advisor::EndRound() {
  for (auto& [name, by_ttl] : sums_) {
    Kept& kept = kept_[name];
    kept = {.forecast = {}, .at = clock_.Monotonic()};
    for (auto& [ttl_ms, sum] : by_ttl) {
      if (ttl_ms == 0) {
        kept.forecast.larger = std::move(sum);
      } else {
        kept.forecast.longer_ttl.push_back(std::move(sum));
      }
    }
  }
  sums_.clear();
  asking_ = false;
}

std::vector<coordinator::v1::Recommendation> Advisor::Recommend(
    const std::string& name_space) const {
  RecommendationInputs inputs{.figures = collector_.figures(), .now = clock_.Monotonic()};
  for (const auto& [name, kept] : kept_) inputs.forecasts.emplace(name, kept.forecast);
  if (hot_keys_ != nullptr) inputs.hot_keys = hot_keys_();
  std::vector<coordinator::v1::Recommendation> all = Recommendations(inputs);
  if (name_space.empty()) return all;
  std::erase_if(all, [&name_space](const coordinator::v1::Recommendation& row) {
    return row.namespace_() != name_space;
  });
  return all;
}

}  // namespace meridian
