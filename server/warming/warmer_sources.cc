// Where the keys of schedules and of a start come from, and when a start is.

#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/warming/warmer.h"

namespace meridian {

void Warmer::FindKeys(const WarmSchedule& schedule,
                      std::function<void(const absl::StatusOr<WarmText>&)> done) {
  if (schedule.top == 0) return done(schedule.text);
  hot_keys_->Top(schedule.window, schedule.name_space, schedule.top,
                 [done = std::move(done)](const absl::StatusOr<std::vector<HotKey>>& keys) {
                   if (!keys.ok()) return done(keys.status());
                   WarmText text;
                   text.is_literal = true;
                   for (const HotKey& key : *keys) text.keys.push_back(key.key);
                   done(text);
                 });
}

// The run and its mark are one write, as of any schedule; all that are due are one job, because the
// keys are those of now.
void Warmer::QueueTop(const WarmSchedule& schedule, absl::Time now) {
  const DueRuns due = FindDueRuns(schedule, marks_[schedule.name].last, now);
  if (due.runs.empty() || !asking_.insert(schedule.name).second) {
    if (due.runs.empty()) {
      CountMissed(due);
      marks_[schedule.name].last = due.seen;
    }
    return;
  }
  FindKeys(schedule, [this, &schedule, due, settings = settings_,
                      generation = generation_](const absl::StatusOr<WarmText>& text) {
    if (generation != generation_ || settings != settings_) return;
    asking_.erase(schedule.name);
    HandleTop(schedule, due, text);
  });
}

void Warmer::HandleTop(const WarmSchedule& schedule, const DueRuns& due,
                       const absl::StatusOr<WarmText>& text) {
  const std::string id = RunId(schedule, due.runs.back());
  absl::Status status = text.status();
  std::string_view outcome = "empty";
  if (status.ok() && !text->keys.empty()) {
    WarmJob job = JobOf(schedule, clock_.Now());
    job.id = id;
    job.total_keys = text->keys.size();
    const absl::StatusOr<WarmQueue::Added> added = Queue(std::move(job), *text);
    status = added.status();
    if (status.ok()) outcome = added->is_new ? "queued" : "joined";
  }
  if (!status.ok()) {  // The next tick tries again.
    metrics_.runs.With({"refused"}).Add();
    spdlog::warn("{} waits: {}", id, status.ToString());
    return;
  }
  metrics_.runs.With({outcome}).Add();
  CountMissed(due);
  marks_[schedule.name].last = due.seen;
  next_runs_[schedule.name] = schedule.cron.Next(due.seen);
  SaveNow();
}

void Warmer::RunTop(WarmJob job, const WarmSchedule& schedule, JobDone done) {
  FindKeys(schedule, [this, job = std::move(job), &schedule, done = std::move(done),
                      settings = settings_,
                      generation = generation_](const absl::StatusOr<WarmText>& text) mutable {
    if (generation != generation_) return done(NotLeading());
    if (!text.ok()) return done(text.status());
    if (text->keys.empty()) {
      return done(absl::NotFoundError(absl::StrCat("NO_HOT_KEYS: of ", schedule.name_space,
                                                   " no key is known to be asked for often")));
    }
    job.total_keys = text->keys.size();
    Submit(std::move(job), *text, done);
  });
}

// --- A cold cluster.

void Warmer::LookCold() {
  const absl::Duration now = clock_.Monotonic();
  cold_.SetServing(serving_, now);
  if (cold_.IsCold(now)) {
    if (!starting_) StartCold();
  } else if (cold_.Learn(now)) {
    SaveSoon();
  }
}

void Warmer::StartCold() {
  starting_ = true;
  struct Gathered {
    size_t left = 0;
    std::vector<WarmOrder> orders;
  };
  auto gathered = std::make_shared<Gathered>();
  gathered->left = settings_->startup.size();
  if (gathered->left == 0) return QueueStart({});
  for (const auto& entry : settings_->startup) {
    const WarmSchedule& wanted = entry.second;
    FindKeys(wanted, [this, &wanted, gathered, settings = settings_,
                      generation = generation_](const absl::StatusOr<WarmText>& text) {
      if (generation != generation_) return;
      if (text.ok() && !text->keys.empty()) {
        gathered->orders.push_back({"startup", wanted.name, wanted.name_space, *text,
                                    wanted.priority, wanted.refresh, wanted.has_fixed_budget,
                                    wanted.deadline});
      } else {
        spdlog::warn("startup: {} has no keys: {}", wanted.name,
                     text.ok() ? "nothing is known to be hot" : text.status().ToString());
      }
      if (--gathered->left == 0) QueueStart(gathered->orders);
    });
  }
}

// The jobs, and the mark that this start is over, are one write.
void Warmer::QueueStart(const std::vector<WarmOrder>& orders) {
  const ColdStart::Nodes before = cold_.known();
  cold_.Started();
  metrics_.starts.Add();
  spdlog::info("the cluster is cold: {} warm jobs of startup", orders.size());
  QueueAll(orders, [this, before, generation = generation_](const absl::Status& status) {
    if (generation != generation_) return;
    starting_ = false;
    if (status.ok()) return;
    spdlog::warn("startup waits: {}", status.ToString());
    cold_.Restore(before);  // And again, when it has settled.
  });
}

}  // namespace meridian
