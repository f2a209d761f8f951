#include "server/coordinator/presence_lead.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "server/coordinator/leader_lease.h"

namespace meridian {
namespace {

constexpr absl::Duration kLoadRetry = absl::Milliseconds(200);

}  // namespace

PresenceLead::PresenceLead(Coordinator& coordinator, LeaseStore& store)
    : coordinator_(coordinator),
      store_({coordinator.options().lease.name, "coordinators", "coordinators/"}, store,
             coordinator.executor(),
             {[this] { return presence_.Encode(); }, [] {},
              [&coordinator](const std::string&) {
                coordinator.NoteFenced("the list of coordinators");
              }}),
      presence_(coordinator.options().lease.ttl) {
  coordinator_.Subscribe(this);
}

void PresenceLead::OnLeading(uint64_t token) {
  OnLeadershipLost();
  store_.Lead(token);
  Load();
}

void PresenceLead::OnLeadershipLost() {
  ++generation_;
  loaded_ = false;
  store_.StepDown();
  presence_.Forget();
  saved_.clear();
  Count();
}

void PresenceLead::Load() {
  store_.Load([this](const auto& stored) { HandleLoaded(stored); });
}

void PresenceLead::HandleLoaded(const absl::StatusOr<std::optional<std::string>>& stored) {
  if (!stored.ok()) {
    coordinator_.executor().PostAfter(kLoadRetry, [this, generation = generation_] {
      if (generation == generation_) Load();
    });
    return;
  }
  loaded_ = true;
  if (stored->has_value() && !presence_.Restore(**stored, coordinator_.clock().Now())) {
    spdlog::error("the stored coordinators cannot be read; they are written anew");
  }
}

void PresenceLead::HearOthers(absl::Time now) {
  for (const auto& [holder, note] : coordinator_.Notes()) {
    if (note == LeaderLease::kGoodbye) {
      presence_.Leave(holder);
    } else {
      presence_.Hear(holder, now);
    }
  }
}

void PresenceLead::Look() {
  if (!loaded_ || leaving_) return;
  const absl::Time now = coordinator_.clock().Now();
  presence_.Hear(coordinator_.options().lease.holder, now);
  HearOthers(now);
  presence_.Look(now);
  Count();
  std::string encoded = presence_.Encode();
  if (encoded == saved_) return;
  saved_ = std::move(encoded);
  store_.Save(nullptr);
}

void PresenceLead::Leave(std::function<void()> done) {
  leaving_ = true;
  if (!loaded_) return done();
  HearOthers(coordinator_.clock().Now());
  presence_.Leave(coordinator_.options().lease.holder);
  store_.Save([done = std::move(done)](const absl::Status&) { done(); });
}

std::vector<std::string> PresenceLead::Missed() const {
  std::vector<std::string> missed;
  for (const auto& [id, one] : presence_.known()) {
    if (one.down) missed.push_back(id);
  }
  return missed;
}

nlohmann::ordered_json PresenceLead::ToJson() const {
  const absl::Time now = coordinator_.clock().Now();
  const std::string& own = coordinator_.options().id;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [id, one] : presence_.known()) {
    nlohmann::ordered_json uptime = nullptr;
    if (!one.down) {
      const absl::Duration up = now - CoordinatorPresence::StartOf(one.holder);  // By two clocks.
      uptime = absl::ToDoubleSeconds(std::max(up, absl::ZeroDuration()));
    }
    const char* const state = one.down ? "DOWN" : id == own ? "LEADING" : "STANDBY";
    list.push_back({{"id", id},
                    {"state", state},
                    {"uptime_seconds", uptime},
                    {"silent_seconds", absl::ToDoubleSeconds(now - one.heard)}});
  }
  return list;
}

void PresenceLead::Count() {
  const size_t down = Missed().size();
  up_.store(presence_.known().size() - down, std::memory_order_relaxed);
  down_.store(down, std::memory_order_relaxed);
}

}  // namespace meridian
