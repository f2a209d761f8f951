// AskNodes asks many nodes the same at the same time, so that one that is away costs its timeout
// once.

#ifndef MERIDIAN_CLIENT_CLI_ASK_NODES_H_
#define MERIDIAN_CLIENT_CLI_ASK_NODES_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/admin.h"
#include "client/cli/session.h"

namespace meridian::cli {

template <typename Response>
struct NodeAnswer {
  std::string address;
  bool answered = false;
  Response response = {};
  ResultError error = {};  // When it did not answer.
  absl::Time asked = {};   // By this machine's clock.
  absl::Duration took = {};
};

// In the order of `addresses`.
template <typename Response, typename Method, typename Request>
std::vector<NodeAnswer<Response>> AskNodes(const Session& session,
                                           const std::vector<std::string>& addresses, Method method,
                                           const Request& request) {
  constexpr size_t kAtOnce = 32;
  std::vector<NodeAnswer<Response>> answers(addresses.size());
  for (size_t begin = 0; begin < addresses.size(); begin += kAtOnce) {
    std::vector<std::thread> threads;
    const size_t end = std::min(begin + kAtOnce, addresses.size());
    for (size_t i = begin; i < end; ++i) {
      answers[i].address = addresses[i];
      threads.emplace_back([&session, &request, method, answer = &answers[i]] {
        answer->asked = absl::Now();
        answer->answered = CallNode<admin::v1::AdminService>(
            session, answer->address, method, request, &answer->response, &answer->error);
        answer->took = absl::Now() - answer->asked;
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  return answers;
}

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_ASK_NODES_H_
