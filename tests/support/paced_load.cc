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
constexpr size_t kMaxDifferences = 20;
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
  return first_error_;
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
      absl::SleepFor(kStep);
    }
  }
}

void PacedLoad::WriteOne(uint64_t random) {
  const int key = static_cast<int>(random % static_cast<uint64_t>(options_.keys));
  const bool deleted = static_cast<double>(random >> 32) < options_.deletes * 4294967296.0;
  const auto done = [this, key, deleted](const WriteResult& result) {
    Written(key, deleted, result);
  };
  {
    const absl::MutexLock lock(&mu_);
    ++under_way_;
  }
  if (deleted) {
    CallOptions call;
    call.timeout = options_.timeout;
    client_.Invalidate(options_.name_space, KeyOf(key), call, done);
  } else {
    SetOptions set;
    set.timeout = options_.timeout;
    set.ttl = options_.ttl;
    client_.Set(options_.name_space, KeyOf(key), std::string(options_.value_bytes, 'v'), set, done);
  }
}

void PacedLoad::Written(int key, bool deleted, const WriteResult& result) {
  if (result.ok() && !result.degraded) {
    ++writes_;
    if (deleted) ++deletes_;
    const absl::MutexLock lock(&mu_);
    Last& last = last_[static_cast<size_t>(key)];
    if (last.version < result.version) last = {result.version, deleted};
  }
  Answered(result.error);
}

void PacedLoad::ReadOne(uint64_t random) {
  {
    const absl::MutexLock lock(&mu_);
    ++under_way_;
  }
  GetOptions get;
  get.timeout = options_.timeout;
  client_.Get(options_.name_space,
              KeyOf(static_cast<int>(random % static_cast<uint64_t>(options_.keys))), get,
              [this](const GetResult& result) {
                if (result.error == nullptr) ++reads_;
                Answered(result.error);
              });
}

void PacedLoad::Answered(const std::shared_ptr<const ResultError>& error) {
  const absl::MutexLock lock(&mu_);
  --under_way_;
  if (error == nullptr) return;
  ++failed_;
  if (first_error_.empty()) first_error_ = absl::StrCat(error->reason, ": ", error->message);
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
      if (answer.error != nullptr) {
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
