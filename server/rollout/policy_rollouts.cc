#include "server/rollout/policy_rollouts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/policy/policy_diff.h"
#include "server/policy/policy_table.h"
#include "server/policy/rollout_keys.h"
#include "server/rollout/rollout_guards.h"

namespace meridian {
namespace {

using coordinator::v1::PolicyAssignment;
using coordinator::v1::PolicyReport;
using coordinator::v1::Rollout;
using coordinator::v1::RolloutEvent;

// The time watched is stored when it has grown by this part of a hold time.
constexpr int kMemoriesPerHold = 20;
constexpr absl::Duration kLoadRetry = absl::Milliseconds(200);
// What a node reports is outrun below this only, so that there is always room for higher ones.
constexpr uint64_t kMaxReported = uint64_t{1} << 61;
// Each leader has revisions of its own, so that those that the store forgot, as a primary that dies
// before its replica has them, are not given out again for something else.
constexpr int kRevisionBits = 32;
constexpr uint64_t kMaxToken = (kMaxReported >> kRevisionBits) - 1;

// Which namespaces the rollout changes; all of them when what was before is not known.
ChangedNamespaces ChangesOf(const PolicyAssignment& assignment) {
  if (assignment.base().yaml().empty()) return {};
  const auto table = [](const std::string& yaml) {
    return PolicyTable::ReadFile("policies", yaml, PolicyTable::FileKind::kPolicies);
  };
  const auto before = table(assignment.base().yaml());
  const auto after = table(assignment.trial().yaml());
  // Another release may read them otherwise than the one that took them.
  if (!before.ok() || !after.ok()) return {};
  return {*before, *after};
}

}  // namespace

google::protobuf::Timestamp TimestampOf(absl::Time time) {
  google::protobuf::Timestamp stamp;
  const int64_t ms = absl::ToUnixMillis(time);
  stamp.set_seconds(ms / 1000);
  stamp.set_nanos(static_cast<int32_t>(ms % 1000) * 1'000'000);
  return stamp;
}

PolicyRollouts::PolicyRollouts(PolicyRolloutsOptions options, const Clock& clock,
                               Executor& executor, LeaseStore& store, FigureSource figures,
                               Hooks hooks)
    : options_(std::move(options)),
      clock_(clock),
      executor_(executor),
      figures_(std::move(figures)),
      hooks_(std::move(hooks)),
      store_({options_.lease, rollout_keys::kState, rollout_keys::kPartPrefix}, store, executor,
             {[this] { return Document(); }, [this] { HandleStored(); },
              [this](const std::string& why) {
                StepDown();
                hooks_.on_fenced(why);
              }}) {}

void PolicyRollouts::Lead(uint64_t token) {
  StepDown();
  leading_ = true;
  leading_since_ = clock_.Monotonic();
  token_ = std::min(token, kMaxToken);
  store_.Lead(token);
  Load();
}

void PolicyRollouts::StepDown() {
  ++generation_;
  ++look_;
  leading_ = false;
  loaded_ = false;
  store_.StepDown();
  history_.Clear();
  assignment_.Clear();
  sent_.reset();
  published_.reset();
  EndWatch();
  reports_.clear();
  seen_revision_ = 0;
  SetCounters();
}

void PolicyRollouts::RetryLoad() {
  executor_.PostAfter(kLoadRetry, [this, generation = generation_] {
    if (generation == generation_) Load();
  });
}

void PolicyRollouts::Load() {
  store_.Load([this](const auto& document) { HandleDocument(document); });
}

void PolicyRollouts::HandleDocument(const absl::StatusOr<std::optional<std::string>>& document) {
  if (!document.ok() || (document->has_value() && !history_.ParseFromString(**document))) {
    return RetryLoad();
  }
  store_.LoadPart(rollout_keys::kAssignmentPart,
                  [this](const auto& assignment) { HandleAssignment(assignment); });
}

void PolicyRollouts::HandleAssignment(
    const absl::StatusOr<std::optional<std::string>>& assignment) {
  if (!assignment.ok() || (assignment->has_value() && !assignment_.ParseFromString(**assignment))) {
    return RetryLoad();
  }
  store_.LoadPart(rollout_keys::kMemoryPart, [this](const auto& memory) { HandleMemory(memory); });
}

void PolicyRollouts::HandleMemory(const absl::StatusOr<std::optional<std::string>>& memory) {
  if (!memory.ok()) return RetryLoad();
  loaded_ = true;
  sent_ = std::make_shared<const PolicyAssignment>(assignment_);
  HandleStored();
  // What cannot be read is as if nobody had watched yet.
  const auto known = memory->has_value() ? DecodeMemory(**memory) : std::nullopt;
  Watch(known.value_or(RolloutMemory()));
  OutrunNodes();
  SetCounters();
  if (hooks_.on_loaded != nullptr) hooks_.on_loaded();
}

bool PolicyRollouts::Knows() const {
  return loaded_ || (leading_ && clock_.Monotonic() - leading_since_ >= kMostLoading);
}

std::string PolicyRollouts::Document() {
  sent_ = std::make_shared<const PolicyAssignment>(assignment_);
  return history_.SerializeAsString();
}

void PolicyRollouts::HandleStored() {
  if (sent_->revision() == 0) return;
  if (published_ != nullptr && sent_->revision() <= published_->revision()) return;
  published_ = sent_;
  hooks_.publish(published_);
}

void PolicyRollouts::Save(bool assigns, LeaderStore::Done done) {
  if (assigns) {
    const uint64_t known = std::max(assignment_.revision(), seen_revision_);
    assignment_.set_revision(std::max(known, token_ << kRevisionBits) + 1);
    store_.PutPart(rollout_keys::kAssignmentPart, assignment_.SerializeAsString());
  }
  SetCounters();
  store_.Save(std::move(done));
}

void PolicyRollouts::SetNodes(std::set<std::string> nodes) {
  nodes_ = std::move(nodes);
  for (auto it = reports_.begin(); it != reports_.end();) {
    it = nodes_.contains(it->first) ? std::next(it) : reports_.erase(it);
  }
}

void PolicyRollouts::Report(const std::string& node, const PolicyReport& report) {
  // A broken node may say anything. What was given out is heard in any case: after one that said
  // the most that is heard it is above that.
  if (!leading_) return;
  if (report.revision() >= kMaxReported && report.revision() > assignment_.revision()) return;
  reports_[node] = report;
  seen_revision_ = std::max(seen_revision_, report.revision());
  OutrunNodes();
}

// Nodes ignore what is not newer than what they have, so that after the store went back they would
// follow nothing. With nothing to give, they keep what they have. What the store has forgotten may
// be that the trial was bad, so that it is not tried again: when at least half of the nodes say so.
// One that joins may have been elsewhere.
void PolicyRollouts::OutrunNodes() {
  if (!loaded_ || assignment_.revision() == 0 || seen_revision_ <= assignment_.revision()) return;
  if (Rollout* rollout = Running(); rollout != nullptr) {
    size_t heard = 0;
    size_t newer = 0;
    for (const std::string& node : nodes_) {
      const auto report = reports_.find(node);
      if (report == reports_.end()) continue;
      ++heard;
      if (report->second.revision() > assignment_.revision()) ++newer;
    }
    const bool most = newer > 0 && 2 * newer >= nodes_.size();
    const bool may_be = heard < nodes_.size() && clock_.Monotonic() - leading_since_ < kMostHearing;
    if (!most && may_be) return;  // The others are heard soon.
    if (!most) return Save(/*assigns=*/true, nullptr);
    return RollBack(*rollout, "store",
                    "the store went back: the nodes follow something newer than it knows of, "
                    "perhaps that the version was taken back; apply it again if it was not",
                    nullptr);
  }
  Save(/*assigns=*/true, nullptr);
}

Rollout* PolicyRollouts::Running() { return const_cast<Rollout*>(std::as_const(*this).Running()); }

const Rollout* PolicyRollouts::Running() const {
  const bool runs = loaded_ && history_.rollouts_size() > 0 &&
                    history_.rollouts(0).state() == coordinator::v1::ROLLOUT_STATE_RUNNING;
  return runs ? &history_.rollouts(0) : nullptr;
}

Rollout* PolicyRollouts::Find(uint64_t version) {
  for (Rollout& rollout : *history_.mutable_rollouts()) {
    if (rollout.policy_version() == version) return &rollout;
  }
  return nullptr;
}

void PolicyRollouts::Note(Rollout& rollout, const char* what, const std::string& by,
                          const std::string& reason) {
  RolloutEvent& event = *rollout.add_events();
  *event.mutable_time() = TimestampOf(clock_.Now());
  event.set_what(what);
  event.set_percent(rollout.percent());
  event.set_by(by);
  event.set_reason(reason);
  hooks_.on_event(rollout, event);
}

void PolicyRollouts::Start(Rollout rollout, const std::string& yaml, LeaderStore::Done done) {
  const uint64_t version = rollout.policy_version();
  rollout.set_state(coordinator::v1::ROLLOUT_STATE_RUNNING);
  rollout.set_percent(rollout.plan().percents(0));
  *rollout.mutable_create_time() = *rollout.mutable_stage_time() = TimestampOf(clock_.Now());
  coordinator::v1::GetPolicyResponse stored;
  stored.mutable_policy()->set_version(version);
  stored.mutable_policy()->set_yaml(yaml);
  *stored.mutable_create_time() = rollout.create_time();
  stored.set_comment(rollout.comment());
  store_.PutPart(absl::StrCat("version/", version), stored.SerializeAsString());
  *assignment_.mutable_trial() = stored.policy();
  assignment_.set_trial_percent(rollout.percent());
  // Newest first.
  coordinator::v1::ListRolloutsResponse history;
  *history.add_rollouts() = std::move(rollout);
  for (Rollout& old : *history_.mutable_rollouts()) {
    if (history.rollouts_size() < kMaxVersions) {
      *history.add_rollouts() = std::move(old);
    } else if (old.policy_version() != assignment_.base().version()) {
      store_.DropPart(absl::StrCat("version/", old.policy_version()));
    }
  }
  history_ = std::move(history);
  started_.fetch_add(1, std::memory_order_relaxed);
  Note(history_.mutable_rollouts()->at(0), "applied", "operator", history_.rollouts(0).comment());
  Watch({});
  // So that the next leader, too, knows what was before, even if this one does not look any more.
  if (const std::optional<VersionFigures> figures = figures_(); figures) watch_->Begin(*figures);
  Remember();
  Save(/*assigns=*/true, std::move(done));
}

void PolicyRollouts::Next(Rollout& rollout, const char* what, const std::string& by,
                          const std::string& reason, LeaderStore::Done done) {
  *rollout.mutable_stage_time() = TimestampOf(clock_.Now());
  const auto next = std::find_if(rollout.plan().percents().begin(), rollout.plan().percents().end(),
                                 [&](uint32_t percent) { return percent > rollout.percent(); });
  if (next != rollout.plan().percents().end()) {
    rollout.set_percent(*next);
    assignment_.set_trial_percent(*next);
    Note(rollout, what, by, reason);
    if (watch_) watch_->BeginStage(*next >= 100);
    if (stage_) stage_->Begin(absl::ZeroDuration());
    Remember();
  } else {
    rollout.set_state(coordinator::v1::ROLLOUT_STATE_DONE);
    *assignment_.mutable_base() = assignment_.trial();
    assignment_.clear_trial();
    assignment_.clear_trial_percent();
    EndWatch();
    done_.fetch_add(1, std::memory_order_relaxed);
    Note(rollout, "done", by, reason);
  }
  Save(/*assigns=*/true, std::move(done));
}

void PolicyRollouts::RollBack(Rollout& rollout, const std::string& by, const std::string& reason,
                              LeaderStore::Done done) {
  rollout.set_state(coordinator::v1::ROLLOUT_STATE_ROLLED_BACK);
  rollout.set_percent(0);
  rollout.set_reason(reason);
  assignment_.clear_trial();
  assignment_.clear_trial_percent();
  EndWatch();
  rolled_back_.fetch_add(1, std::memory_order_relaxed);
  Note(rollout, "rolled_back", by, reason);
  Save(/*assigns=*/true, std::move(done));
}

void PolicyRollouts::Watch(RolloutMemory memory) {
  const Rollout* rollout = Running();
  if (rollout == nullptr) return;
  const auto& guards = rollout->plan().guards();
  watch_.emplace(assignment_.base().version(), rollout->policy_version(), ChangesOf(assignment_),
                 guards, options_.min_hit_rates);
  stage_.emplace(absl::Milliseconds(rollout->plan().hold_ms()),
                 absl::Milliseconds(guards.interval_ms()));
  remembered_ = absl::ZeroDuration();
  if (memory.version == rollout->policy_version()) {
    if (memory.percent == rollout->percent()) remembered_ = memory.watched;
    watch_->Restore(std::move(memory.base));
  }
  watch_->BeginStage(rollout->percent() >= 100);
  stage_->Begin(remembered_);
  ScheduleLook();
}

void PolicyRollouts::EndWatch() {
  watch_.reset();
  stage_.reset();
}

void PolicyRollouts::Remember() {
  const Rollout* rollout = Running();
  if (rollout == nullptr || !watch_ || !stage_) return;
  remembered_ = stage_->watched();
  store_.PutPart(rollout_keys::kMemoryPart,
                 EncodeMemory({rollout->policy_version(), rollout->percent(), remembered_,
                               watch_->BaseFigures()}));
}

void PolicyRollouts::ScheduleLook() {
  const Rollout* rollout = Running();
  if (rollout == nullptr) return;
  executor_.PostAfter(absl::Milliseconds(rollout->plan().guards().interval_ms()),
                      [this, look = ++look_] {
                        if (look == look_) Look();
                      });
}

void PolicyRollouts::Look() {
  Rollout* rollout = Running();
  if (rollout == nullptr || !watch_) return;
  ScheduleLook();
  // What the nodes were not told of yet has no figures.
  if (published_ == nullptr || published_->revision() != assignment_.revision()) {
    return stage_->SawLess("the store: the stage is not stored yet");
  }
  const std::optional<VersionFigures> figures = figures_();
  if (!figures) return stage_->SawLess("the figures of the nodes: none has told any");
  const std::map<std::string, std::string> behind = Behind();
  if (!behind.empty()) {
    stage_->SawLess(absl::StrCat("nodes that do not follow it: ", behind.begin()->first,
                                 behind.size() > 1 ? " and others" : ""));
  } else if (!figures->complete) {
    // A node that does not answer may be the one that suffers.
    stage_->SawLess("the figures of every node: not all of them tell theirs");
  } else {
    stage_->SawAll(clock_.Monotonic());
  }
  RolloutLook look;
  if (watch_->Look(*figures, &look)) {
    rollout->mutable_readings()->Assign(look.readings.begin(), look.readings.end());
    if (!look.readings.empty() && look.readings.front().breached()) {
      breaches_.fetch_add(1, std::memory_order_relaxed);
      return RollBack(*rollout, look.readings.front().guard(), ReadingText(look.readings.front()),
                      nullptr);
    }
    stage_->SetUnsure(std::move(look.unsure), look.needs_reads);
    if (stage_->IsOver()) {
      return Next(*rollout, "stage", "hold time", stage_->UnsureText(), nullptr);
    }
  }
  const auto hold = absl::Milliseconds(rollout->plan().hold_ms());
  if (stage_->watched() - remembered_ < hold / kMemoriesPerHold) return;
  Remember();
  Save(/*assigns=*/false, nullptr);
}

std::map<std::string, std::string> PolicyRollouts::Behind() const {
  std::map<std::string, std::string> behind;
  const uint64_t revision = published_ == nullptr ? 0 : published_->revision();
  for (const std::string& node : nodes_) {
    const auto report = reports_.find(node);
    if (report == reports_.end()) {
      behind[node] = "has not said what it uses";
    } else if (report->second.revision() < revision) {
      behind[node] =
          report->second.problem().empty() ? "has not answered yet" : report->second.problem();
    }
  }
  return behind;
}

void PolicyRollouts::SetCounters() {
  base_version_.store(assignment_.base().version(), std::memory_order_relaxed);
  trial_version_.store(assignment_.trial().version(), std::memory_order_relaxed);
  trial_percent_.store(assignment_.trial_percent(), std::memory_order_relaxed);
}

RolloutCounters PolicyRollouts::counters() const {
  const auto get = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  return {get(base_version_), get(trial_version_), get(trial_percent_), get(started_),
          get(done_),         get(rolled_back_),   get(breaches_)};
}

}  // namespace meridian
