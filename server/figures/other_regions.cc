#include "server/figures/other_regions.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

// What an answer that is none says, for people.
std::string ProblemOf(const HttpAnswer& answer) {
  const auto json = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("error") && json["error"].is_object() &&
      json["error"].contains("message") && json["error"]["message"].is_string()) {
    return json["error"]["message"].get<std::string>();
  }
  return absl::StrCat("HTTP ", answer.code);
}

}  // namespace

bool OtherRegions::Ask(const std::string& target, Done done) {
  if (under_way_.size() >= kMaxUnderWay && under_way_.count(target) == 0 &&
      !std::all_of(coordinators_.begin(), coordinators_.end(),
                   [&](const auto& one) { return IsKnown(one.first, target); })) {
    return false;
  }
  ForgetOld();
  auto round = std::make_shared<Round>();
  round->left = coordinators_.size() + 1;
  round->done = std::move(done);
  const auto one_is_there = [this, round, target] {
    if (--round->left > 0) return;
    std::vector<RegionAnswer> answers;
    for (const auto& [region, urls] : coordinators_) answers.push_back(AnswerOf(region, target));
    round->done(std::move(answers));
  };
  for (const auto& [region, urls] : coordinators_) AskRegion(region, target, one_is_there);
  one_is_there();
  return true;
}

bool OtherRegions::IsKnown(const std::string& region, const std::string& target) const {
  const auto found = kept_.find({region, target});
  if (found == kept_.end() || found->second.asking) return false;
  const Kept& kept = found->second;
  return clock_.Monotonic() - kept.tried < (kept.problem.empty() ? kFresh : kFailed);
}

void OtherRegions::AskRegion(const std::string& region, const std::string& target,
                             std::function<void()> answered) {
  if (IsKnown(region, target)) return answered();
  Kept& kept = kept_[{region, target}];
  kept.waiting.push_back(std::move(answered));
  if (std::exchange(kept.asking, true)) return;
  ++under_way_[target];
  auto attempt = std::make_shared<Attempt>();
  attempt->region = region;
  attempt->target = target;
  attempt->until = clock_.Monotonic() + kTimeout;
  Try(attempt);
}

void OtherRegions::Try(const std::shared_ptr<Attempt>& attempt) {
  const std::vector<HttpUrl>& urls = coordinators_.at(attempt->region);
  HttpCall call;
  call.url = urls[(first_[attempt->region] + attempt->tried) % urls.size()];
  call.url.target = attempt->target;
  // What is left, in equal parts: one that is silent leaves time for the next.
  call.timeout =
      (attempt->until - clock_.Monotonic()) / static_cast<int64_t>(urls.size() - attempt->tried);
  call.max_answer_bytes = kMaxBytes;
  sender_.Send(std::move(call),
               [this, executor = &executor_, attempt](absl::StatusOr<HttpAnswer> answer) {
                 executor->Post([this, attempt, answer = std::move(answer)]() mutable {
                   Answered(attempt, std::move(answer));
                 });
               });
}

void OtherRegions::Answered(const std::shared_ptr<Attempt>& attempt,
                            absl::StatusOr<HttpAnswer> answer) {
  Kept& kept = kept_[{attempt->region, attempt->target}];
  const size_t all = coordinators_.at(attempt->region).size();
  size_t& first = first_[attempt->region];
  if (answer.ok() && answer->code == 200) {
    first = (first + attempt->tried) % all;
    kept.body = std::move(answer->body);
    kept.at = clock_.Monotonic();
    kept.problem.clear();
    End(*attempt);
    return;
  }
  kept.problem = answer.ok() ? ProblemOf(*answer) : std::string(answer.status().message());
  if (++attempt->tried < all && clock_.Monotonic() < attempt->until) {
    Try(attempt);
  } else {
    // Another one the next time: this one may take all of the time again.
    first = (first + 1) % all;
    End(*attempt);
  }
}

void OtherRegions::End(const Attempt& attempt) {
  Kept& kept = kept_[{attempt.region, attempt.target}];
  kept.asking = false;
  if (--under_way_[attempt.target] == 0) under_way_.erase(attempt.target);
  kept.tried = clock_.Monotonic();
  for (const std::function<void()>& answered : std::exchange(kept.waiting, {})) answered();
}

RegionAnswer OtherRegions::AnswerOf(const std::string& region, const std::string& target) const {
  RegionAnswer answer = {.region = region};
  const auto found = kept_.find({region, target});
  if (found == kept_.end()) return answer;
  const Kept& kept = found->second;
  answer.problem = kept.problem;
  if (!kept.at.has_value()) return answer;
  answer.age = clock_.Monotonic() - *kept.at;
  if (*answer.age <= kShown) answer.body = kept.body;
  return answer;
}

// What nobody asks for any more: the targets are those of callers.
void OtherRegions::ForgetOld() {
  size_t bytes = 0;
  for (const auto& [key, kept] : kept_) bytes += kept.body.size();
  while (kept_.size() + coordinators_.size() > kMaxKept || bytes > kMaxKeptBytes) {
    auto oldest = kept_.end();
    for (auto it = kept_.begin(); it != kept_.end(); ++it) {
      if (it->second.asking) continue;
      if (oldest == kept_.end() || it->second.tried < oldest->second.tried) oldest = it;
    }
    if (oldest == kept_.end()) return;
    bytes -= oldest->second.body.size();
    kept_.erase(oldest);
  }
}

}  // namespace meridian
