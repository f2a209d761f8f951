#include "tests/integration/checked_load.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "load";
constexpr size_t kMostWrong = 10;  // More say no more.

std::string ValueOf(const std::string& key, size_t sequence) {
  return absl::StrCat(key, "|", sequence);
}

}  // namespace

CheckedLoad::CheckedLoad(Client& client, CheckedLoadOptions options)
    : client_(client), options_(std::move(options)) {
  for (int i = 0; i < options_.keys; ++i) {
    keys_.push_back(std::make_unique<Key>());
    keys_.back()->name = absl::StrCat(options_.name, ":", i);
  }
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this, i] { Run(i); });
}

CheckedLoad::~CheckedLoad() { Stop(); }

void CheckedLoad::Stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void CheckedLoad::Run(int thread) {
  std::mt19937 random(static_cast<uint32_t>(thread) + 1);
  while (!stop_) {
    const size_t index = random() % keys_.size();
    Key& key = *keys_[index];
    const bool mine = index % static_cast<size_t>(options_.threads) == static_cast<size_t>(thread);
    if (mine) {
      WriteOne(key, random());
    } else {
      ReadOne(key, options_.stale_bound);
    }
    absl::SleepFor(options_.pause);
  }
}

void CheckedLoad::WriteOne(Key& key, uint32_t random) {
  const bool deletes = random % 8 == 0;
  size_t sequence = 0;
  {
    absl::MutexLock lock(&key.mu);
    sequence = key.writes.size();
    key.writes.push_back(Write{.deleted = deletes});
  }
  const WriteResult result = deletes
                                 ? client_.Invalidate(kSpace, key.name)
                                 : client_.Set(kSpace, key.name, ValueOf(key.name, sequence));
  if (!result.ok()) Count(result.error);
  absl::MutexLock lock(&key.mu);
  Write& write = key.writes[sequence];
  if (!result.ok()) {
    write.failed = true;
    return;
  }
  write.version = result.version;
  write.acknowledged = absl::Now();
  ++answers_;
}

bool CheckedLoad::ReadOne(Key& key, absl::Duration bound) {
  const absl::Time began = absl::Now();
  const GetResult read = client_.Get(kSpace, key.name);
  if (read.status == ResultStatus::kError) {
    Count(read.error);
    return false;
  }
  ++answers_;
  if (read.source == ResultSource::kL1) ++l1_hits_;
  const std::string problem = Judge(key, read, began, bound);
  if (!problem.empty()) {
    absl::MutexLock lock(&mu_);
    if (wrong_.size() < kMostWrong) wrong_.push_back(absl::StrCat(key.name, ": ", problem));
  }
  return true;
}

std::string CheckedLoad::Judge(Key& key, const GetResult& read, absl::Time began,
                               absl::Duration bound) {
  absl::MutexLock lock(&key.mu);
  // What the read must have seen: the newest write that was acknowledged before it began.
  const Write* required = nullptr;
  for (const Write& write : key.writes) {
    if (write.acknowledged < began && (required == nullptr || write.version > required->version)) {
      required = &write;
    }
  }
  if (required == nullptr && !read.hit()) return "";
  return read.hit() ? JudgeHit(key, read, began, bound) : JudgeMiss(key, *required, began, bound);
}

std::string CheckedLoad::JudgeMiss(const Key& key, const Write& required, absl::Time began,
                                   absl::Duration bound) {
  // A delete that is as new as what is required explains it, acknowledged or not.
  for (const Write& write : key.writes) {
    if (!write.deleted) continue;
    if (write.failed || !write.version.is_set() || write.version >= required.version) return "";
  }
  const absl::Duration age = began - required.acknowledged;
  if (age < bound) return "";
  return absl::StrCat("missed, but ", required.version.ToText(), " was acknowledged ",
                      absl::FormatDuration(age), " before the read");
}

std::string CheckedLoad::JudgeHit(const Key& key, const GetResult& read, absl::Time began,
                                  absl::Duration bound) {
  const std::vector<Write>& writes = key.writes;
  const std::string what =
      absl::StrCat(read.version.ToText(), " '", read.value,
                   read.source == ResultSource::kL1 ? "' from L1" : "' from L2");
  const std::vector<std::string> parts = absl::StrSplit(read.value, '|');
  size_t sequence = 0;
  if (parts.size() != 2 || parts[0] != key.name || !absl::SimpleAtoi(parts[1], &sequence) ||
      sequence >= writes.size() || writes[sequence].deleted) {
    return absl::StrCat(what, " was never written to it");
  }
  absl::Time missed = absl::InfiniteFuture();  // When the oldest write that it lacks was acknowledged.
  for (size_t i = 0; i < writes.size(); ++i) {
    if (writes[i].version == read.version && i != sequence) {
      return absl::StrCat(what, " has the version of write ", i);
    }
    // By version, and by the writer's order, unless the write that was seen failed and came late.
    const bool newer =
        writes[i].version > read.version || (i > sequence && !writes[sequence].failed);
    if (newer && writes[i].acknowledged < began) missed = std::min(missed, writes[i].acknowledged);
  }
  if (missed == absl::InfiniteFuture()) return "";
  const absl::Duration staleness = began - missed;
  {
    absl::MutexLock lock(&mu_);
    max_staleness_ = std::max(max_staleness_, staleness);
  }
  if (staleness <= bound) return "";
  return absl::StrCat(what, " is behind what was acknowledged ", absl::FormatDuration(staleness),
                      " before the read");
}

void CheckedLoad::Count(const std::shared_ptr<const ResultError>& error) {
  ++errors_;
  absl::MutexLock lock(&mu_);
  ++reasons_[error == nullptr ? "no error given" : error->reason];
}

bool CheckedLoad::Progress(uint64_t count, absl::Duration limit) const {
  const uint64_t goal = answers_ + count;
  return WaitUntil([&] { return answers_ >= goal; }, limit);
}

std::map<std::string, uint64_t> CheckedLoad::error_reasons() const {
  absl::MutexLock lock(&mu_);
  return reasons_;
}

std::string CheckedLoad::error_text() const {
  std::string text;
  for (const auto& [reason, count] : error_reasons()) absl::StrAppend(&text, reason, " x", count, " ");
  return text;
}

std::vector<std::string> CheckedLoad::wrong() const {
  absl::MutexLock lock(&mu_);
  return wrong_;
}

absl::Duration CheckedLoad::max_staleness() const {
  absl::MutexLock lock(&mu_);
  return max_staleness_;
}

void CheckedLoad::CheckAllAtRest() {
  for (const std::unique_ptr<Key>& key : keys_) {
    const bool read = WaitUntil([&] { return ReadOne(*key, absl::ZeroDuration()); },
                                absl::Seconds(10));
    if (!read) {
      absl::MutexLock lock(&mu_);
      wrong_.push_back(absl::StrCat(key->name, ": cannot be read any more"));
    }
  }
}

}  // namespace meridian
