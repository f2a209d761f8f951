#include "server/warming/warm_queue.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace meridian {

namespace {

// Why not all keys of a job without an error are warm; empty: they are.
std::string ShortfallOf(const WarmJob& job) {
  std::vector<std::string> parts;
  if (job.absent_keys > 0) {
    parts.push_back(absl::StrCat("nobody has ", job.absent_keys, " of the keys"));
  }
  if (job.unkept_keys > 0) {
    parts.push_back(absl::StrCat("the memory of their owners did not keep ", job.unkept_keys));
  }
  return absl::StrJoin(parts, "; ");
}

}  // namespace

absl::StatusOr<WarmQueue::Added> WarmQueue::Add(WarmJob job) {
  size_t live = 0;
  uint64_t text_bytes = 0;
  for (auto& [id, other] : jobs_) {
    if (other.over()) continue;
    if (other.identity == job.identity && other.next_key == 0 &&
        other.state != WarmJobState::kRunning) {
      if (job.priority > other.priority) {
        turns_.Remove(other);
        other.priority = job.priority;
        turns_.Add(other);
      }
      other.deadline = std::max(other.deadline, job.deadline);
      other.has_fixed_budget |= job.has_fixed_budget;
      return Added{id, false};
    }
    ++live;
    text_bytes += other.text_bytes;
  }
  if (live >= options_.max_live) {
    return absl::ResourceExhaustedError(
        absl::StrCat("WARM_QUEUE_FULL: ", live, " jobs wait already"));
  }
  if (text_bytes + job.text_bytes > options_.max_text_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("WARM_QUEUE_FULL: the keys of the jobs that "
                     "wait are ",
                     text_bytes, " bytes already"));
  }
  Added added{job.id, true};
  // A clock that was set back names runs of schedules a second time.
  for (int i = 2; jobs_.count(added.id) > 0; ++i) added.id = absl::StrCat(job.id, "~", i);
  job.id = added.id;
  turns_.Add(jobs_.emplace(added.id, std::move(job)).first->second);
  return added;
}

void WarmQueue::Remove(const std::string& id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return;
  turns_.Remove(it->second);
  jobs_.erase(it);
}

void WarmQueue::Clear() {
  turns_.Clear();
  jobs_.clear();
}

WarmJob* WarmQueue::FindLive(const std::string& id) {
  const auto it = jobs_.find(id);
  return it == jobs_.end() || it->second.over() ? nullptr : &it->second;
}

const WarmJob* WarmQueue::Find(const std::string& id) const {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

absl::StatusOr<WarmJob*> WarmQueue::Controllable(const std::string& id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) {
    return absl::NotFoundError(
        absl::StrCat("WARM_JOB_UNKNOWN: there is no warm job ", QuoteKey(id)));
  }
  if (it->second.over()) {
    return absl::FailedPreconditionError(
        absl::StrCat("WARM_JOB_OVER: ", id, " is ", ToAbsl(WarmJobStateName(it->second.state))));
  }
  return &it->second;
}

absl::Status WarmQueue::Pause(const std::string& id) {
  ASSIGN_OR_RETURN(WarmJob* const job, Controllable(id));
  job->state = WarmJobState::kPaused;
  return absl::OkStatus();
}

absl::Status WarmQueue::Resume(const std::string& id) {
  ASSIGN_OR_RETURN(WarmJob* const job, Controllable(id));
  if (job->state != WarmJobState::kPaused) return absl::OkStatus();
  job->state = job->next_key > 0 ? WarmJobState::kRunning : WarmJobState::kQueued;
  return absl::OkStatus();
}

absl::Status WarmQueue::Cancel(const std::string& id, absl::Time now) {
  if (const WarmJob* job = Find(id); job != nullptr && job->state == WarmJobState::kCancelled) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(WarmJob* const job, Controllable(id));
  turns_.Remove(*job);
  job->state = WarmJobState::kCancelled;
  job->end_time = now;
  ForgetOld(id);
  return absl::OkStatus();
}

const WarmJob* WarmQueue::Pick(const std::function<bool(const WarmJob&)>& can_run) const {
  return turns_.First([&can_run](const WarmJob& job) {
    return job.state != WarmJobState::kPaused && can_run(job);
  });
}

void WarmQueue::Begin(const std::string& id, absl::Time now) {
  WarmJob* const job = FindLive(id);
  if (job == nullptr) return;
  if (job->state == WarmJobState::kQueued) job->state = WarmJobState::kRunning;
  if (!job->start_time) job->start_time = now;
}

void WarmQueue::Spend(const std::string& id, uint64_t keys) {
  if (const WarmJob* const job = FindLive(id); job != nullptr) turns_.Spend(*job, keys);
}

void WarmQueue::Advance(const std::string& id, const Progress& progress) {
  WarmJob* const job = FindLive(id);
  if (job == nullptr) return;
  job->next_key += progress.keys;
  job->warmed_keys += progress.warmed;
  job->absent_keys += progress.absent;
  job->failed_keys += progress.failed;
  job->unkept_keys += progress.unkept;
}

void WarmQueue::Finish(const std::string& id, std::string error, absl::Time now) {
  WarmJob* const job = FindLive(id);
  if (job == nullptr) return;
  turns_.Remove(*job);
  const bool all_over = job->next_key == job->total_keys;
  const bool all_failed = job->failed_keys == job->total_keys;
  job->state = all_over && !all_failed ? WarmJobState::kDone : WarmJobState::kFailed;
  job->end_time = now;
  if (!error.empty()) job->error = ForPeople(std::move(error));
  if (job->error.empty()) job->error = ShortfallOf(*job);
  ForgetOld(id);
}

std::vector<std::string> WarmQueue::Late(absl::Time now) const {
  std::vector<std::string> late;
  for (const auto& [id, job] : jobs_) {
    if (!job.over() && now >= job.deadline) late.push_back(id);
  }
  return late;
}

void WarmQueue::SetError(const std::string& id, std::string error) {
  if (WarmJob* const job = FindLive(id); job != nullptr) {
    job->error = ForPeople(std::move(error));
  }
}

std::vector<WarmJob> WarmQueue::List() const {
  std::vector<WarmJob> jobs;
  for (const auto& [id, job] : jobs_) jobs.push_back(job);
  std::sort(jobs.begin(), jobs.end(), [](const WarmJob& a, const WarmJob& b) {
    return std::tie(b.create_time, b.id) < std::tie(a.create_time, a.id);
  });
  return jobs;
}

size_t WarmQueue::live() const {
  return static_cast<size_t>(std::count_if(jobs_.begin(), jobs_.end(),
                                           [](const auto& entry) { return !entry.second.over(); }));
}

size_t WarmQueue::live(std::string_view source) const {
  return static_cast<size_t>(std::count_if(jobs_.begin(), jobs_.end(), [source](const auto& entry) {
    return !entry.second.over() && entry.second.source == source;
  }));
}

uint64_t WarmQueue::keys_left(std::string_view source, std::string_view name_space) const {
  uint64_t keys = 0;
  for (const auto& [id, job] : jobs_) {
    if (job.over() || job.source != source || job.name_space != name_space) continue;
    keys += job.total_keys - job.next_key;
  }
  return keys;
}

WarmQueue::Totals WarmQueue::Count() const {
  Totals totals;
  for (const auto& [id, job] : jobs_) {
    if (job.over()) continue;
    if (job.state == WarmJobState::kQueued) ++totals.queued;
    if (job.state == WarmJobState::kRunning) ++totals.running;
    if (job.state == WarmJobState::kPaused) ++totals.paused;
    totals.keys_left += job.total_keys - job.next_key;
  }
  return totals;
}

// A source of many small jobs does not push out what others did.
void WarmQueue::ForgetOld(const std::string& just_ended) {
  std::map<std::string, size_t> over;  // By source.
  size_t all = 0;
  for (const auto& [id, job] : jobs_) {
    if (!job.over()) continue;
    ++all;
    if (id != just_ended) ++over[job.source];
  }
  const auto ended = [](const WarmJob& job) { return job.end_time.value_or(job.create_time); };
  for (; all > options_.max_history && !over.empty(); --all) {
    const auto most = std::max_element(
        over.begin(), over.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    auto oldest = jobs_.end();
    for (auto it = jobs_.begin(); it != jobs_.end(); ++it) {
      if (!it->second.over() || it->second.source != most->first || it->first == just_ended) {
        continue;
      }
      if (oldest == jobs_.end() || ended(it->second) < ended(oldest->second)) oldest = it;
    }
    jobs_.erase(oldest);
    if (--most->second == 0) over.erase(most);
  }
}

nlohmann::json WarmQueue::ToJson() const {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [id, job] : jobs_) list.push_back(meridian::ToJson(job));
  return list;
}

size_t WarmQueue::Restore(const nlohmann::json& json) {
  Clear();
  if (!json.is_array()) return 0;
  size_t unreadable = 0;
  for (const nlohmann::json& item : json) {
    std::optional<WarmJob> job = WarmJobFromJson(item);
    if (!job.has_value()) {
      ++unreadable;
      continue;
    }
    const std::string id = job->id;
    jobs_.emplace(id, *std::move(job));
  }
  std::vector<const WarmJob*> live;
  for (const auto& [id, job] : jobs_) {
    if (!job.over()) live.push_back(&job);
  }
  std::sort(live.begin(), live.end(), [](const WarmJob* a, const WarmJob* b) {
    return std::tie(a->create_time, a->id) < std::tie(b->create_time, b->id);
  });
  for (const WarmJob* job : live) turns_.Add(*job);
  return unreadable;
}

}  // namespace meridian
