#include "server/coordinator/alert_lead.h"

#include <spdlog/spdlog.h>

#include <utility>
#include <vector>

#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/figures/alert_rules.h"

namespace meridian {
namespace {

constexpr char kKey[] = "alerts";

}  // namespace

void AlertLead::OnLeading(uint64_t token) {
  token_ = token;
  loaded_ = false;
  storing_ = false;
  book_.DropPending();  // By what a standby knows: that nobody leads.
  Load();
}

void AlertLead::Load() {
  store_.GetValue(kKey, [this, executor = &coordinator_.executor(),
                         token = token_](absl::StatusOr<std::optional<std::string>> value) {
    executor->Post([this, token, value = std::move(value)] {
      if (token == token_) HandleLoaded(value);
    });
  });
}

void AlertLead::HandleLoaded(const absl::StatusOr<std::optional<std::string>>& value) {
  if (!value.ok()) {
    coordinator_.executor().PostAfter(kRetry, [this, token = token_] {
      if (token == token_) Load();
    });
    return;
  }
  loaded_ = true;
  // What has fired meanwhile is not stored yet.
  stored_ = book_.List(/*include_resolved=*/true).empty() ? book_.changes() : kNothing;
  if (!value->has_value()) return;
  coordinator::v1::ListAlertsResponse stored;
  if (!stored.ParseFromString(**value)) {
    spdlog::error("the stored alerts cannot be read; they are written anew");
    return;
  }
  keeper_.Inherit({stored.alerts().begin(), stored.alerts().end()});
}

void AlertLead::HearOthers() {
  std::vector<coordinator::v1::Alert> others;
  for (const auto& [holder, note] : coordinator_.Notes()) {
    coordinator::v1::ListAlertsResponse said;
    if (!said.ParseFromString(note) || said.alerts_size() > kMaxOwn) continue;
    for (coordinator::v1::Alert& alert : *said.mutable_alerts()) {
      if (IsOfCoordinator(alert)) others.push_back(std::move(alert));
    }
  }
  book_.SetOthers(std::move(others));
}

void AlertLead::TellOwn() {
  coordinator::v1::ListAlertsResponse own;
  for (coordinator::v1::Alert& alert : book_.List(/*include_resolved=*/false)) {
    if (own.alerts_size() < kMaxOwn && IsOfCoordinator(alert)) {
      *own.add_alerts() = std::move(alert);
    }
  }
  if (own.alerts_size() == 0) own.add_alerts();  // An empty note is none: the leader would miss it.
  coordinator_.SetNote(own.SerializeAsString());
}

void AlertLead::Look() {
  if (token_ != 0) {
    HearOthers();
  } else {
    TellOwn();
  }
  if (token_ == 0 || !loaded_ || storing_ || stored_ == book_.changes()) return;
  coordinator::v1::ListAlertsResponse alerts;
  size_t resolved = 0;
  for (coordinator::v1::Alert& alert : book_.List(/*include_resolved=*/true)) {
    if (alert.state() == "pending" || IsOfCoordinator(alert)) continue;
    if (alert.state() == "resolved" && ++resolved > kMaxResolved) break;  // They are the last.
    *alerts.add_alerts() = std::move(alert);
  }
  storing_ = true;
  store_.PutFenced(coordinator_.options().lease.name, token_, kKey, alerts.SerializeAsString(),
                   [this, executor = &coordinator_.executor(), token = token_,
                    changes = book_.changes()](const absl::Status& status) {
                     executor->Post([this, token, changes, ok = status.ok()] {
                       if (token != token_) return;
                       storing_ = false;
                       if (ok) stored_ = changes;  // Else again in a second.
                     });
                   });
}

}  // namespace meridian
