#include "client/cpp/client_impl.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/cpp/check.h"
#include "common/base/hash.h"

namespace meridian {
namespace {

using AsyncStub = cache::v1::CacheService::StubInterface::async_interface;

// Bytes of an entry on the wire beside key and value: about.
constexpr size_t kFramingBytes = 32;

uint16_t NodeOf(const ClusterView& view, uint16_t any_node, std::string_view name_space,
                std::string_view key) {
  const uint16_t owner = view.table.OwnerOf(SlotOf(name_space, key));
  return owner == RoutingTable::kAnyNode ? any_node : owner;
}

Error WrongEntryCount(int expected, int got) {
  Error error;
  error.code = grpc::StatusCode::INTERNAL;
  error.reason = "MALFORMED_RESPONSE";
  error.message = absl::StrCat("the node answered ", got, " entries instead of ", expected);
  return error;
}

template <typename Result>
Result Failed(std::shared_ptr<const ResultError> error) {
  Result result;
  result.status = ResultStatus::kError;
  result.error = std::move(error);
  return result;
}

// One answer for every entry of a batch.
template <typename Result>
std::vector<Result> AllFailed(size_t entries, const std::shared_ptr<const ResultError>& error) {
  return std::vector<Result>(entries, Failed<Result>(error));
}

auto* EntriesOf(cache::v1::BatchGetResponse* response) { return response->mutable_entries(); }
auto* EntriesOf(cache::v1::BatchSetResponse* response) { return response->mutable_results(); }
auto* EntriesOf(cache::v1::BatchInvalidateResponse* response) {
  return response->mutable_results();
}

// What to do with the answer to one part of a batch.
template <typename Response, typename Result>
auto PutPart(std::shared_ptr<BatchAnswer<Result>> answer, std::vector<uint32_t> positions) {
  return [answer = std::move(answer), positions = std::move(positions)](const Error* error,
                                                                        Response* response) {
    Error wrong_count;
    auto* entries = EntriesOf(response);
    if (error == nullptr && entries->size() != static_cast<int>(positions.size())) {
      wrong_count = WrongEntryCount(static_cast<int>(positions.size()), entries->size());
      error = &wrong_count;
    }
    if (error == nullptr) {
      for (size_t i = 0; i < positions.size(); ++i) {
        FromProto(&(*entries)[static_cast<int>(i)], &answer->results[positions[i]]);
      }
    } else {
      const std::shared_ptr<const ResultError> shared = ToResultError(*error);
      for (const uint32_t position : positions) {
        answer->results[position] = Failed<Result>(shared);
      }
    }
    answer->EndPart();
  };
}

template <typename Result>
std::shared_ptr<BatchAnswer<Result>> NewAnswer(size_t entries, size_t parts,
                                               std::function<void(std::vector<Result>)> done) {
  auto answer = std::make_shared<BatchAnswer<Result>>();
  answer->results.resize(entries);
  answer->parts_left.store(parts, std::memory_order_relaxed);
  answer->done = std::move(done);
  return answer;
}

std::vector<BatchPart> SplitKeys(const RoutingTable& table, std::string_view name_space,
                                 uint16_t any_node, std::span<const std::string_view> keys) {
  BatchSplitter splitter(table, name_space, any_node);
  for (const std::string_view key : keys) splitter.Add(key, key.size() + kFramingBytes);
  return splitter.Take();
}

bool IsConditional(const SetItem& item) { return item.if_absent || item.expected_version; }

size_t WireBytes(const SetItem& item) {
  size_t bytes = item.key.size() + item.value.size() + item.state_hint.size() + kFramingBytes;
  for (const std::string& tag : item.tags) bytes += tag.size() + 4;
  return bytes;
}

}  // namespace

Client::Impl::Plan Client::Impl::PlanCall(const CallOptions& options,
                                          absl::Duration default_timeout) {
  const absl::Duration timeout =
      std::clamp(options.timeout.value_or(default_timeout), absl::ZeroDuration(), absl::Hours(1));
  Plan plan;
  plan.view = cluster_.View();
  plan.any_node = plan.view->table.AnyNode(cluster_.NextTurn());
  plan.deadline = std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout);
  plan.request_id = options.request_id.empty() ? cluster_.NextRequestId() : options.request_id;
  return plan;
}

template <typename Request, typename Response>
NodeCall<Request, Response>* Client::Impl::NewCall(
    const Plan& plan, uint16_t node, std::string_view name_space,
    typename NodeCall<Request, Response>::Method method, CallKind kind) {
  auto* call =
      new NodeCall<Request, Response>(cluster_, plan.view, node, method, kind, plan.deadline);
  call->request().set_namespace_(name_space.data(), name_space.size());
  call->request().mutable_header()->set_request_id(plan.request_id);
  return call;
}

template <typename Request, typename Response>
void Client::Impl::StartWrite(NodeCall<Request, Response>* call, WriteCallback done) {
  call->Start([done = std::move(done)](const Error* error, Response* response) {
    WriteResult result;
    if (error != nullptr) {
      result = Failed<WriteResult>(ToResultError(*error));
    } else {
      FromProto(response->mutable_result(), &result);
    }
    done(std::move(result));
  });
}

void Client::Impl::Get(std::string_view name_space, std::string_view key, const GetOptions& options,
                       GetCallback done) {
  if (auto wrong = CheckCall(name_space, options)) {
    return done(Failed<GetResult>(std::move(wrong)));
  }
  const Plan plan = PlanCall(options, options_.get_timeout);
  auto* call = NewCall<cache::v1::GetRequest, cache::v1::GetResponse>(
      plan, NodeOf(*plan.view, plan.any_node, name_space, key), name_space, &AsyncStub::Get,
      CallKind::kRead);
  call->request().set_key(key.data(), key.size());
  call->request().set_allocated_options(ToProto(options).release());
  call->Start([done = std::move(done)](const Error* error, cache::v1::GetResponse* response) {
    GetResult result;
    if (error != nullptr) {
      result = Failed<GetResult>(ToResultError(*error));
    } else {
      FromProto(response->mutable_entry(), &result);
    }
    done(std::move(result));
  });
}

void Client::Impl::Set(std::string_view name_space, SetItem item, const CallOptions& options,
                       WriteCallback done) {
  if (auto wrong = CheckCall(name_space, options)) {
    return done(Failed<WriteResult>(std::move(wrong)));
  }
  if (auto wrong = CheckItem(item)) return done(Failed<WriteResult>(std::move(wrong)));
  const Plan plan = PlanCall(options, options_.set_timeout);
  auto* call = NewCall<cache::v1::SetRequest, cache::v1::SetResponse>(
      plan, NodeOf(*plan.view, plan.any_node, name_space, item.key), name_space, &AsyncStub::Set,
      IsConditional(item) ? CallKind::kConditionalWrite : CallKind::kWrite);
  ToProto(std::move(item), call->request().mutable_entry());
  StartWrite(call, std::move(done));
}

void Client::Impl::Invalidate(std::string_view name_space, std::string_view key,
                              const CallOptions& options, WriteCallback done) {
  if (auto wrong = CheckCall(name_space, options)) {
    return done(Failed<WriteResult>(std::move(wrong)));
  }
  const Plan plan = PlanCall(options, options_.set_timeout);
  auto* call = NewCall<cache::v1::InvalidateRequest, cache::v1::InvalidateResponse>(
      plan, NodeOf(*plan.view, plan.any_node, name_space, key), name_space, &AsyncStub::Invalidate,
      CallKind::kWrite);
  call->request().set_key(key.data(), key.size());
  StartWrite(call, std::move(done));
}

void Client::Impl::Touch(std::string_view name_space, std::string_view key, absl::Duration ttl,
                         const CallOptions& options, WriteCallback done) {
  if (auto wrong = CheckCall(name_space, options)) {
    return done(Failed<WriteResult>(std::move(wrong)));
  }
  const Plan plan = PlanCall(options, options_.set_timeout);
  auto* call = NewCall<cache::v1::TouchRequest, cache::v1::TouchResponse>(
      plan, NodeOf(*plan.view, plan.any_node, name_space, key), name_space, &AsyncStub::Touch,
      CallKind::kWrite);
  call->request().set_key(key.data(), key.size());
  call->request().set_ttl_ms(TtlToProto(ttl));
  StartWrite(call, std::move(done));
}

void Client::Impl::BatchGet(std::string_view name_space, std::span<const std::string_view> keys,
                            const GetOptions& options, BatchGetCallback done) {
  if (keys.empty()) return done({});
  if (auto wrong = CheckCall(name_space, options)) {
    return done(AllFailed<GetResult>(keys.size(), wrong));
  }
  const Plan plan = PlanCall(options, options_.batch_timeout);
  std::vector<BatchPart> parts = SplitKeys(plan.view->table, name_space, plan.any_node, keys);
  auto answer = NewAnswer<GetResult>(keys.size(), parts.size(), std::move(done));
  for (BatchPart& part : parts) {
    auto* call = NewCall<cache::v1::BatchGetRequest, cache::v1::BatchGetResponse>(
        plan, part.node, name_space, &AsyncStub::BatchGet, CallKind::kRead);
    call->request().mutable_keys()->Reserve(static_cast<int>(part.positions.size()));
    for (const uint32_t position : part.positions) {
      call->request().add_keys(keys[position].data(), keys[position].size());
    }
    call->request().set_allocated_options(ToProto(options).release());
    call->Start(PutPart<cache::v1::BatchGetResponse>(answer, std::move(part.positions)));
  }
}

void Client::Impl::BatchSet(std::string_view name_space, std::vector<SetItem> items,
                            const CallOptions& options, BatchWriteCallback done) {
  if (items.empty()) return done({});
  if (auto wrong = CheckCall(name_space, options)) {
    return done(AllFailed<WriteResult>(items.size(), wrong));
  }
  const Plan plan = PlanCall(options, options_.batch_timeout);
  BatchSplitter splitter(plan.view->table, name_space, plan.any_node);
  std::vector<WriteResult> refused(items.size());
  std::vector<uint32_t> sent;  // The entries that can be sent, by their place in the splitter.
  for (uint32_t i = 0; i < items.size(); ++i) {
    if (auto wrong = CheckItem(items[i])) {
      refused[i] = Failed<WriteResult>(std::move(wrong));
      continue;
    }
    splitter.Add(items[i].key, WireBytes(items[i]));
    sent.push_back(i);
  }
  if (sent.empty()) return done(std::move(refused));
  std::vector<BatchPart> parts = splitter.Take();
  auto answer = NewAnswer<WriteResult>(items.size(), parts.size(), std::move(done));
  answer->results = std::move(refused);
  for (BatchPart& part : parts) {
    for (uint32_t& position : part.positions) position = sent[position];
    const bool conditional =
        std::any_of(part.positions.begin(), part.positions.end(),
                    [&](uint32_t position) { return IsConditional(items[position]); });
    auto* call = NewCall<cache::v1::BatchSetRequest, cache::v1::BatchSetResponse>(
        plan, part.node, name_space, &AsyncStub::BatchSet,
        conditional ? CallKind::kConditionalWrite : CallKind::kWrite);
    for (const uint32_t position : part.positions) {
      ToProto(std::move(items[position]), call->request().add_entries());
    }
    call->Start(PutPart<cache::v1::BatchSetResponse>(answer, std::move(part.positions)));
  }
}

void Client::Impl::BatchInvalidate(std::string_view name_space,
                                   std::span<const std::string_view> keys,
                                   const CallOptions& options, BatchWriteCallback done) {
  if (keys.empty()) return done({});
  if (auto wrong = CheckCall(name_space, options)) {
    return done(AllFailed<WriteResult>(keys.size(), wrong));
  }
  const Plan plan = PlanCall(options, options_.batch_timeout);
  std::vector<BatchPart> parts = SplitKeys(plan.view->table, name_space, plan.any_node, keys);
  auto answer = NewAnswer<WriteResult>(keys.size(), parts.size(), std::move(done));
  for (BatchPart& part : parts) {
    auto* call = NewCall<cache::v1::BatchInvalidateRequest, cache::v1::BatchInvalidateResponse>(
        plan, part.node, name_space, &AsyncStub::BatchInvalidate, CallKind::kWrite);
    for (const uint32_t position : part.positions) {
      call->request().add_keys(keys[position].data(), keys[position].size());
    }
    call->Start(PutPart<cache::v1::BatchInvalidateResponse>(answer, std::move(part.positions)));
  }
}

}  // namespace meridian
