// What is asked of a Warmer: by people, by services, by other parts of the coordinator.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/text.h"
#include "server/warming/warmer.h"

namespace meridian {
namespace {

constexpr int32_t kHighestPriority = 1'000'000;
constexpr absl::Duration kShortestDeadline = absl::Seconds(1);
constexpr absl::Duration kLongestDeadline = absl::Hours(24 * 30);
constexpr double kSecondsAhead = 5;  // What a source of many keys may have in the queue.

absl::Status FieldInvalid(const std::string& field, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("FIELD_INVALID: ", field, ": ", why));
}

}  // namespace

absl::StatusOr<WarmQueue::Added> Warmer::Queue(WarmJob job, const WarmText& text) {
  job.text_bytes = text.bytes();
  ASSIGN_OR_RETURN(const WarmQueue::Added added, queue_.Add(std::move(job)));
  if (added.is_new) store_.PutText(added.id, text);
  return added;
}

absl::StatusOr<WarmJob> Warmer::JobOf(const WarmRequest& request, WarmText* text) {
  if (request.priority < -kHighestPriority || request.priority > kHighestPriority) {
    return FieldInvalid("priority", absl::StrCat(request.priority, " is not -", kHighestPriority,
                                                 "..", kHighestPriority));
  }
  const bool has_deadline = request.deadline != absl::ZeroDuration();
  if (has_deadline &&
      (request.deadline < kShortestDeadline || request.deadline > kLongestDeadline)) {
    return FieldInvalid("deadline_ms", absl::StrCat("is not from ", DurationText(kShortestDeadline),
                                                    " to ", DurationText(kLongestDeadline)));
  }
  const absl::Time now = clock_.Now();
  WarmJob job;
  if (!request.schedule.empty()) {
    if (!request.name_space.empty() || !request.keys.empty() || !request.literal_keys.empty()) {
      return FieldInvalid("name", "a configured job has its own namespace and keys");
    }
    const auto schedule = settings_->schedules.find(request.schedule);
    if (schedule == settings_->schedules.end()) {
      return absl::NotFoundError(
          absl::StrCat("SCHEDULE_UNKNOWN: no schedule is called ", QuoteKey(request.schedule)));
    }
    job = JobOf(schedule->second, now);
    *text = schedule->second.text;
    if (request.priority != 0) job.priority = request.priority;
  } else {
    RETURN_IF_ERROR(CheckWarmNamespace(request.name_space));
    text->is_literal = !request.literal_keys.empty();
    if (text->is_literal && !request.keys.empty()) {
      return FieldInvalid("literal_keys", "there are keys besides; name all in one way");
    }
    text->keys = text->is_literal ? request.literal_keys : request.keys;
    if (text->is_literal && text->bytes() > kMaxWarmTextBytes) {
      return FieldInvalid("literal_keys", absl::StrCat("more than ", kMaxWarmTextBytes, " bytes"));
    }
    const absl::StatusOr<KeyList> keys = text->ToKeyList();
    if (!keys.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "FIELD_INVALID: ", text->is_literal ? "literal_" : "", keys.status().message()));
    }
    job.name_space = request.name_space;
    job.identity = absl::StrCat(
        "keys:", HexHash128(absl::StrCat(request.name_space, "\n", text->ToJsonText())));
    job.priority = request.priority;
    job.total_keys = keys->size();
    job.create_time = now;
    job.deadline = now + options_.job_deadline;
  }
  if (has_deadline) job.deadline = now + request.deadline;
  job.source = "manual";
  job.id = absl::StrCat(request.schedule.empty() ? "manual" : request.schedule, "-", token_, ".",
                        ++last_job_);
  return job;
}

// --- What other parts of the coordinator ask for.

WarmJob Warmer::JobOf(const WarmOrder& order) {
  WarmJob job;
  job.id = absl::StrCat(order.name, "-", token_, ".", ++last_job_);
  job.source = order.source;
  job.name = order.name;
  job.name_space = order.name_space;
  job.identity =
      absl::StrCat(order.source, ":", order.name, ":",
                   HexHash128(absl::StrCat(order.name_space, "\n", order.text.ToJsonText())));
  job.priority = order.priority;
  job.refresh = order.refresh;
  job.has_fixed_budget = order.has_fixed_budget;
  job.create_time = clock_.Now();
  job.deadline = job.create_time + order.deadline;
  return job;
}

void Warmer::Unqueue(const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    if (queue_.Find(id) == nullptr) continue;
    queue_.Remove(id);
    store_.DropText(id);
  }
}

void Warmer::QueueAll(const std::vector<WarmOrder>& orders,
                      std::function<void(const absl::Status&)> done) {
  if (!loaded_ || !leads_()) return done(NotLeading());
  std::vector<std::string> queued;
  for (const WarmOrder& order : orders) {
    const absl::StatusOr<KeyList> keys = order.text.ToKeyList();
    absl::Status status = keys.status();
    if (status.ok()) {
      WarmJob job = JobOf(order);
      job.total_keys = keys->size();
      const absl::StatusOr<WarmQueue::Added> added = Queue(std::move(job), order.text);
      status = added.status();
      if (status.ok() && added->is_new) queued.push_back(added->id);
    }
    if (!status.ok()) {
      Unqueue(queued);
      return done(status);
    }
  }
  SaveNow([this, queued, done = std::move(done)](const absl::Status& status) {
    if (!status.ok()) Unqueue(queued);
    done(status);
  });
}

void Warmer::Report(const std::vector<WarmEvent>& events, EventIntake::Done done) {
  if (!loaded_ || !leads_()) return done(NotLeading());
  events_.Report(events, std::move(done));
}

// --- What warming brings.

void Warmer::ReportFigures(const std::string& node, const WarmFigures& figures) {
  if (loaded_ && leads_()) sources_.Report(node, figures, clock_.Monotonic());
}

size_t Warmer::TakeRoom(const std::string& source, const std::string& name_space, size_t wanted) {
  const absl::Duration now = clock_.Monotonic();
  const double rate =
      sources_.RateOf(source, name_space, now).value_or(settings_->budgets.RateOf(name_space));
  const auto most = static_cast<uint64_t>(std::max(rate * kSecondsAhead, 1.0));
  const uint64_t left = queue_.keys_left(source, name_space);
  const size_t room = std::min<size_t>(wanted, most - std::min(most, left));
  if (room < wanted) sources_.AddRefused(source, name_space, wanted - room, now);
  return room;
}

absl::StatusOr<std::vector<WarmSources::View>> Warmer::ListSources(
    const std::string& name_space) const {
  if (!loaded_ || !leads_()) return NotLeading();
  return sources_.List(name_space);
}

// --- What people ask for.

void Warmer::Run(const WarmRequest& request, JobDone done) {
  if (!loaded_ || !leads_()) return done(NotLeading());
  WarmText text;
  absl::StatusOr<WarmJob> job = JobOf(request, &text);
  if (!job.ok()) return done(job.status());
  const auto schedule = settings_->schedules.find(request.schedule);
  if (schedule != settings_->schedules.end() && schedule->second.top > 0) {
    return RunTop(*std::move(job), schedule->second, std::move(done));
  }
  Submit(*std::move(job), text, done);
}

std::string Warmer::WarningOf(const WarmJob& job) const {
  const double rate = runner_.RateOf(job);
  const uint64_t keys = job.total_keys - job.next_key;
  // A second's worth, and one key, may be read at once.
  const double paced = std::max(static_cast<double>(keys) - std::max(rate, 1.0), 0.0);
  const absl::Duration takes = absl::Seconds(paced / rate);
  const absl::Duration left = job.deadline - clock_.Now();
  if (takes <= left) return "";
  return absl::StrCat(keys, " keys take ", DurationText(absl::Ceil(takes, absl::Seconds(1))),
                      " or more at ", NumberText(rate), " keys a second, and the job gives up in ",
                      DurationText(absl::Floor(left, absl::Seconds(1))));
}

void Warmer::Submit(WarmJob job, const WarmText& text, const JobDone& done) {
  const absl::StatusOr<WarmQueue::Added> added = Queue(std::move(job), text);
  if (!added.ok()) return done(added.status());
  SaveNow([this, added = *added, done](const absl::Status& status) {
    const WarmJob* const queued = queue_.Find(added.id);
    if (!status.ok()) {
      if (added.is_new && queued != nullptr) {  // Its place is free again: nobody was told of it.
        queue_.Remove(added.id);
        store_.DropText(added.id);
      }
      return done(status);
    }
    done(queued == nullptr ? absl::StatusOr<WarmJob>(NotLeading()) : View(*queued));
  });
}

void Warmer::Control(const std::string& id, WarmAction action, JobDone done) {
  if (!loaded_ || !leads_()) return done(NotLeading());
  const WarmJob* const before = queue_.Find(id);
  const bool was_over = before != nullptr && before->over();
  absl::Status status;
  switch (action) {
    case WarmAction::kPause:
      status = queue_.Pause(id);
      break;
    case WarmAction::kResume:
      status = queue_.Resume(id);
      break;
    case WarmAction::kCancel:
      status = queue_.Cancel(id, clock_.Now());
      break;
  }
  if (!status.ok()) return done(status);
  if (const WarmJob* const now = queue_.Find(id); now != nullptr && now->over() && !was_over) {
    runner_.Forget(id);
    HandleOver(id);
  }
  runner_.Pump();
  SaveNow([this, id, done](const absl::Status& saved) {
    const WarmJob* const job = queue_.Find(id);
    if (!saved.ok() || job == nullptr) return done(saved.ok() ? NotLeading() : saved);
    done(View(*job));
  });
}

absl::StatusOr<std::vector<WarmJob>> Warmer::List() const {
  if (!loaded_ || !leads_()) return NotLeading();
  std::vector<WarmJob> jobs = queue_.List();
  for (WarmJob& job : jobs) job = View(job);
  return jobs;
}

}  // namespace meridian
