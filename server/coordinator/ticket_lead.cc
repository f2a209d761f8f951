#include "server/coordinator/ticket_lead.h"

#include <utility>

namespace meridian {
namespace {

constexpr absl::Duration kLoadRetry = absl::Milliseconds(200);

}  // namespace

TicketLead::TicketLead(absl::Duration absence, Coordinator& coordinator, LeaseStore& store)
    : coordinator_(coordinator),
      store_({coordinator.options().lease.name, "tickets", "tickets/"}, store,
             coordinator.executor(),
             {[this] { return sent_ = tickets_.Encode(); }, [this] { stored_ = sent_; },
              [&coordinator](const std::string&) { coordinator.NoteFenced("tickets"); }}),
      tickets_(absence) {
  coordinator_.Subscribe(this);
}

void TicketLead::OnLeading(uint64_t token) {
  OnLeadershipLost();
  store_.Lead(token);
  Load();
}

void TicketLead::OnLeadershipLost() {
  ++generation_;
  loaded_ = false;
  store_.StepDown();
  tickets_.Forget();
  stored_.clear();
}

void TicketLead::Load() {
  store_.Load([this](const auto& stored) { HandleLoaded(stored); });
}

void TicketLead::HandleLoaded(const absl::StatusOr<std::optional<std::string>>& stored) {
  if (!stored.ok()) {
    coordinator_.executor().PostAfter(kLoadRetry, [this, generation = generation_] {
      if (generation == generation_) Load();
    });
    return;
  }
  loaded_ = true;
  stored_ = stored->value_or("");
  tickets_.Restore(stored_, coordinator_.clock().Monotonic());
}

void TicketLead::Ask(const std::string& node, Done done) {
  if (!loaded_) return done("what the leader before has granted is not read yet");
  std::string why = tickets_.Ask(node, coordinator_.Nodes(), coordinator_.clock().Monotonic());
  SaveChange([why = std::move(why), done = std::move(done)](const absl::Status& status) {
    done(status.ok() ? why : "the ticket could not be stored yet");
  });
}

void TicketLead::GiveBack(const std::string& node, std::function<void()> done) {
  if (!loaded_) return done();
  tickets_.GiveBack(node, coordinator_.Nodes());
  SaveChange([done = std::move(done)](const absl::Status&) { done(); });
}

void TicketLead::SaveChange(std::function<void(const absl::Status&)> done) {
  if (tickets_.Encode() == stored_) return done(absl::OkStatus());
  store_.Save(std::move(done));
}

}  // namespace meridian
