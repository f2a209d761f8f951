#include "server/rpc/hand_off_reader.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rpc/error.h"
#include "server/node/hand_off_proto.h"
#include "server/node/limits.h"

namespace meridian {

HandOffReader::HandOffReader(HandOffTarget& target, HybridClock& versions, const Clock& clock,
                             peer::v1::HandOffResponse* response)
    : target_(target), versions_(versions), clock_(clock), response_(response) {
  response_->set_steady_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(clock_.Monotonic())));
  StartRead(&request_);
}

void HandOffReader::OnReadDone(bool ok) {
  if (!ok) return Finish(grpc::Status::OK);
  if (const grpc::Status status = CheckRequest(); !status.ok()) return Finish(status);
  std::vector<HandOffItem> items;
  items.reserve(static_cast<size_t>(request_.entries_size()));
  // A node that was stopped for a while reads what waited for it late: nothing may live longer by
  // that than its copy in Redis.
  const absl::Duration age = AgeOf(request_, clock_);
  for (const peer::v1::HandOffEntry& entry : request_.entries()) {
    HandOffItem item = FromProto(entry, age);
    if (item.ttl > absl::ZeroDuration()) items.push_back(std::move(item));
  }
  target_.Take(epoch_, std::move(items), [this](const absl::StatusOr<uint64_t>& taken) {
    if (!taken.ok()) return Finish(ToGrpcStatus(FromStatus(taken.status())));
    response_->set_accepted_entries(response_->accepted_entries() + *taken);
    StartRead(&request_);
  });
}

grpc::Status HandOffReader::CheckRequest() {
  if (request_.has_header()) {
    epoch_ = request_.header().epoch();
    if (request_.header().hlc() != 0) {
      const absl::Status merged = versions_.Merge(request_.header().hlc());
      if (!merged.ok()) return ToGrpcStatus(FromStatus(merged));
    }
  }
  if (request_.entries_size() == 0) return grpc::Status::OK;  // Asks whether some could be taken.
  if (const auto error =
          limits::CheckBatch(static_cast<size_t>(request_.entries_size()), 0, "entries")) {
    return ToGrpcStatus(*error);
  }
  for (int i = 0; i < request_.entries_size(); ++i) {
    const auto error = CheckHandOffEntry(request_.entries(i), absl::StrCat("entries[", i, "]"));
    if (error) return ToGrpcStatus(*error);
  }
  return grpc::Status::OK;
}

}  // namespace meridian
