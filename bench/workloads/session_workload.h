// SessionWorkload is the traffic of people who log in, look at their projects and work on tasks, as
// source 002 describes it (docs/requirements.md, 2-03, 2-07, 2-09, 2-10), as a model.
//
// The source states which kinds of data there are, how they belong together and how long they live
//   (2-05: at medium volatility); it states no numbers of users or clicks. These are chosen, and
//   are nobody's measurement:
// - 2000 users, 200 projects with 3 branches and 30 tasks each; a user has two projects, one branch
//   and five tasks in each; who logs in and which project it is follow Zipf's law (0.8);
// - a session: the user, one of the projects (the first in 9 of 10), its branch, its list of tasks,
//   then one to many tasks (three on average), 8 of 10 of them the user's own, each with its
//   context 0.3 s later and in every second case its agent;
// - between two looks 1 s and as much again as Exp(6 s) gives; sessions begin as a Poisson process.
//
// Thread safety: none.

#ifndef MERIDIAN_BENCH_WORKLOADS_SESSION_WORKLOAD_H_
#define MERIDIAN_BENCH_WORKLOADS_SESSION_WORKLOAD_H_

#include <cstdint>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace meridian {

struct SessionOptions {
  double sessions_per_second = 0.5;
  uint64_t seed = 1;
};

class SessionWorkload {
 public:
  struct Request {
    absl::Duration at;  // Since the start.
    uint64_t session = 0;
    absl::Duration ttl;
    std::string key;
  };

  explicit SessionWorkload(SessionOptions options);

  // In the order of time.
  Request Next();

  // What the rules of 2-07 and 2-09 have warmed when `key` was asked for: of a login the project,
  // its branch and its tasks, of a task its context and agent.
  std::vector<std::string> Related(const std::string& key) const;

 private:
  struct Later {
    bool operator()(const Request& a, const Request& b) const { return a.at > b.at; }
  };
  struct User {
    int projects[2];
    int branches[2];
    std::vector<int> tasks[2];
  };

  double Uniform();
  double Exponential(double mean);
  int Zipf(const std::vector<double>& cumulative);
  void BeginSession();

  const SessionOptions options_;
  std::mt19937_64 rng_;
  std::vector<double> user_shares_;
  std::vector<double> project_shares_;
  std::vector<User> users_;
  absl::Duration next_session_;
  uint64_t sessions_ = 0;
  std::priority_queue<Request, std::vector<Request>, Later> requests_;
};

}  // namespace meridian

#endif  // MERIDIAN_BENCH_WORKLOADS_SESSION_WORKLOAD_H_
