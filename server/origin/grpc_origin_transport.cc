#include "server/origin/grpc_origin_transport.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/origin/answer_shape.h"

namespace meridian {
namespace {

using origin::v1::BatchLoadResponse;

constexpr char kMethod[] = "/meridian.origin.v1.OriginService/BatchLoad";

// What a call came to.
OriginReply ReplyOf(const grpc::Status& status, grpc::ByteBuffer* answer) {
  OriginReply reply;
  if (!status.ok()) {
    reply.status =
        absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
    // An origin that says so of itself is overloaded; these words are those of gRPC here.
    if (absl::IsResourceExhausted(reply.status) &&
        absl::StrContains(status.error_message(), "larger than max")) {
      reply.fault = AnswerFault::kTooLarge;
    }
    return reply;
  }
  {
    grpc::ProtoBufferReader bytes(answer);
    reply.status = bytes.status().ok() ? CheckAnswerShape(bytes)
                                       : absl::InternalError("the answer cannot be read");
  }
  if (absl::IsOutOfRange(reply.status)) reply.fault = AnswerFault::kTooManyFields;
  if (!reply.status.ok()) return reply;
  if (!grpc::SerializationTraits<BatchLoadResponse>::Deserialize(answer, &reply.response).ok()) {
    reply.response.Clear();
    reply.status = absl::InternalError("the answer is no BatchLoadResponse");
  }
  return reply;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> CredentialsOf(
    const OriginTarget& target) {
  if (!target.tls) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  if (!target.ca_file.empty()) {
    std::ifstream file(target.ca_file);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file || text.str().empty()) {
      return absl::UnavailableError(absl::StrCat("cannot read origin.ca_file ", target.ca_file));
    }
    options.pem_root_certs = text.str();
  }
  return grpc::SslCredentials(options);
}

}  // namespace

struct GrpcOriginTransport::Call {
  grpc::ClientContext context;
  origin::v1::BatchLoadRequest request;
  grpc::ByteBuffer answer;
  std::shared_ptr<Stub> stub;
};

GrpcOriginTransport::~GrpcOriginTransport() { Shutdown(); }

void GrpcOriginTransport::Shutdown() {
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
  }
  CancelAll();
  std::vector<std::shared_ptr<Call>> ended;  // Freed here, after the lock.
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(
      +[](decltype(calls_)* calls) { return calls->empty(); }, &calls_));
  ended.swap(ended_);
}

void GrpcOriginTransport::CancelAll() {
  std::vector<std::shared_ptr<Call>> calls;  // gRPC may run their callbacks here: not locked.
  {
    absl::MutexLock lock(&mu_);
    calls.assign(calls_.begin(), calls_.end());
  }
  for (const std::shared_ptr<Call>& call : calls) call->context.TryCancel();
}

absl::StatusOr<std::shared_ptr<GrpcOriginTransport::Stub>> GrpcOriginTransport::StubFor(
    const OriginTarget& target) {
  absl::MutexLock lock(&mu_);
  const auto it = stubs_.find(target);
  if (it != stubs_.end()) return it->second;
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ChannelCredentials> credentials,
                   CredentialsOf(target));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kMaxAnswerBytes));
  // None: a limit of the compressed size is no limit. A call that is answered so all the same
  // fails; without the second line it fails after gRPC has inflated the answer, whatever that
  // takes.
  arguments.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  auto stub =
      std::make_shared<Stub>(grpc::CreateCustomChannel(target.address, credentials, arguments));
  stubs_.emplace(target, stub);
  return stub;
}

// The call has its channel, which must not end on a thread of gRPC: that one would wait for itself.
void GrpcOriginTransport::Ended(std::shared_ptr<Call> call) {
  call->request.Clear();
  call->answer.Clear();
  absl::MutexLock lock(&mu_);
  calls_.erase(call);
  ended_.push_back(std::move(call));
}

void GrpcOriginTransport::BatchLoad(const OriginTarget& target,
                                    origin::v1::BatchLoadRequest request, absl::Time deadline,
                                    Callback callback) {
  absl::StatusOr<std::shared_ptr<Stub>> stub = StubFor(target);
  if (!stub.ok()) {
    callback({stub.status(), AnswerFault::kNone, {}});
    return;
  }
  auto call = std::make_shared<Call>();
  call->request = std::move(request);
  call->stub = *std::move(stub);
  call->context.set_deadline(absl::ToChronoTime(deadline));
  bool stopped = false;
  std::vector<std::shared_ptr<Call>> ended;  // Freed here: the channels are used on.
  {
    absl::MutexLock lock(&mu_);
    ended.swap(ended_);
    stopped = stopped_;
    if (!stopped) calls_.insert(call);
  }
  if (stopped) {
    callback({absl::UnavailableError("the node is about to end"), AnswerFault::kNone, {}});
    return;
  }
  Call* const raw = call.get();
  raw->stub->UnaryCall(&raw->context, kMethod, grpc::StubOptions(), &raw->request, &raw->answer,
                       [this, call = std::move(call),
                        callback = std::move(callback)](const grpc::Status& status) mutable {
                         callback(ReplyOf(status, &call->answer));
                         Ended(std::move(call));
                       });
}

}  // namespace meridian
