#include "client/cpp/client_impl.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/cpp/check.h"
#include "client/cpp/lease_rounds.h"
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

std::string_view KeyOf(const cache::v1::SetRequest& request) { return request.entry().key(); }
std::string_view KeyOf(const cache::v1::InvalidateRequest& request) { return request.key(); }
std::string_view KeyOf(const cache::v1::TouchRequest& request) { return request.key(); }
std::string_view KeyOf(const cache::v1::BatchSetRequest& request, int i) {
  return request.entries(i).key();
}
std::string_view KeyOf(const cache::v1::BatchInvalidateRequest& request, int i) {
  return request.keys(i);
}

// What the near cache keeps of an answered part: of reads, the values.
void KeepAll(const BatchAnswer<GetResult>& answer, const std::vector<uint32_t>& positions,
             const cache::v1::BatchGetRequest& request, const cache::v1::BatchGetResponse& response,
             const std::vector<NearReads::Token>& tokens) {
  for (size_t i = 0; i < positions.size(); ++i) {
    const int index = static_cast<int>(i);
    answer.near->Keep(request.namespace_(), request.keys(index), tokens[i], response.header(),
                      response.entries(index), answer.results[positions[i]]);
  }
}
template <typename Request, typename Response>
void KeepAll(const BatchAnswer<WriteResult>&, const std::vector<uint32_t>&, const Request&,
             const Response&, const std::vector<NearReads::Token>&) {}

// What it is told of a part, answered or failed: of writes, the keys.
void TellWrites(const BatchAnswer<GetResult>&, const std::vector<uint32_t>&,
                const cache::v1::BatchGetRequest&) {}
template <typename Request>
void TellWrites(const BatchAnswer<WriteResult>& answer, const std::vector<uint32_t>& positions,
                const Request& request) {
  for (size_t i = 0; i < positions.size(); ++i) {
    answer.near->Wrote(request.namespace_(), KeyOf(request, static_cast<int>(i)),
                       answer.results[positions[i]]);
  }
}

// What to do with the answer to one part of a batch.
// `request` is the call's, and lives as long; `tokens` are of its keys.
template <typename Response, typename Request, typename Result>
auto PutPart(std::shared_ptr<BatchAnswer<Result>> answer, std::vector<uint32_t> positions,
             const Request* request, std::vector<NearReads::Token> tokens = {}) {
  return [answer = std::move(answer), positions = std::move(positions), request,
          tokens = std::move(tokens)](const Error* error, Response* response) {
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
      if (answer->near != nullptr) KeepAll(*answer, positions, *request, *response, tokens);
    } else {
      const std::shared_ptr<const ResultError> shared = ToResultError(*error);
      for (const uint32_t position : positions) {
        answer->results[position] = Failed<Result>(shared);
      }
    }
    if (answer->near != nullptr) TellWrites(*answer, positions, *request);
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
  size_t bytes = item.key.size() + item.value.size() + item.state_hint.size() + item.lease.size() +
                 kFramingBytes;
  for (const std::string& tag : item.tags) bytes += tag.size() + 4;
  for (const std::string& name : item.depends_on) bytes += name.size() + 4;
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
  call->Start([near = near_.get(), request = &call->request(), done = std::move(done)](
                  const Error* error, Response* response) {
    WriteResult result;
    if (error != nullptr) {
      result = Failed<WriteResult>(ToResultError(*error));
    } else {
      FromProto(response->mutable_result(), &result);
    }
    if (near != nullptr) near->Wrote(request->namespace_(), KeyOf(*request), result);
    done(std::move(result));
  });
}

uint16_t Client::Impl::NodeForGet(const Plan& plan, std::string_view name_space,
                                  std::string_view key, const GetOptions& options) {
  const bool spreads =
      MaySpread(options) && hot_spread_.Spreads(name_space, key, clock_.Monotonic());
  return spreads ? plan.view->table.AnyNode(hot_spread_.NextTurn())
                 : NodeOf(*plan.view, plan.any_node, name_space, key);
}

void Client::Impl::Get(std::string_view name_space, std::string_view key, const GetOptions& options,
                       GetCallback done) {
  if (auto wrong = CheckCall(name_space, options)) {
    return done(Failed<GetResult>(std::move(wrong)));
  }
  const Plan plan = PlanCall(options, options_.get_timeout);
  auto* call = NewCall<cache::v1::GetRequest, cache::v1::GetResponse>(
      plan, NodeForGet(plan, name_space, key, options), name_space, &AsyncStub::Get,
      CallKind::kRead);
  call->request().set_key(key.data(), key.size());
  call->request().set_allocated_options(ToProto(options).release());
  call->request().mutable_header()->set_session(options.session);
  NearReads* const near = MayKeep(name_space, options) ? near_.get() : nullptr;
  NearReads::Token token;
  if (near != nullptr) {
    call->request().mutable_options()->set_for_near_cache(true);
    token = near->Begin(name_space, key);
  }
  call->Start([near, token, request = &call->request(), done = std::move(done)](
                  const Error* error, cache::v1::GetResponse* response) {
    GetResult result;
    if (error != nullptr) {
      result = Failed<GetResult>(ToResultError(*error));
    } else {
      FromProto(response->mutable_entry(), &result);
      if (near != nullptr) {
        near->Keep(request->namespace_(), request->key(), token, response->header(),
                   response->entry(), result);
      }
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
  NoteSet(name_space, item);
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
  NoteWrite(name_space, key);
  const Plan plan = PlanCall(options, options_.set_timeout);
  auto* call = NewCall<cache::v1::InvalidateRequest, cache::v1::InvalidateResponse>(
      plan, NodeOf(*plan.view, plan.any_node, name_space, key), name_space, &AsyncStub::Invalidate,
      CallKind::kWrite);
  call->request().set_key(key.data(), key.size());
  StartWrite(call, std::move(done));
}

void Client::Impl::InvalidateMany(
    std::string_view name_space, const CallOptions& options,
    const std::function<void(cache::v1::InvalidateRequest&)>& set_target, WriteCallback done) {
  if (auto wrong = CheckCall(name_space, options)) {
    return done(Failed<WriteResult>(std::move(wrong)));
  }
  const Plan plan = PlanCall(options, options_.batch_timeout);
  auto* call = NewCall<cache::v1::InvalidateRequest, cache::v1::InvalidateResponse>(
      plan, plan.any_node, name_space, &AsyncStub::Invalidate, CallKind::kWrite);
  set_target(call->request());
  if (call->request().has_key()) NoteWrite(name_space, call->request().key());
  call->Start([near = near_.get(), request = &call->request(), done = std::move(done)](
                  const Error* error, cache::v1::InvalidateResponse* response) {
    WriteResult result;
    if (error != nullptr) {
      result = Failed<WriteResult>(ToResultError(*error));
    } else {
      FromProto(response->mutable_result(), &result);
      result.unconfirmed_nodes.assign(response->unconfirmed_nodes().begin(),
                                      response->unconfirmed_nodes().end());
    }
    if (near != nullptr) near->Fenced(*request, result);
    done(std::move(result));
  });
}

void Client::Impl::Touch(std::string_view name_space, std::string_view key, absl::Duration ttl,
                         const CallOptions& options, WriteCallback done) {
  if (auto wrong = CheckCall(name_space, options)) {
    return done(Failed<WriteResult>(std::move(wrong)));
  }
  NoteWrite(name_space, key);
  const Plan plan = PlanCall(options, options_.set_timeout);
  auto* call = NewCall<cache::v1::TouchRequest, cache::v1::TouchResponse>(
      plan, NodeOf(*plan.view, plan.any_node, name_space, key), name_space, &AsyncStub::Touch,
      CallKind::kWrite);
  call->request().set_key(key.data(), key.size());
  call->request().set_ttl_ms(TtlToProto(ttl));
  StartWrite(call, std::move(done));
}

void Client::Impl::BatchGet(std::string_view name_space, std::span<const std::string_view> keys,
                            const GetOptions& options, Spread spread, BatchGetCallback done) {
  if (keys.empty()) return done({});
  if (auto wrong = CheckCall(name_space, options)) {
    return done(AllFailed<GetResult>(keys.size(), wrong));
  }
  const Plan plan = PlanCall(options, options_.batch_timeout);
  NearReads* const near = MayKeep(name_space, options) ? near_.get() : nullptr;
  std::vector<GetResult> results(keys.size());
  std::vector<uint32_t> asked;  // Of the keys, when the near cache has some.
  BatchSplitter splitter(plan.view->table, name_space, plan.any_node);
  const bool may_spread = spread != Spread::kNone && MaySpread(options);
  const absl::Duration now = may_spread ? clock_.Monotonic() : absl::ZeroDuration();
  std::optional<uint16_t> hot_node;  // One for all hot keys of the batch.
  for (uint32_t i = 0; i < keys.size(); ++i) {
    if (near != nullptr) {
      if (near->Get(name_space, keys[i], options, &results[i])) continue;
      asked.push_back(i);
    }
    const size_t bytes = keys[i].size() + kFramingBytes;
    if (may_spread && Spreads(spread, name_space, keys[i], keys.size(), now)) {
      if (!hot_node) hot_node = plan.view->table.AnyNode(hot_spread_.NextTurn());
      splitter.AddTo(*hot_node, bytes);
    } else {
      splitter.Add(keys[i], bytes);
    }
  }
  if (near != nullptr && asked.empty()) return done(std::move(results));
  std::vector<BatchPart> parts = splitter.Take();
  if (parts.size() > 1 && LeaseRounds::Waits(options)) {
    return std::make_shared<LeaseRounds>(*this, name_space, keys, options, std::move(done))
        ->Start();
  }
  auto answer = NewAnswer<GetResult>(keys.size(), parts.size(), std::move(done));
  answer->results = std::move(results);
  answer->near = near;
  for (BatchPart& part : parts) {
    if (near != nullptr) {
      for (uint32_t& position : part.positions) position = asked[position];
    }
    auto* call = NewCall<cache::v1::BatchGetRequest, cache::v1::BatchGetResponse>(
        plan, part.node, name_space, &AsyncStub::BatchGet, CallKind::kRead);
    call->request().mutable_keys()->Reserve(static_cast<int>(part.positions.size()));
    std::vector<NearReads::Token> tokens;
    for (const uint32_t position : part.positions) {
      call->request().add_keys(keys[position].data(), keys[position].size());
      if (near != nullptr) tokens.push_back(near->Begin(name_space, keys[position]));
    }
    call->request().set_allocated_options(ToProto(options).release());
    call->request().mutable_header()->set_session(options.session);
    call->request().mutable_options()->set_for_near_cache(near != nullptr);
    call->Start(PutPart<cache::v1::BatchGetResponse>(answer, std::move(part.positions),
                                                     &call->request(), std::move(tokens)));
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
    NoteSet(name_space, items[i]);
    splitter.Add(items[i].key, WireBytes(items[i]));
    sent.push_back(i);
  }
  if (sent.empty()) return done(std::move(refused));
  std::vector<BatchPart> parts = splitter.Take();
  auto answer = NewAnswer<WriteResult>(items.size(), parts.size(), std::move(done));
  answer->results = std::move(refused);
  answer->near = near_.get();
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
    call->Start(
        PutPart<cache::v1::BatchSetResponse>(answer, std::move(part.positions), &call->request()));
  }
}

void Client::Impl::BatchInvalidate(std::string_view name_space,
                                   std::span<const std::string_view> keys,
                                   const CallOptions& options, BatchWriteCallback done) {
  if (keys.empty()) return done({});
  if (auto wrong = CheckCall(name_space, options)) {
    return done(AllFailed<WriteResult>(keys.size(), wrong));
  }
  for (const std::string_view key : keys) NoteWrite(name_space, key);
  const Plan plan = PlanCall(options, options_.batch_timeout);
  std::vector<BatchPart> parts = SplitKeys(plan.view->table, name_space, plan.any_node, keys);
  auto answer = NewAnswer<WriteResult>(keys.size(), parts.size(), std::move(done));
  answer->near = near_.get();
  for (BatchPart& part : parts) {
    auto* call = NewCall<cache::v1::BatchInvalidateRequest, cache::v1::BatchInvalidateResponse>(
        plan, part.node, name_space, &AsyncStub::BatchInvalidate, CallKind::kWrite);
    for (const uint32_t position : part.positions) {
      call->request().add_keys(keys[position].data(), keys[position].size());
    }
    call->Start(PutPart<cache::v1::BatchInvalidateResponse>(answer, std::move(part.positions),
                                                            &call->request()));
  }
}

}  // namespace meridian
