// FakeOrigins is the source of truth of a test: a map, whose loads wait until the test lets them
// go.
//
// A load reads the map when it begins, as a slow database does: what changes until it is answered
// is not in the answer. Thread safety: none; a test drives everything from one thread.

#ifndef MERIDIAN_TESTS_SUPPORT_FAKE_ORIGINS_H_
#define MERIDIAN_TESTS_SUPPORT_FAKE_ORIGINS_H_

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/node/origin.h"

namespace meridian {

class FakeOrigins final : public Origins {
 public:
  void Load(const Namespace&, const NamespacePolicy&, std::vector<OriginKey> keys,
            OriginSink& sink) override {
    for (OriginKey& key : keys) {
      ++loads;
      ++loads_of[key.key];
      OriginAnswer answer = template_answer;
      const auto it = rows.find(key.key);
      answer.outcome = it == rows.end() ? LoadOutcome::kAbsent : LoadOutcome::kFound;
      if (it != rows.end()) answer.value = it->second;
      if (fails) {
        answer.outcome = LoadOutcome::kError;
        answer.error = std::make_shared<const Error>(
            Error{grpc::StatusCode::UNAVAILABLE, reason::kOriginUnavailable, "down", {}});
      }
      answer.ticket = std::move(key.ticket);
      waiting.emplace_back(std::move(answer), &sink);
    }
  }

  // Answers the load that has waited longest, or all.
  void AnswerOne() {
    auto [answer, sink] = std::move(waiting.front());
    waiting.pop_front();
    std::vector<OriginAnswer> answers;
    answers.push_back(std::move(answer));
    sink->OnLoaded(std::move(answers));
  }
  void AnswerAll() {
    while (!waiting.empty()) AnswerOne();
  }

  std::map<std::string, std::string> rows;
  OriginAnswer template_answer;  // TTL, tags and cost of what is found.
  bool fails = false;
  int loads = 0;
  std::map<std::string, int> loads_of;
  std::deque<std::pair<OriginAnswer, OriginSink*>> waiting;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAKE_ORIGINS_H_
