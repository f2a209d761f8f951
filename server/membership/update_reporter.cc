#include "server/membership/update_reporter.h"

#include <algorithm>
#include <utility>

namespace meridian {

UpdateReporter::UpdateReporter(UpdateReporterOptions options, const CoordinatorClient& client,
                               CoordinatorTransport& transport, UpdateLog& log, Executor& executor)
    : options_(options), client_(client), transport_(transport), log_(log), executor_(executor) {}

void UpdateReporter::Start() {
  executor_.PostAfter(options_.interval, [this] { Tick(); });
}

void UpdateReporter::Tick() {
  SendNext();
  executor_.PostAfter(options_.interval, [this] { Tick(); });
}

void UpdateReporter::SendNext() {
  if (busy_) return;
  const CoordinatorClientStatus status = client_.status();
  if (!status.connected) return;
  if (batches_.empty()) {
    for (UpdateLog::Batch& batch : log_.Take()) batches_.push_back(std::move(batch));
  }
  if (batches_.empty()) return;
  busy_ = true;
  transport_.ReportUpdates(status.coordinator, batches_.front(), options_.timeout,
                           [this, executor = &executor_](absl::StatusOr<UpdateAnswer> answer) {
                             executor->Post([this, answer] { HandleAnswer(answer); });
                           });
}

void UpdateReporter::HandleAnswer(const absl::StatusOr<UpdateAnswer>& answer) {
  busy_ = false;
  if (!answer.ok()) return HandleFailure(answer.status());
  UpdateLog::Batch& batch = batches_.front();
  if (!answer->is_wanted) {
    LeaveAlone(batch.id);
    DropFirst(&unwanted_);
  } else if (answer->accepted == 0 && !batch.keys.empty()) {
    // There are too many events. The others' turn.
    if (++tries_ >= kMaxTries) return DropFirst(&given_up_);
    std::rotate(batches_.begin(), batches_.begin() + 1, batches_.end());
    return;
  } else if (answer->accepted < batch.keys.size()) {  // The rest waits for a second.
    const auto taken = static_cast<ptrdiff_t>(answer->accepted);
    reported_.fetch_add(answer->accepted, std::memory_order_relaxed);
    batch.keys.erase(batch.keys.begin(), batch.keys.begin() + taken);
    tries_ = 0;
    return;
  } else {
    DropFirst(&reported_);
  }
  if (!batches_.empty()) SendNext();
}

void UpdateReporter::HandleFailure(const absl::Status& status) {
  if (absl::IsUnimplemented(status)) LeaveAlone(batches_.front().id);  // An older coordinator.
  if (absl::IsUnimplemented(status) || absl::IsInvalidArgument(status)) {
    DropFirst(&refused_);
  } else if (++tries_ >= kMaxTries) {
    DropFirst(&given_up_);
  }
}

void UpdateReporter::LeaveAlone(NamespaceId id) {
  log_.SetFollowed(id, false);
  executor_.PostAfter(options_.quiet, [this, id] { log_.SetFollowed(id, true); });
}

void UpdateReporter::DropFirst(std::atomic<uint64_t>* counter) {
  counter->fetch_add(batches_.front().keys.size(), std::memory_order_relaxed);
  batches_.pop_front();
  tries_ = 0;
}

UpdateCounters UpdateReporter::counters() const {
  return {reported_.load(std::memory_order_relaxed), unwanted_.load(std::memory_order_relaxed),
          refused_.load(std::memory_order_relaxed),
          log_.dropped() + given_up_.load(std::memory_order_relaxed)};
}

}  // namespace meridian
