#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/policy_diff.h"
#include "server/policy/policy_table.h"
#include "server/policy/yaml_document.h"
#include "server/rollout/policy_rollouts.h"

namespace meridian {
namespace {

using coordinator::v1::ApplyPolicyResponse;
using coordinator::v1::GetPolicyResponse;
using coordinator::v1::Rollout;

constexpr size_t kMaxCommentBytes = 256;
constexpr size_t kMaxDiffBytes = 16 << 10;  // Of the history; who asks for a diff is told all.
constexpr char kName[] = "policies";        // Of the document, in messages: "policies:3: ...".

absl::Status Invalid(const std::string& field, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("FIELD_INVALID: ", field, ": ", why));
}

absl::StatusOr<PolicyTable> TableOf(const std::string& yaml) {
  if (yaml.size() > PolicyRollouts::kMaxDocumentBytes) {
    return Invalid("yaml", absl::StrCat(yaml.size(), " bytes; at most ",
                                        PolicyRollouts::kMaxDocumentBytes, " are allowed"));
  }
  if (SaysNothing(yaml)) {
    return Invalid("yaml", "the document says nothing; for no policies, write `namespaces: {}`");
  }
  auto table = PolicyTable::ReadFile(kName, yaml, PolicyTable::FileKind::kPolicies);
  if (!table.ok()) return Invalid("yaml", std::string(table.status().message()));
  return table;
}

// As Apply has them; of an empty document the defaults.
absl::StatusOr<PolicyTable> TableInForce(const std::string& yaml) {
  if (yaml.empty()) return PolicyTable();
  return PolicyTable::ReadFile(kName, yaml, PolicyTable::FileKind::kPolicies);
}

absl::Status NotStored(const absl::Status& why) {
  if (absl::IsUnavailable(why) && why.message().substr(0, 10) == "NOT_LEADER") return why;
  return absl::UnavailableError(
      absl::StrCat("STORE_UNAVAILABLE: it is not stored yet, so that no node follows it; the "
                   "leader tries until it is: ",
                   why.message()));
}

absl::Status StateLost() {
  return absl::FailedPreconditionError(
      "POLICY_STATE_LOST: the nodes follow a version that the store has lost, and what is tried "
      "on some slots would take it from the others; `meridianctl policies --target NODE` shows "
      "it: apply that, or what shall be in force instead, to all slots at once (--plan 100)");
}

absl::Status StateUnknown(std::string_view missing) {
  return absl::FailedPreconditionError(
      absl::StrCat("POLICY_STATE_UNKNOWN: the store has no policies, which may be because it lost "
                   "them, and ",
                   ToAbsl(missing), "; try again in some seconds"));
}

absl::Status UnknownVersion(uint64_t version) {
  return absl::NotFoundError(absl::StrCat("POLICY_UNKNOWN: there is no version ", version,
                                          ", or it is older than the last ",
                                          PolicyRollouts::kMaxVersions));
}

}  // namespace

absl::Status PolicyRollouts::CheckReady() const {
  if (!leading_) return absl::UnavailableError("NOT_LEADER: this coordinator does not lead");
  if (loaded_) return absl::OkStatus();
  return absl::UnavailableError(
      "STORE_UNAVAILABLE: the versions of the policies could not be read from the store yet");
}

absl::Status PolicyRollouts::CheckHeard() const {
  if (assignment_.revision() > 0) return absl::OkStatus();
  for (const std::string& node : nodes_) {
    if (!reports_.contains(node)) {
      return StateUnknown(absl::StrCat("node ", node, " has not said yet what it follows"));
    }
  }
  if (nodes_.empty() && clock_.Monotonic() - leading_since_ < kMostHearing) {
    return StateUnknown("no node has said yet what it follows");
  }
  // By these its number is found.
  if (IsStateLost() && !figures_()) {
    return StateUnknown("the version that the nodes follow is not known yet");
  }
  return absl::OkStatus();
}

void PolicyRollouts::Apply(const coordinator::v1::ApplyPolicyRequest& request, ApplyDone done) {
  if (const absl::Status ready = CheckReady(); !ready.ok()) return done(ready);
  if (request.comment().size() > kMaxCommentBytes) {
    return done(Invalid("comment", absl::StrCat(request.comment().size(), " bytes; at most ",
                                                kMaxCommentBytes, " are allowed")));
  }
  const absl::StatusOr<PolicyTable> table = TableOf(request.yaml());
  if (!table.ok()) return done(table.status());
  const auto plan = CompletePlan(request.plan(), options_.plan);
  if (!plan.ok()) return done(plan.status());
  const coordinator::v1::PolicyVersion& base = assignment_.base();
  const absl::StatusOr<PolicyTable> before = TableInForce(base.yaml());
  const std::vector<PolicyChange> changes =
      before.ok() ? DiffPolicies(*before, *table) : std::vector<PolicyChange>();
  // Of the nodes' own files no life is known.
  const std::string warnings =
      base.version() > 0 && before.ok()
          ? ShortHoldText(changes, *before, absl::Milliseconds(plan->hold_ms()))
          : "";
  ApplyPolicyResponse response;
  response.set_diff(absl::StrCat(DiffText(changes, kMaxDocumentBytes), warnings));
  if (request.dry_run()) return done(std::move(response));
  const bool whole = plan->percents_size() == 1;
  if (const absl::Status heard = CheckHeard(); !heard.ok()) return done(heard);
  if (IsStateLost() && !whole) return done(StateLost());
  if (const Rollout* running = Running(); running != nullptr) {
    return done(absl::FailedPreconditionError(
        absl::StrCat("ROLLOUT_RUNNING: version ", running->policy_version(), " is in ",
                     running->percent(), " % of the slots; promote it or roll it back first")));
  }
  // What the nodes' own files say is not known here.
  if (before.ok() && changes.empty() && base.version() > 0) {
    return done(absl::FailedPreconditionError(absl::StrCat(
        "POLICY_UNCHANGED: version ", base.version(), ", which is in force, says the same")));
  }
  Rollout rollout;
  const uint64_t newest = NewestVersion();
  rollout.set_policy_version(newest + 1);
  rollout.set_base_version(base.version());
  rollout.set_comment(request.comment());
  rollout.set_diff(
      absl::StrCat(DiffText(changes, kMaxDiffBytes), warnings.substr(0, kMaxDiffBytes)));
  *rollout.mutable_plan() = *plan;
  Start(std::move(rollout), request.yaml(),
        Answer(newest + 1, [response, done](absl::StatusOr<Rollout> started) mutable {
          if (!started.ok()) return done(started.status());
          *response.mutable_rollout() = *std::move(started);
          done(std::move(response));
        }));
}

// Tells how the rollout is when that is stored.
LeaderStore::Done PolicyRollouts::Answer(uint64_t version, ControlDone done) {
  return [this, version, done = std::move(done)](const absl::Status& status) {
    if (!status.ok()) return done(NotStored(status));
    const Rollout* rollout = Find(version);
    if (rollout == nullptr) return done(UnknownVersion(version));
    done(Shown(*rollout));
  };
}

// Also of what the nodes count reads by, so that a number that the store forgot is not used again;
// and some more than those, as versions may have come and gone of which nobody knows any more.
uint64_t PolicyRollouts::NewestVersion() const {
  uint64_t newest = assignment_.base().version();
  if (history_.rollouts_size() > 0) {
    newest = std::max(newest, history_.rollouts(0).policy_version());
  }
  if (const std::optional<VersionFigures> figures = figures_(); figures) {
    for (const auto& [key, reads] : figures->table) newest = std::max(newest, key.second);
  }
  return IsStateLost() ? newest + kMaxVersions : newest;
}

Rollout PolicyRollouts::Shown(const Rollout& rollout) const {
  Rollout shown = rollout;
  if (&rollout != Running()) return shown;
  for (const auto& [node, why] : Behind()) (*shown.mutable_behind())[node] = why;
  if (stage_) shown.set_waits_for(stage_->WaitsFor());
  return shown;
}

void PolicyRollouts::Get(uint64_t version, GetDone done) {
  if (const absl::Status ready = CheckReady(); !ready.ok()) return done(ready);
  if (version == 0) {
    if (IsStateLost()) return done(StateLost());
    if (const absl::Status heard = CheckHeard(); !heard.ok()) return done(heard);
  }
  if (version == 0) version = assignment_.base().version();
  if (version == 0) return done(GetPolicyResponse());
  store_.LoadPart(absl::StrCat("version/", version),
                  [version, done](const absl::StatusOr<std::optional<std::string>>& part) {
                    if (!part.ok()) return done(part.status());
                    GetPolicyResponse response;
                    if (!part->has_value() || !response.ParseFromString(**part)) {
                      return done(UnknownVersion(version));
                    }
                    done(std::move(response));
                  });
}

absl::StatusOr<std::vector<Rollout>> PolicyRollouts::List() const {
  RETURN_IF_ERROR(CheckReady());
  std::vector<Rollout> rollouts(history_.rollouts().begin(), history_.rollouts().end());
  if (const Rollout* running = Running(); running != nullptr) rollouts.front() = Shown(*running);
  return rollouts;
}

void PolicyRollouts::Control(uint64_t version, coordinator::v1::RolloutAction action,
                             uint32_t expected_percent, ControlDone done) {
  if (const absl::Status ready = CheckReady(); !ready.ok()) return done(ready);
  const bool promotes = action == coordinator::v1::ROLLOUT_ACTION_PROMOTE;
  if (!promotes && action != coordinator::v1::ROLLOUT_ACTION_ROLL_BACK) {
    return done(Invalid("action", "is not PROMOTE or ROLL_BACK"));
  }
  Rollout* rollout = Find(version);
  if (version == 0 && history_.rollouts_size() == 0) {
    return done(absl::NotFoundError(
        "ROLLOUT_UNKNOWN: there is no rollout: no version was ever applied; begin one with "
        "`meridianctl policy apply FILE`"));
  }
  if (version == 0) return done(Invalid("policy_version", "is required"));
  if (rollout == nullptr) {
    return done(
        absl::NotFoundError(absl::StrCat("ROLLOUT_UNKNOWN: there is no rollout of ", version)));
  }
  if (expected_percent != 0 && rollout->percent() != expected_percent) {
    return done(absl::AbortedError(
        absl::StrCat("ROLLOUT_MOVED: version ", version, " is in ", rollout->percent(),
                     " % of the slots by now, not in ", expected_percent,
                     " %, perhaps because this was asked before; look again")));
  }
  const bool runs = rollout == Running();
  if (runs && promotes) {
    return Next(*rollout, "promoted", "operator", "", Answer(version, std::move(done)));
  }
  if (runs) {
    return RollBack(*rollout, "operator", "by hand", Answer(version, std::move(done)));
  }
  if (!promotes && Running() == nullptr && version == assignment_.base().version() &&
      rollout->state() == coordinator::v1::ROLLOUT_STATE_DONE) {
    return RollBackDone(version, std::move(done));
  }
  done(absl::FailedPreconditionError(absl::StrCat(
      "ROLLOUT_OVER: the rollout of version ", version, " is over",
      promotes ? "" : ", and the version is not in force; apply the one that shall be")));
}

void PolicyRollouts::RollBackDone(uint64_t version, ControlDone done) {
  const uint64_t before = Find(version)->base_version();
  const uint64_t revision = assignment_.revision();
  if (before == 0) return FinishRollBackDone(version, revision, "", std::move(done));
  Get(before, [this, version, revision, done](absl::StatusOr<GetPolicyResponse> policy) {
    if (!policy.ok()) return done(policy.status());
    FinishRollBackDone(version, revision, policy->policy().yaml(), done);
  });
}

void PolicyRollouts::FinishRollBackDone(uint64_t version, uint64_t revision,
                                        const std::string& yaml, ControlDone done) {
  Rollout* rollout = Find(version);
  if (assignment_.revision() != revision || rollout == nullptr) {
    return done(absl::AbortedError("ROLLOUT_OVER: something else was done meanwhile; look again"));
  }
  assignment_.mutable_base()->set_version(rollout->base_version());
  assignment_.mutable_base()->set_yaml(yaml);
  RollBack(*rollout, "operator", "by hand", Answer(version, std::move(done)));
}

}  // namespace meridian
