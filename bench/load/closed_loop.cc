#include "bench/load/closed_loop.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "bench/load/wire_scan.h"
#include "common/rpc/server_settings.h"

namespace meridian {
namespace {

constexpr std::chrono::seconds kDeadline(5);

// One connection with its calls, driven by one thread.
class Connection {
 public:
  Connection(const ClosedLoopOptions& options, const std::vector<grpc::ByteBuffer>& requests,
             size_t first_request)
      : options_(options),
        requests_(requests),
        next_request_(first_request),
        stub_(CreateChannelTo(options.target)) {}

  void Run(int in_flight) {
    const absl::Time begin = absl::Now() + options_.warm_up;
    const absl::Time end = begin + options_.duration;
    for (int i = 0; i < in_flight; ++i) Start();
    void* tag = nullptr;
    bool ok = false;
    int left = in_flight;
    while (left > 0 && queue_.Next(&tag, &ok)) {
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      const absl::Time now = absl::Now();
      if (now >= begin && now < end) Count(*call, now);
      if (now < end) {
        Start();
      } else {
        --left;
      }
    }
    queue_.Shutdown();
    while (queue_.Next(&tag, &ok)) {
    }
  }

  ClosedLoopResult& result() { return result_; }

 private:
  struct Call {
    grpc::ClientContext context;
    grpc::ByteBuffer response;
    grpc::Status status;
    absl::Time start;
    std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  };

  void Start() {
    auto* call = new Call;
    call->context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    call->start = absl::Now();
    call->reader = stub_.PrepareUnaryCall(&call->context, options_.method,
                                          requests_[next_request_++ % requests_.size()], &queue_);
    call->reader->StartCall();
    call->reader->Finish(&call->response, &call->status, call);
  }

  void Count(Call& call, absl::Time now) {
    ++result_.calls;
    result_.latencies_us.push_back(
        static_cast<float>(absl::ToDoubleMicroseconds(now - call.start)));
    if (!call.status.ok()) return Error(call.status.error_message());
    grpc::Slice slice;
    if (!call.response.TrySingleSlice(&slice).ok() &&
        !call.response.DumpToSingleSlice(&slice).ok()) {
      return Error("an answer that cannot be read");
    }
    const EntryCounts counts =
        CheckEntries({reinterpret_cast<const char*>(slice.begin()), slice.size()},
                     options_.value_size, options_.source);
    result_.keys += counts.hits;
    result_.misses += counts.misses;
    result_.elsewhere += counts.elsewhere;
    if (!counts.well_formed || counts.wrong_size > 0 || counts.errors > 0) {
      return Error("entries with errors or of a wrong size");
    }
    if (counts.hits + counts.misses != options_.entries) Error("a wrong number of entries");
  }

  void Error(const std::string& what) {
    if (result_.errors++ == 0) result_.first_error = what;
  }

  const ClosedLoopOptions& options_;
  const std::vector<grpc::ByteBuffer>& requests_;
  size_t next_request_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  ClosedLoopResult result_;
};

}  // namespace

ClosedLoopResult RunClosedLoop(const ClosedLoopOptions& options,
                               const std::vector<grpc::ByteBuffer>& requests) {
  std::vector<std::unique_ptr<Connection>> connections;
  std::vector<std::thread> threads;
  for (int i = 0; i < options.connections; ++i) {
    connections.push_back(std::make_unique<Connection>(
        options, requests, requests.size() * static_cast<size_t>(i) / options.connections));
    const int calls = options.in_flight / options.connections +
                      (i < options.in_flight % options.connections ? 1 : 0);
    threads.emplace_back(
        [connection = connections.back().get(), calls] { connection->Run(calls); });
  }
  ClosedLoopResult sum;
  sum.elapsed = options.duration;
  for (size_t i = 0; i < threads.size(); ++i) {
    threads[i].join();
    ClosedLoopResult& one = connections[i]->result();
    sum.calls += one.calls;
    sum.keys += one.keys;
    sum.misses += one.misses;
    sum.elsewhere += one.elsewhere;
    if (sum.errors == 0) sum.first_error = one.first_error;
    sum.errors += one.errors;
    sum.latencies_us.insert(sum.latencies_us.end(), one.latencies_us.begin(),
                            one.latencies_us.end());
  }
  return sum;
}

}  // namespace meridian
