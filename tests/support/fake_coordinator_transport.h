// FakeCoordinatorTransport records what a node opens and sends; the test answers by hand.
//
// Thread safety: none.

#ifndef MERIDIAN_TESTS_SUPPORT_FAKE_COORDINATOR_TRANSPORT_H_
#define MERIDIAN_TESTS_SUPPORT_FAKE_COORDINATOR_TRANSPORT_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/membership/coordinator_transport.h"

namespace meridian {

class FakeCoordinatorTransport final : public CoordinatorTransport {
 public:
  struct Opened {
    std::string address;
    Events events;
    std::vector<NodeHeartbeat> sent;
    bool open = true;
  };

  std::unique_ptr<CoordinatorStream> Open(const std::string& address, Events events) override {
    opened.push_back(std::make_shared<Opened>(Opened{address, std::move(events), {}, true}));
    return std::make_unique<Stream>(opened.back());
  }

  void AcquireTicket(const std::string& address, const std::string& node, absl::Duration,
                     TicketCallback done) override {
    tickets_asked.push_back(address + " " + node);
    if (holds_tickets) {
      tickets_held.push_back(std::move(done));
    } else {
      done(ticket);
    }
  }
  void GiveTicketBack(const std::string& address, const std::string& node, absl::Duration,
                      std::function<void(absl::Status)> done) override {
    tickets_given_back.push_back(address + " " + node);
    gives_back_held.push_back(std::move(done));
    if (!holds_tickets) AnswerGivesBack();
  }
  void AnswerGivesBack() {
    for (const auto& done : std::exchange(gives_back_held, {})) done(absl::OkStatus());
  }

  // Answered when the test says so.
  void ReportUpdates(const std::string& address, const UpdateLog::Batch& batch, absl::Duration,
                     UpdateCallback done) override {
    updates.push_back({address, batch, std::move(done)});
  }

  Opened& last() { return *opened.back(); }
  std::vector<std::string> addresses() const {
    std::vector<std::string> result;
    for (const auto& stream : opened) result.push_back(stream->address);
    return result;
  }

  struct Updates {
    std::string address;
    UpdateLog::Batch batch;
    UpdateCallback answer;
  };

  std::vector<std::shared_ptr<Opened>> opened;
  std::vector<Updates> updates;
  std::vector<std::string> tickets_asked;       // "address node".
  std::vector<std::string> tickets_given_back;  // Likewise.
  // True: the test answers what is asked for tickets.
  bool holds_tickets = false;
  std::vector<TicketCallback> tickets_held;
  std::vector<std::function<void(absl::Status)>> gives_back_held;
  absl::StatusOr<TicketAnswer> ticket = TicketAnswer{true, {}, ""};

 private:
  struct Stream final : CoordinatorStream {
    explicit Stream(std::shared_ptr<Opened> opened_stream) : stream(std::move(opened_stream)) {}
    ~Stream() override { stream->open = false; }
    void Send(const NodeHeartbeat& heartbeat) override { stream->sent.push_back(heartbeat); }
    std::shared_ptr<Opened> stream;
  };
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAKE_COORDINATOR_TRANSPORT_H_
