#include "bench/workloads/session_workload.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace meridian {
namespace {

constexpr int kUsers = 2000;
constexpr int kProjects = 200;
constexpr int kBranches = 3;
constexpr int kTasks = 30;
constexpr int kOwnTasks = 5;
constexpr int kAgents = 50;
constexpr double kZipfExponent = 0.8;
constexpr double kMoreTasks = 2.0 / 3;  // After each: three on average.
constexpr double kReadingSeconds = 6;
constexpr absl::Duration kShortestPause = absl::Seconds(1);
constexpr absl::Duration kContextAfter = absl::Milliseconds(300);
// 2-05, at medium volatility.
constexpr absl::Duration kUserTtl = absl::Seconds(600);
constexpr absl::Duration kProjectTtl = absl::Seconds(900);
constexpr absl::Duration kBranchTtl = absl::Seconds(1200);
constexpr absl::Duration kTaskTtl = absl::Seconds(300);
constexpr absl::Duration kContextTtl = absl::Seconds(600);
constexpr absl::Duration kAgentTtl = absl::Seconds(3600);

std::vector<double> CumulativeZipf(int count) {
  std::vector<double> cumulative;
  double sum = 0;
  for (int i = 1; i <= count; ++i) cumulative.push_back(sum += std::pow(i, -kZipfExponent));
  for (double& value : cumulative) value /= sum;
  return cumulative;
}

std::string UserKey(int user) { return absl::StrCat("user:", user); }
std::string ProjectKey(int project) { return absl::StrCat("project:", project); }
std::string BranchKey(int branch) { return absl::StrCat("branch:", branch); }
std::string TasksKey(int project) { return absl::StrCat("tasks:", project); }
std::string TaskKey(int task) { return absl::StrCat("task:", task); }
std::string ContextKey(int task) { return absl::StrCat("context:", task); }
std::string AgentKey(int task) { return absl::StrCat("agent:", task % kAgents); }

}  // namespace

SessionWorkload::SessionWorkload(SessionOptions options)
    : options_(options),
      rng_(options.seed),
      user_shares_(CumulativeZipf(kUsers)),
      project_shares_(CumulativeZipf(kProjects)) {
  for (int i = 0; i < kUsers; ++i) {
    User user;
    for (int k = 0; k < 2; ++k) {
      user.projects[k] = Zipf(project_shares_);
      user.branches[k] = user.projects[k] * kBranches + static_cast<int>(Uniform() * kBranches);
      for (int task = 0; task < kOwnTasks; ++task) {
        user.tasks[k].push_back(user.projects[k] * kTasks + static_cast<int>(Uniform() * kTasks));
      }
    }
    users_.push_back(std::move(user));
  }
}

double SessionWorkload::Uniform() { return std::ldexp(static_cast<double>(rng_() >> 11), -53); }

double SessionWorkload::Exponential(double mean) { return -mean * std::log1p(-Uniform()); }

int SessionWorkload::Zipf(const std::vector<double>& cumulative) {
  const auto found = std::upper_bound(cumulative.begin(), cumulative.end() - 1, Uniform());
  return static_cast<int>(found - cumulative.begin());
}

SessionWorkload::Request SessionWorkload::Next() {
  while (requests_.empty() || next_session_ <= requests_.top().at) BeginSession();
  Request next = requests_.top();
  requests_.pop();
  return next;
}

void SessionWorkload::BeginSession() {
  absl::Duration at = next_session_;
  next_session_ += absl::Seconds(Exponential(1 / options_.sessions_per_second));
  const uint64_t session = ++sessions_;
  const auto ask = [&](std::string key, absl::Duration ttl) {
    requests_.push({at, session, ttl, std::move(key)});
  };
  const auto pause = [&] { at += kShortestPause + absl::Seconds(Exponential(kReadingSeconds)); };

  const int number = Zipf(user_shares_);
  const User& user = users_[number];
  ask(UserKey(number), kUserTtl);
  pause();
  const int which = Uniform() < 0.9 ? 0 : 1;
  const int project = user.projects[which];
  ask(ProjectKey(project), kProjectTtl);
  pause();
  ask(BranchKey(user.branches[which]), kBranchTtl);
  pause();
  ask(TasksKey(project), kTaskTtl);
  do {
    pause();
    const int task = Uniform() < 0.8 ? user.tasks[which][static_cast<size_t>(Uniform() * kOwnTasks)]
                                     : project * kTasks + static_cast<int>(Uniform() * kTasks);
    ask(TaskKey(task), kTaskTtl);
    at += kContextAfter;
    ask(ContextKey(task), kContextTtl);
    if (Uniform() < 0.5) {
      pause();
      ask(AgentKey(task), kAgentTtl);
    }
  } while (Uniform() < kMoreTasks);
}

std::vector<std::string> SessionWorkload::Related(const std::string& key) const {
  absl::string_view rest = key;
  int number = 0;
  if (absl::ConsumePrefix(&rest, "user:") && absl::SimpleAtoi(rest, &number)) {
    const User& user = users_[number];
    return {ProjectKey(user.projects[0]), BranchKey(user.branches[0]), TasksKey(user.projects[0])};
  }
  if (absl::ConsumePrefix(&rest, "task:") && absl::SimpleAtoi(rest, &number)) {
    return {ContextKey(number), AgentKey(number)};
  }
  return {};
}

}  // namespace meridian
