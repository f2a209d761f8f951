#include "server/warming/grpc_warm_reader.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/error.h"
#include "common/rpc/server_settings.h"

namespace meridian {
namespace {

constexpr char kL2Overloaded[] = "L2_OVERLOADED";

// Other reasons of RESOURCE_EXHAUSTED (an answer that is too large) do not go away with time.
WarmOutcome OutcomeOfError(grpc::StatusCode code, const std::string& why) {
  switch (code) {
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return why == reason::kOverloaded || why == kL2Overloaded ? WarmOutcome::kOverloaded
                                                                : WarmOutcome::kFailed;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::ABORTED:
      return WarmOutcome::kUnreachable;
    default:
      return WarmOutcome::kFailed;
  }
}

WarmOutcome OutcomeOf(const cache::v1::Entry& entry) {
  if (entry.status() == cache::v1::ENTRY_STATUS_MISS) return WarmOutcome::kAbsent;
  if (entry.status() != cache::v1::ENTRY_STATUS_OK) {
    return OutcomeOfError(static_cast<grpc::StatusCode>(entry.error().code()),
                          entry.error().reason());
  }
  if (entry.not_kept()) return WarmOutcome::kNotKept;
  switch (entry.source()) {
    case cache::v1::SOURCE_L2:
      return WarmOutcome::kFromL2;
    case cache::v1::SOURCE_ORIGIN:
      return WarmOutcome::kFromOrigin;
    default:
      return WarmOutcome::kResident;
  }
}

WarmAnswer AnswerOf(const grpc::Status& status, const cache::v1::BatchGetResponse& response,
                    size_t keys, const std::string& address) {
  WarmAnswer answer;
  if (!status.ok() || static_cast<size_t>(response.entries_size()) != keys) {
    const Error error = FromGrpcStatus(status);
    answer.outcomes.assign(
        keys, status.ok() ? WarmOutcome::kFailed : OutcomeOfError(error.code, error.reason));
    answer.of_node = !status.ok();
    answer.retry_after = error.details.retry_after;
    answer.error =
        absl::StrCat(status.ok() ? "a wrong number of entries" : error.message, " (", address, ")");
    return answer;
  }
  answer.outcomes.reserve(keys);
  for (const cache::v1::Entry& entry : response.entries()) {
    answer.outcomes.push_back(OutcomeOf(entry));
    if (!entry.has_error()) continue;
    answer.of_node |= entry.error().reason() == kL2Overloaded;
    answer.retry_after =
        std::max(answer.retry_after, absl::Milliseconds(entry.error().retry_after_ms()));
    if (answer.error.empty()) {
      answer.error = absl::StrCat(entry.error().reason(), ": ", entry.error().message());
    }
  }
  return answer;
}

}  // namespace

struct GrpcWarmReader::Call {
  std::shared_ptr<grpc::ClientContext> context = std::make_shared<grpc::ClientContext>();
  std::shared_ptr<Stub> stub;
  std::string address;
  cache::v1::BatchGetRequest request;
  cache::v1::BatchGetResponse response;
  std::function<void(WarmAnswer)> done;
};

void GrpcWarmReader::Read(const std::string& address, const std::string& name_space,
                          const std::vector<std::string>& keys, const WarmReadOptions& options,
                          std::function<void(WarmAnswer)> done) {
  auto call = std::make_shared<Call>();
  call->stub = stubs_.StubFor(address);
  call->address = address;
  call->done = std::move(done);
  call->request.set_namespace_(name_space);
  for (const std::string& key : keys) call->request.add_keys(key);
  call->request.mutable_options()->set_omit_value(true);
  call->request.mutable_options()->set_force_refresh(options.refresh);
  call->request.mutable_options()->set_warm_source(options.source);
  call->context->set_deadline(std::chrono::system_clock::now() +
                              absl::ToChronoMicroseconds(options.timeout));
  calls_.Began(call->context);
  Call* const raw = call.get();
  raw->stub->async()->BatchGet(raw->context.get(), &raw->request, &raw->response,
                               [this, call = std::move(call)](const grpc::Status& status) mutable {
                                 Finish(std::move(call), status);
                               });
}

void GrpcWarmReader::Finish(std::shared_ptr<Call> call, const grpc::Status& status) {
  call->done(AnswerOf(status, call->response, static_cast<size_t>(call->request.keys_size()),
                      call->address));
  const PendingCalls::Context context = call->context;
  call.reset();
  calls_.Ended(context);
}

}  // namespace meridian
