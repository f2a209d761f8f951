#include "server/figures/grpc_figure_transport.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/server_settings.h"

namespace meridian {

template <typename Request, typename Response>
struct GrpcFigureTransport::Call {
  std::shared_ptr<grpc::ClientContext> context = std::make_shared<grpc::ClientContext>();
  std::shared_ptr<Stub> stub;
  Request request;
  Response response;
  Done<Response> done;
};

template <typename Request, typename Response, typename Start>
void GrpcFigureTransport::Ask(const std::string& address, Request request, absl::Duration timeout,
                              Done<Response> done, Start start) {
  auto call = std::make_shared<Call<Request, Response>>();
  call->stub = stubs_.StubFor(address);
  call->request = std::move(request);
  call->done = std::move(done);
  call->context->set_deadline(std::chrono::system_clock::now() +
                              absl::ToChronoMicroseconds(timeout));
  calls_.Began(call->context);
  auto* const raw = call.get();
  start(*raw, [this, call = std::move(call), address](const grpc::Status& status) mutable {
    if (status.ok()) {
      call->done(std::move(call->response));
    } else {
      call->done(absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                              absl::StrCat(address, ": ", status.error_message())));
    }
    const PendingCalls::Context context = call->context;
    call.reset();
    calls_.Ended(context);
  });
}

void GrpcFigureTransport::GetFigures(const std::string& address, absl::Duration timeout,
                                     Done<admin::v1::GetFiguresResponse> done) {
  Ask(address, admin::v1::GetFiguresRequest(), timeout, std::move(done), [](auto& call, auto end) {
    call.stub->async()->GetFigures(call.context.get(), &call.request, &call.response,
                                   std::move(end));
  });
}

void GrpcFigureTransport::WhatIf(const std::string& address,
                                 const admin::v1::WhatIfRequest& request, absl::Duration timeout,
                                 Done<admin::v1::WhatIfResponse> done) {
  Ask(address, request, timeout, std::move(done), [](auto& call, auto end) {
    call.stub->async()->WhatIf(call.context.get(), &call.request, &call.response, std::move(end));
  });
}

void GrpcFigureTransport::GetAnalytics(const std::string& address, const std::string& name_space,
                                       absl::Duration timeout,
                                       Done<admin::v1::GetAnalyticsResponse> done) {
  admin::v1::GetAnalyticsRequest request;
  request.set_namespace_(name_space);
  Ask(address, std::move(request), timeout, std::move(done), [](auto& call, auto end) {
    call.stub->async()->GetAnalytics(call.context.get(), &call.request, &call.response,
                                     std::move(end));
  });
}

}  // namespace meridian
