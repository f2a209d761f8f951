// EventReporter tells the coordinators of a region what has happened in a service, so that their
// rules can warm what is wanted next:
//
//   auto reporter = meridian::EventReporter::Create({.coordinators = {"10.0.0.5:7410"}});
//   (*reporter)->Report({{.kind = "login", .fields = {{"user", "7"}}}});
//
// Promise: an OK means that the warm jobs of the first `accepted` events are stored, and will be
//   carried out whoever leads; the rest was over the coordinator's limit: report it again later, or
//   not at all. The leader is found by itself. A call that failed may have been carried out;
//   reporting again warms a key a second time at worst.
// Cost: one connection a coordinator. A report takes a tenth of a second, because the coordinator
//   gathers events; report many at once, off the path of your callers.
// Thread safety: all methods may be called concurrently. Callbacks run once each, on a thread of
//   gRPC or, for what is refused here, on the caller's; they must not block. The destructor cancels
//   what is on its way and waits for it; it must not run in a callback.

#ifndef MERIDIAN_CLIENT_CPP_EVENT_REPORTER_H_
#define MERIDIAN_CLIENT_CPP_EVENT_REPORTER_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"

namespace meridian {

struct EventReporterOptions {
  // host:port of the coordinators of the region; one is enough while it is there.
  std::vector<std::string> coordinators = {};
  absl::Duration timeout = absl::Seconds(2);  // Of a report, with all its tries.
  TlsFiles tls = {};                          // As in ClientOptions; coordinators ask for one.
};

struct ServiceEvent {
  std::string kind = {};        // "access", "update", "login" or a name of yours.
  std::string name_space = {};  // Of the key that it is about; both may be empty.
  std::string key = {};
  // Parts for key templates; a value with commas stands for several. At most 32.
  std::map<std::string, std::string> fields = {};
};

struct ReportResult {
  size_t accepted = 0;  // The first so many events.
  size_t matched = 0;   // Of these: a rule is for them.
  // EVENTS_LIMITED: none was taken, there are too many; `retry_after` says for how long.
  std::shared_ptr<const ResultError> error = nullptr;

  bool ok() const { return error == nullptr; }
};

class EventReporter {
 public:
  static constexpr size_t kMaxEvents = 1000;  // Of a report.

  // Returns kInvalidArgument for bad options. Does not wait for the network.
  static absl::StatusOr<std::unique_ptr<EventReporter>> Create(EventReporterOptions options);
  ~EventReporter();
  EventReporter(const EventReporter&) = delete;
  EventReporter& operator=(const EventReporter&) = delete;

  ReportResult Report(const std::vector<ServiceEvent>& events);
  void Report(const std::vector<ServiceEvent>& events, std::function<void(ReportResult)> done);

 private:
  class Impl;
  explicit EventReporter(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_CPP_EVENT_REPORTER_H_
