#include "server/coordinator/leader_forward.h"

#include "absl/strings/str_cat.h"
#include "common/rpc/reasons.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

HttpReply NoAnswer(const LeaderView& leader, const std::string& problem) {
  return JsonError(503, reason::kNotLeader,
                   absl::StrCat("the coordinator at ", leader.address,
                                " leads the region, and its HTTP does not answer: ", problem));
}

bool IsEverywhere(const std::string& host) { return host == "0.0.0.0" || host == "[::]"; }

}  // namespace

std::string ReachableHttp(const std::string& listens, const std::string& told) {
  const size_t colon = listens.rfind(':');
  if (!IsEverywhere(listens.substr(0, colon))) {
    return IsLoopback(listens) && !IsLoopback(told) ? "" : listens;
  }
  const std::string host = told.substr(0, told.rfind(':'));
  return host.empty() || IsEverywhere(host) ? "" : absl::StrCat(host, listens.substr(colon));
}

void LeaderForward::Ask(const LeaderView& leader, const std::string& target, Done done) {
  if (leader.http_address == silent_ && clock_.Monotonic() - silent_at_ < kFailed) {
    return done(NoAnswer(leader, problem_));
  }
  const Question question = {leader.http_address, target};
  const auto asked = under_way_.find(question);
  if (waiting_ >= kMaxWaiting || (asked == under_way_.end() && under_way_.size() >= kMaxUnderWay)) {
    return done(JsonError(503, reason::kOverloaded,
                          "this coordinator does not lead, and too many questions to the one that "
                          "does are under way"));
  }
  ++waiting_;
  if (asked != under_way_.end()) return asked->second.push_back(std::move(done));
  under_way_[question].push_back(std::move(done));
  absl::StatusOr<HttpUrl> url = ParseHttpUrl(absl::StrCat("http://", leader.http_address));
  if (!url.ok()) return Answered(leader, question, url.status());
  HttpCall call;
  call.url = *std::move(url);
  call.url.target = target;
  call.timeout = kTimeout;
  call.max_answer_bytes = kMaxBytes;
  call.forwarded = true;
  sender_.Send(std::move(call),
               [this, executor = &executor_, leader, question](absl::StatusOr<HttpAnswer> answer) {
                 executor->Post([this, leader, question, answer = std::move(answer)]() mutable {
                   Answered(leader, question, std::move(answer));
                 });
               });
}

void LeaderForward::Answered(const LeaderView& leader, const Question& question,
                             absl::StatusOr<HttpAnswer> answer) {
  const auto node = under_way_.extract(question);
  const std::vector<Done>& waiting = node.mapped();
  waiting_ -= waiting.size();
  HttpReply reply;
  if (answer.ok()) {
    if (silent_ == question.first) silent_.clear();
    reply.code = answer->code;
    reply.content_type = kJsonContent;
    reply.body = std::move(answer->body);
  } else {
    silent_ = question.first;
    silent_at_ = clock_.Monotonic();
    problem_ = std::string(answer.status().message());
    reply = NoAnswer(leader, problem_);
  }
  for (const Done& done : waiting) done(reply);
}

}  // namespace meridian
