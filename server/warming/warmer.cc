#include "server/warming/warmer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

constexpr absl::Duration kLoadRetry = absl::Milliseconds(200);
constexpr absl::Duration kSaveEvery = absl::Seconds(1);
constexpr absl::Duration kTickEvery = absl::Seconds(1);
// A mark that is further ahead was made by a clock that was wrong.
constexpr absl::Duration kMarkAhead = absl::Minutes(10);

}  // namespace

Warmer::Warmer(WarmerOptions options, WarmSettings settings, const Clock& clock, Executor& executor,
               LeaseStore& store, WarmReader& reader, WarmMetrics& metrics,
               std::function<bool()> leads)
    : options_(options),
      settings_(std::make_shared<const WarmSettings>(std::move(settings))),
      clock_(clock),
      executor_(executor),
      metrics_(metrics),
      leads_(std::move(leads)),
      queue_(options.queue),
      sources_(
          [this](const std::string& name_space) { return settings_->budgets.RateOf(name_space); }),
      store_(options.lease, store, executor,
             {[this] { return Document(); }, [this] { runner_.Pump(); },
              [this](const std::string& why) { HandleFenced(why); }}),
      runner_(options.runner, settings_->budgets, clock, executor, reader, metrics, queue_,
              {[this] { return loaded_ && leads_(); },
               [this](const std::string& id) { return store_.IsStored(id); },
               [this](const std::string& id, WarmRunner::TextLoaded done) {
                 store_.LoadText(id, std::move(done));
               },
               [this] { SaveSoon(); }, [this](const std::string& id) { HandleOver(id); },
               [this](const WarmJob& job) -> std::optional<double> {
                 if (job.has_fixed_budget) return std::nullopt;
                 return sources_.RateOf(job.source, job.name_space, clock_.Monotonic());
               },
               [this](const WarmJob& job, uint64_t keys) {
                 sources_.AddRefused(job.source, job.name_space, keys, clock_.Monotonic());
               }}),
      events_(options.events, EventIntake::Rules(settings_, &settings_->rules), clock, executor,
              metrics,
              {[this] { return queue_.live("rule"); },
               [this](const std::vector<WarmOrder>& orders, EventIntake::Queued queued) {
                 QueueAll(orders, std::move(queued));
               }}),
      cold_(options.settle) {}

void Warmer::SetSettings(Settings settings) {
  settings_ = std::move(settings);
  sources_.TakeCeilings();
  runner_.SetBudgets(settings_->budgets);
  events_.SetRules(EventIntake::Rules(settings_, &settings_->rules));
  asking_.clear();  // Their answers are not heard.
  next_runs_.clear();
  if (!loaded_) return;
  BeginMarks();
  SaveNow();
}

// --- Leadership.

void Warmer::Lead(uint64_t token) {
  StepDown();
  token_ = token;
  store_.Lead(token);
  Load();
}

void Warmer::StepDown() {
  token_ = 0;
  ++generation_;
  loaded_ = false;
  runner_.Stop();
  store_.StepDown();
  events_.Stop(NotLeading());
  queue_.Clear();
  marks_.clear();
  next_runs_.clear();
  asking_.clear();
  starting_ = false;
  cold_.Restore({});
  sources_.Clear();
  Count();
}

void Warmer::HandleFenced(const std::string& why) {
  spdlog::warn("warming stops here: {}", why);
  StepDown();
  if (on_fenced_) on_fenced_();
}

void Warmer::Load() {
  store_.Load(
      [this](const absl::StatusOr<std::optional<std::string>>& value) { HandleLoaded(value); });
}

void Warmer::HandleLoaded(const absl::StatusOr<std::optional<std::string>>& value) {
  if (!value.ok()) {
    spdlog::warn("cannot read the state of warming: {}", value.status().ToString());
    executor_.PostAfter(kLoadRetry, [this, generation = generation_] {
      if (generation == generation_) Load();
    });
    return;
  }
  if (value->has_value()) Restore(**value);
  BeginMarks();
  loaded_ = true;
  spdlog::info("warming continues with {} jobs and {} schedules", queue_.live(), marks_.size());
  SaveNow();
  Tick();
  runner_.Pump();
}

void Warmer::Restore(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    spdlog::error("ignoring the stored state of warming: it is no JSON object");
    return;
  }
  if (const auto jobs = json.find("jobs"); jobs != json.end()) {
    const size_t unreadable = queue_.Restore(*jobs);
    if (unreadable > 0) spdlog::error("{} stored warm jobs cannot be read", unreadable);
  }
  if (const auto sources = json.find("sources"); sources != json.end()) {
    sources_.Restore(*sources, clock_.Monotonic());
  }
  if (const auto nodes = json.find("serving"); nodes != json.end() && nodes->is_array()) {
    ColdStart::Nodes known;
    for (const nlohmann::json& node : *nodes) {
      if (node.is_string()) known.insert(node.get<std::string>());
    }
    cold_.Restore(std::move(known));
  }
  const auto schedules = json.find("schedules");
  if (schedules == json.end() || !schedules->is_object()) return;
  for (const auto& [name, mark] : schedules->items()) {
    if (!mark.is_object()) continue;
    const auto table = mark.find("table");
    const auto last = mark.find("last_ms");
    if (table == mark.end() || !table->is_string()) continue;
    if (last == mark.end() || !last->is_number_integer()) continue;
    marks_[name] = {table->get<std::string>(), absl::FromUnixMillis(last->get<int64_t>())};
  }
}

// Marks for what is configured, and for nothing else.
void Warmer::BeginMarks() {
  const absl::Time now = clock_.Now();
  std::map<std::string, Mark> marks;
  for (const auto& [name, schedule] : settings_->schedules) {
    const auto known = marks_.find(name);
    const bool usable = known != marks_.end() && known->second.table == schedule.table &&
                        known->second.last <= now + kMarkAhead;
    marks[name] = usable ? known->second : Mark{schedule.table, now};
  }
  marks_ = std::move(marks);
}

bool Warmer::MendMarks(absl::Time now) {
  bool changed = false;
  for (auto& [name, mark] : marks_) {
    if (mark.last <= now + kMarkAhead) continue;
    spdlog::warn("the clock was set back: schedule {} begins now, and not after {}", name,
                 absl::FormatTime(mark.last, absl::UTCTimeZone()));
    mark.last = now;
    next_runs_.erase(name);
    changed = true;
  }
  return changed;
}

std::string Warmer::Document() const {
  nlohmann::json schedules = nlohmann::json::object();
  for (const auto& [name, mark] : marks_) {
    schedules[name] = {{"table", mark.table}, {"last_ms", absl::ToUnixMillis(mark.last)}};
  }
  const nlohmann::json json = {{"format", 1},
                               {"jobs", queue_.ToJson()},
                               {"schedules", std::move(schedules)},
                               {"sources", sources_.ToJson()},
                               {"serving", cold_.known()}};
  // Errors of nodes may hold anything; the store must not make us throw.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// --- Schedules.

void Warmer::Tick() {
  if (!loaded_) return;
  LookCold();
  if (sources_.Tick(clock_.Monotonic())) {
    SaveSoon();
    runner_.Pump();  // A budget may have grown.
  }
  const absl::Time now = clock_.Now();
  bool changed = MendMarks(now);
  absl::Time next = now + kTickEvery;
  for (const auto& [name, schedule] : settings_->schedules) {
    const auto planned = next_runs_.find(name);
    if (planned == next_runs_.end() || planned->second <= now) {
      if (schedule.top > 0) {
        QueueTop(schedule, now);
      } else {
        changed |= QueueRuns(schedule, now);
      }
      next_runs_[name] = schedule.cron.Next(marks_[name].last);
    }
    // One that is late waits for room in the queue.
    if (next_runs_[name] > now) next = std::min(next, next_runs_[name]);
  }
  if (changed) SaveNow();
  Count();
  executor_.PostAfter(next - now, [this, generation = generation_] {
    if (generation == generation_) Tick();
  });
}

WarmJob Warmer::JobOf(const WarmSchedule& schedule, absl::Time now) const {
  WarmJob job;
  job.source = "schedule";
  job.name = schedule.name;
  job.name_space = schedule.name_space;
  job.identity = absl::StrCat("schedule:", schedule.name, ":", schedule.keys_hash);
  job.priority = schedule.priority;
  job.refresh = schedule.refresh;
  job.has_fixed_budget = schedule.has_fixed_budget;
  job.total_keys = schedule.total_keys;
  job.create_time = now;
  job.deadline = now + schedule.deadline;
  return job;
}

void Warmer::CountMissed(const DueRuns& due) {
  if (due.missed > 0) metrics_.runs.With({"missed"}).Add(due.missed);
}

// Queues what is due; true when the mark or the queue has changed.
bool Warmer::QueueRuns(const WarmSchedule& schedule, absl::Time now) {
  Mark& mark = marks_[schedule.name];
  const DueRuns due = FindDueRuns(schedule, mark.last, now);
  bool changed = false;
  for (const absl::Time run : due.runs) {
    WarmJob job = JobOf(schedule, now);
    job.id = RunId(schedule, run);
    if (schedule.missed == MissedRuns::kAll) absl::StrAppend(&job.identity, "@", job.id);
    const absl::StatusOr<WarmQueue::Added> added = Queue(std::move(job), schedule.text);
    if (!added.ok()) {
      metrics_.runs.With({"refused"}).Add();
      spdlog::warn("{} waits: {}", RunId(schedule, run), added.status().ToString());
      return changed;
    }
    metrics_.runs.With({added->is_new ? std::string_view("queued") : "joined"}).Add();
    if (!changed) CountMissed(due);
    mark.last = run;
    changed = true;
  }
  if (due.runs.empty()) CountMissed(due);
  changed |= mark.last != due.seen;
  mark.last = due.seen;
  return changed;
}

// --- What people see.

absl::Status Warmer::NotLeading() {
  return absl::UnavailableError("NOT_LEADER: this coordinator does not lead");
}

// As people see it: one that waits for the nodes is paused for now.
WarmJob Warmer::View(const WarmJob& job) const {
  WarmJob view = job;
  const std::string why = runner_.WaitsFor(view.name_space);
  if (view.state == WarmJobState::kRunning && !why.empty()) {
    view.state = WarmJobState::kPaused;
    view.error = ForPeople(absl::StrCat("waits: ", why));
  } else if (!view.over() && !runner_.has_nodes()) {
    view.error = "waits: no node serves";
  }
  return view;
}

// --- The store.

void Warmer::SaveNow(std::function<void(const absl::Status&)> done) {
  Count();
  store_.Save(std::move(done));
}

void Warmer::SaveSoon() {
  if (std::exchange(save_is_planned_, true)) return;
  executor_.PostAfter(kSaveEvery, [this] {
    save_is_planned_ = false;
    if (loaded_) SaveNow();
  });
}

void Warmer::HandleOver(const std::string& id) {
  store_.DropText(id);
  if (const WarmJob* const job = queue_.Find(id); job != nullptr) {
    metrics_.jobs.With({std::string_view(job->source), WarmJobStateName(job->state)}).Add();
    spdlog::info("warm job {} is {}: {} of {} keys warmed, {} not kept, {} absent, {} failed {}",
                 id, WarmJobStateName(job->state), job->warmed_keys, job->total_keys,
                 job->unkept_keys, job->absent_keys, job->failed_keys, job->error);
  }
  SaveNow();
}

void Warmer::Count() {
  const WarmCounters counters{queue_.Count(), runner_.reads_at_once(), sources_.List("")};
  absl::MutexLock lock(&mu_);
  counters_ = counters;
}

WarmCounters Warmer::counters() const {
  absl::MutexLock lock(&mu_);
  return counters_;
}

}  // namespace meridian
