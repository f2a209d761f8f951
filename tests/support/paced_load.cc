#include "tests/support/paced_load.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace meridian {
namespace {

constexpr int kMaxUnderWay = 2000;
constexpr absl::Duration kStep = absl::Milliseconds(2);
// Less is what any timer is late.
constexpr absl::Duration kOverslept = absl::Milliseconds(10);
constexpr size_t kMaxDifferences = 20;
constexpr size_t kMaxFailures = 1000;
constexpr size_t kReadBatch = 500;

}  // namespace

PacedLoad::PacedLoad(Client& client, PacedLoadOptions options)
    : client_(client), options_(std::move(options)), last_(static_cast<size_t>(options_.keys)) {
  thread_ = std::thread([this] { Run(); });
}

PacedLoad::~PacedLoad() { Stop(); }

void PacedLoad::Stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  const absl::MutexLock lock(&mu_);
  const auto answered = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return under_way_ == 0; };
  mu_.Await(absl::Condition(&answered));
}

std::string PacedLoad::first_error() const {
  const absl::MutexLock lock(&mu_);
  return failures_.empty() ? "" : absl::StrCat(failures_[0].reason, ": ", failures_[0].message);
}

std::vector<PacedFailure> PacedLoad::failures() const {
  const absl::MutexLock lock(&mu_);
  return failures_;
}

absl::Duration PacedLoad::longest_delay() const { return absl::Microseconds(longest_us_.load()); }

size_t PacedLoad::doubtful_keys() const {
  const absl::MutexLock lock(&mu_);
  return static_cast<size_t>(
      std::count_if(last_.begin(), last_.end(), [](const Last& one) { return one.doubtful; }));
}

std::string PacedLoad::KeyOf(int i) const { return absl::StrCat(options_.name, ":", i); }

void PacedLoad::Run() {
  std::mt19937_64 random(options_.seed);
  const absl::Time began = absl::Now();
  uint64_t writes = 0;
  uint64_t reads = 0;
  const auto due = [&began](double rate) {
    return static_cast<uint64_t>(rate * absl::ToDoubleSeconds(absl::Now() - began));
  };
  const auto has_room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return under_way_ < kMaxUnderWay;
  };
  while (!stop_) {
    {
      const absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(&has_room));
    }
    if (writes < due(options_.writes_per_second)) {
      ++writes;
      WriteOne(random());
    } else if (reads < due(options_.reads_per_second)) {
      ++reads;
      ReadOne(random());
    } else {
      Rest();
    }
  }
}

void PacedLoad::Rest() {
  const absl::Time began = absl::Now();
  absl::SleepFor(kStep);
  const absl::Duration late = absl::Now() - began - kStep;
  if (late < kOverslept) return;
  late_us_ += absl::ToInt64Microseconds(late);
  longest_us_ = std::max(longest_us_.load(), absl::ToInt64Microseconds(late));
}

PacedLoad::Call PacedLoad::Begin(uint64_t random, bool write) {
  const absl::MutexLock lock(&mu_);
  ++under_way_;
  return {.key = static_cast<int>(random % static_cast<uint64_t>(options_.keys)),
          .write = write,
          .began = absl::Now(),
          .late_before_us = late_us_};
}

void PacedLoad::WriteOne(uint64_t random) {
  const Call call = Begin(random, /*write=*/true);
  const bool deleted = static_cast<double>(random >> 32) < options_.deletes * 4294967296.0;
  const auto done = [this, call, deleted](const WriteResult& result) {
    Written(call, deleted, result);
  };
  if (deleted) {
    CallOptions options;
    options.timeout = options_.timeout;
    client_.Invalidate(options_.name_space, KeyOf(call.key), options, done);
  } else {
    SetOptions set;
    set.timeout = options_.timeout;
    set.ttl = options_.ttl;
    client_.Set(options_.name_space, KeyOf(call.key), std::string(options_.value_bytes, 'v'), set,
                done);
  }
}

void PacedLoad::Written(const Call& call, bool deleted, const WriteResult& result) {
  const bool stored = result.ok() && !result.degraded;
  if (stored) {
    ++writes_;
    if (deleted) ++deletes_;
  } else if (result.ok()) {
    ++degraded_;
  }
  {
    const absl::MutexLock lock(&mu_);
    Last& last = last_[static_cast<size_t>(call.key)];
    if (!stored) {
      last.doubtful = true;
    } else if (last.version < result.version) {
      last.version = result.version;
      last.deleted = deleted;
    }
  }
  Answered(call, result.error);
}

void PacedLoad::ReadOne(uint64_t random) {
  const Call call = Begin(random, /*write=*/false);
  GetOptions get;
  get.timeout = options_.timeout;
  client_.Get(options_.name_space, KeyOf(call.key), get, [this, call](const GetResult& result) {
    if (result.error == nullptr) ++reads_;
    Answered(call, result.error);
  });
}

void PacedLoad::Answered(const Call& call, const std::shared_ptr<const ResultError>& error) {
  const absl::MutexLock lock(&mu_);
  --under_way_;
  if (error == nullptr) return;
  ++failed_;
  if (failures_.size() == kMaxFailures) return;
  const absl::Time now = absl::Now();
  failures_.push_back({.write = call.write,
                       .key = KeyOf(call.key),
                       .reason = error->reason,
                       .message = error->message,
                       .at = now,
                       .took = now - call.began,
                       .generator_late = absl::Microseconds(late_us_ - call.late_before_us)});
}

std::vector<std::string> PacedLoad::Differences(Client& client) const {
  const absl::MutexLock lock(&mu_);
  std::vector<std::string> differences;
  GetOptions get;
  get.timeout = absl::Seconds(30);
  for (size_t first = 0; first < last_.size(); first += kReadBatch) {
    std::vector<std::string> names;
    for (size_t i = first; i < std::min(last_.size(), first + kReadBatch); ++i) {
      names.push_back(KeyOf(static_cast<int>(i)));
    }
    const std::vector<std::string_view> keys(names.begin(), names.end());
    const std::vector<GetResult> answers = client.BatchGet(options_.name_space, keys, get);
    for (size_t i = 0; i < answers.size() && differences.size() < kMaxDifferences; ++i) {
      const GetResult& answer = answers[i];
      const Last& last = last_[first + i];
      const bool wanted = last.version != Version{} && !last.deleted;
      if (last.doubtful) {
        continue;
      } else if (answer.error != nullptr) {
        differences.push_back(absl::StrCat(names[i], " cannot be read: ", answer.error->reason));
      } else if (answer.hit() && !wanted) {
        differences.push_back(absl::StrCat(names[i], " is deleted, and can be read"));
      } else if (!answer.hit() && wanted) {
        differences.push_back(absl::StrCat(names[i], " was written, and is a miss"));
      } else if (wanted && answer.version != last.version) {
        differences.push_back(absl::StrCat(names[i], " has another version than was written last"));
      }
    }
  }
  return differences;
}

}  // namespace meridian
