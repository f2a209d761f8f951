#include "server/rpc/admin_service.h"

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "common/rpc/failed_reactors.h"
#include "common/rpc/topology_proto.h"
#include "server/node/entry_proto.h"
#include "server/node/hottest_keys.h"
#include "server/node/key_form.h"
#include "server/node/limits.h"
#include "server/node/namespace_what_if.h"
#include "server/rpc/call_timing.h"
#include "server/rpc/cancellable_call.h"
#include "server/rpc/explain_everywhere.h"
#include "server/rpc/node_report.h"
#include "server/rpc/staleness_proto.h"

namespace meridian {
namespace {

grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

const std::string& KeyOf(const admin::v1::KeyRef& ref) {
  return ref.has_key_bytes() ? ref.key_bytes() : ref.key();
}

// A key as the policy in force has it cached: operators give keys as clients do, or as cached.
struct CachedKey {
  std::string key;
  bool is_bypassed = false;
};

std::optional<Error> FormKeyRef(const NodeContext& context, const admin::v1::KeyRef& ref,
                                CachedKey* cached) {
  if (auto error = limits::CheckNamespace(ref.namespace_())) {
    error->details.field = "key.namespace";
    return error;
  }
  const std::shared_ptr<const PolicyTable> policies = context.namespaces.policies();
  const NamespacePolicy& policy = policies->Of(ref.namespace_());
  std::string storage;
  cached->key =
      ref.as_cached() ? KeyOf(ref) : std::string(FormKey(policy.key, KeyOf(ref), &storage));
  cached->is_bypassed = IsBypassed(policy, KeyOf(ref));
  return limits::CheckKey(cached->key, ref.has_key_bytes() ? "key.key_bytes" : "key.key");
}

constexpr size_t kMaxCutReasonBytes = 256;
constexpr uint64_t kDrainMs = 30'000;
constexpr uint64_t kMaxDrainMs = 600'000;
constexpr int kMaxWhatIfs = 4;
constexpr uint64_t kMaxWhatIfTtlMs = uint64_t{365} * 24 * 3600 * 1000;

void FillWhatIf(const NamespaceWhatIf& result, admin::v1::WhatIfResponse* response) {
  response->set_hit_rate(result.answer.hit_rate);
  response->set_replayed_hit_rate(result.answer.replayed_hit_rate);
  response->set_predicted_hit_rate(result.answer.predicted_hit_rate);
  response->set_requests(result.answer.requests);
  response->set_sample_rate(result.sample_rate);
  response->set_span_ms(MsOf(result.span));
  response->set_present_max_entries(result.present.max_entries);
  response->set_present_max_bytes(result.present.max_bytes);
  response->set_present_policy(result.present.policy);
  response->set_present_ttl_ms(MsOf(result.present_ttl));
}

}  // namespace

AdminServiceHandlers::AdminServiceHandlers(const NodeContext& context, WritePath& writes,
                                           Explainer& explainer, Executor& background,
                                           AdminSources sources)
    : context_(context),
      writes_(writes),
      explainer_(explainer),
      background_(background),
      sources_(std::move(sources)) {}

grpc::ServerUnaryReactor* AdminServiceHandlers::GetStatus(Context* context,
                                                          const admin::v1::GetStatusRequest*,
                                                          admin::v1::GetStatusResponse* response) {
  FillStatus(context_, sources_, response);
  return Done(context);
}

grpc::ServerUnaryReactor* AdminServiceHandlers::GetFigures(
    Context* context, const admin::v1::GetFiguresRequest*,
    admin::v1::GetFiguresResponse* response) {
  FillFigures(context_, sources_, response);
  return Done(context);
}

grpc::ServerUnaryReactor* AdminServiceHandlers::GetAnalytics(
    Context* context, const admin::v1::GetAnalyticsRequest* request,
    admin::v1::GetAnalyticsResponse* response) {
  if (!request->namespace_().empty()) {
    if (const auto error = limits::CheckNamespace(request->namespace_())) {
      return FailUnary(context, ToGrpcStatus(*error));
    }
  }
  *response = AnalyticsOfNode(context_, sources_, request->namespace_());
  return Done(context);
}

grpc::ServerUnaryReactor* AdminServiceHandlers::GetRing(Context* context,
                                                        const admin::v1::GetRingRequest*,
                                                        admin::v1::GetRingResponse* response) {
  const TopologyHolder::Snapshot topology = context_.topology.Get();
  response->set_epoch(topology->epoch());
  response->set_region(sources_.region);
  std::vector<uint32_t> slots(topology->members().size());
  uint64_t weight = 0;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    if (topology->OwnerIndex(slot) != Topology::kNoOwner) ++slots[topology->OwnerIndex(slot)];
  }
  for (const Member& member : topology->members()) {
    if (member.state == MemberState::kServing) weight += member.weight;
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    const Member& member = topology->members()[i];
    admin::v1::RingMember* row = response->add_members();
    ToProto(member, row->mutable_member());
    row->set_slots(slots[i]);
    if (weight > 0) {
      row->set_load(static_cast<double>(slots[i]) * static_cast<double>(weight) /
                    (static_cast<double>(kSlotCount) * member.weight));
    }
  }
  return Done(context);
}

grpc::ServerUnaryReactor* AdminServiceHandlers::ExplainKey(
    Context* context, const admin::v1::ExplainKeyRequest* request,
    admin::v1::ExplainKeyResponse* response) {
  CachedKey cached;
  if (auto error = FormKeyRef(context_, request->key(), &cached)) {
    return FailUnary(context, ToGrpcStatus(*error));
  }
  const std::string& name_space = request->key().namespace_();
  const std::string& key = cached.key;
  const TopologyHolder::Snapshot topology = context_.topology.Get();
  const uint32_t slot = SlotOf(name_space, key);
  const Member* owner = topology->OwnerOf(slot);
  response->set_slot(slot);
  response->set_epoch(topology->epoch());
  response->set_region(sources_.region);
  response->set_l2_key(absl::StrCat("m:{", slot, "}:e:", name_space, ":", absl::CHexEscape(key)));
  if (key != KeyOf(request->key())) response->set_cached_key(absl::CHexEscape(key));
  response->set_bypassed(cached.is_bypassed);
  if (owner != nullptr) {
    response->set_owner(owner->id);
    response->set_owner_address(owner->data_address);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::Time deadline = DeadlineOf(*context, context_.clock.Now());
  ExplainEverywhere(context_, explainer_, topology, name_space, key, deadline, response,
                    [reactor](const grpc::Status& status) { reactor->Finish(status); });
  return reactor;
}

grpc::ServerUnaryReactor* AdminServiceHandlers::InvalidateKey(
    Context* context, const admin::v1::InvalidateKeyRequest* request,
    admin::v1::InvalidateKeyResponse* response) {
  auto cached = std::make_shared<CachedKey>();
  if (auto error = FormKeyRef(context_, request->key(), cached.get())) {
    return FailUnary(context, ToGrpcStatus(*error));
  }
  if (auto error = limits::CheckWritableNamespace(request->key().namespace_())) {
    error->details.field = "key.namespace";
    return FailUnary(context, ToGrpcStatus(*error));
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto write = std::make_shared<WriteRequest>();
  write->name_space = request->key().namespace_();
  WriteItem item;
  item.kind = WriteKind::kInvalidate;
  item.key = cached->key;
  write->items.push_back(std::move(item));
  write->deadline = DeadlineOf(*context, context_.clock.Now());
  writes_.Write(*write, [write, cached, response, reactor](std::vector<WriteResult> results) {
    if (results[0].state == EntryState::kError) {
      reactor->Finish(ToGrpcStatus(*results[0].error));
      return;
    }
    ToProto(results[0], response->mutable_result());
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* AdminServiceHandlers::FlushL1(Context* context,
                                                        const admin::v1::FlushL1Request* request,
                                                        admin::v1::FlushL1Response* response) {
  if (!request->confirm()) {
    ErrorDetails details;
    details.field = "confirm";
    return FailUnary(context,
                     MakeError(grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid,
                               "this makes the node cold; say confirm: true", std::move(details)));
  }
  response->set_dropped_entries(context_.engine.Clear());
  return Done(context);
}

grpc::ServerUnaryReactor* AdminServiceHandlers::SetLogLevel(
    Context* context, const admin::v1::SetLogLevelRequest* request,
    admin::v1::SetLogLevelResponse* response) {
  absl::StatusOr<std::string> previous = sources_.set_log_level(request->level());
  if (!previous.ok()) {
    Error error = FromStatus(previous.status());
    error.reason = reason::kFieldInvalid;
    error.details.field = "level";
    return FailUnary(context, ToGrpcStatus(error));
  }
  response->set_previous_level(*std::move(previous));
  return Done(context);
}

grpc::ServerUnaryReactor* AdminServiceHandlers::ListPolicies(
    Context* context, const admin::v1::ListPoliciesRequest*,
    admin::v1::ListPoliciesResponse* response) {
  const std::shared_ptr<const PolicyTable> policies = context_.namespaces.policies();
  for (const auto& [name, policy] : policies->named()) {
    admin::v1::Policy* row = response->add_policies();
    row->set_namespace_(name);
    row->set_yaml(policy.ToYaml());
  }
  admin::v1::Policy* row = response->add_policies();
  row->set_namespace_("*");
  row->set_yaml(policies->fallback().ToYaml());
  if (const std::optional<PolicyStoreStatus> store = sources_.policies()) {
    response->set_file(store->file);
    response->set_loaded_unix_ms(static_cast<uint64_t>(absl::ToUnixMillis(store->loaded_at)));
    response->set_problem(store->problem);
  }
  return Done(context);
}

grpc::ServerUnaryReactor* AdminServiceHandlers::GetReplication(
    Context* context, const admin::v1::GetReplicationRequest*,
    admin::v1::GetReplicationResponse* response) {
  FillLinks(sources_, response->mutable_links());
  return Done(context);
}

grpc::ServerUnaryReactor* AdminServiceHandlers::ListHotKeys(
    Context* context, const admin::v1::ListHotKeysRequest* request,
    admin::v1::ListHotKeysResponse* response) {
  if (request->limit() > limits::kMaxHotKeys) {
    ErrorDetails details;
    details.field = "limit";
    return FailUnary(context, MakeError(grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid,
                                        absl::StrCat("limit: ", request->limit(), " is more than ",
                                                     limits::kMaxHotKeys),
                                        std::move(details)));
  }
  if (!request->namespace_().empty()) {
    if (const auto error = limits::CheckNamespace(request->namespace_())) {
      return FailUnary(context, ToGrpcStatus(*error));
    }
  }
  const size_t limit = request->limit() == 0 ? limits::kDefaultHotKeys : request->limit();
  for (const HotKey& key :
       HottestKeys(context_.namespaces, request->namespace_(), limit, context_.clock.Monotonic())) {
    admin::v1::HotKey* row = response->add_keys();
    row->set_namespace_(key.name_space);
    row->set_key(absl::CHexEscape(key.key));
    row->set_rate(key.per_second);
  }
  return Done(context);
}
grpc::ServerUnaryReactor* AdminServiceHandlers::Drain(Context* context,
                                                      const admin::v1::DrainRequest* request,
                                                      admin::v1::DrainResponse* response) {
  if (request->timeout_ms() > kMaxDrainMs) {
    ErrorDetails details;
    details.field = "timeout_ms";
    return FailUnary(context, MakeError(grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid,
                                        absl::StrCat("timeout_ms: ", request->timeout_ms(),
                                                     " is more than ", kMaxDrainMs),
                                        std::move(details)));
  }
  const uint64_t timeout_ms = request->timeout_ms() == 0 ? kDrainMs : request->timeout_ms();
  return CancellableCall::Start([this, timeout_ms, response](const CancellableCall::End& end) {
    const auto drained = [this, end, response,
                          before = sources_.handed_off()](const absl::Status& status) {
      response->set_handed_off_entries(sources_.handed_off() - before);
      end(status.ok() ? grpc::Status::OK : ToGrpcStatus(FromStatus(status)));
    };
    return sources_.drain(absl::Milliseconds(timeout_ms), drained);
  });
}
grpc::ServerUnaryReactor* AdminServiceHandlers::WhatIf(Context* context,
                                                       const admin::v1::WhatIfRequest* request,
                                                       admin::v1::WhatIfResponse* response) {
  if (const auto error = limits::CheckNamespace(request->namespace_())) {
    return FailUnary(context, ToGrpcStatus(*error));
  }
  if (request->ttl_ms() > kMaxWhatIfTtlMs) {
    ErrorDetails details;
    details.field = "ttl_ms";
    return FailUnary(context, MakeError(grpc::StatusCode::INVALID_ARGUMENT, reason::kTtlOutOfRange,
                                        "ttl_ms is longer than a year", std::move(details)));
  }
  if (what_ifs_.fetch_add(1) >= kMaxWhatIfs) {
    what_ifs_.fetch_sub(1);
    return FailUnary(context, MakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, reason::kOverloaded,
                                        absl::StrCat(kMaxWhatIfs,
                                                     " what-if questions are under way; ask "
                                                     "again in a second")));
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  background_.Post([this, request, response, reactor] {
    CacheShape asked;
    asked.max_entries = request->max_entries();
    asked.max_bytes = request->max_bytes();
    asked.ttl = absl::Milliseconds(static_cast<int64_t>(request->ttl_ms()));
    asked.policy = request->policy();
    const std::variant<NamespaceWhatIf, Error> result =
        AskWhatIf(context_, request->namespace_(), asked);
    what_ifs_.fetch_sub(1);
    if (const Error* error = std::get_if<Error>(&result)) {
      reactor->Finish(ToGrpcStatus(*error));
      return;
    }
    FillWhatIf(std::get<NamespaceWhatIf>(result), response);
    response->set_node(context_.node_id);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}
grpc::ServerUnaryReactor* AdminServiceHandlers::SetReplicationCut(
    Context* context, const admin::v1::SetReplicationCutRequest* request,
    admin::v1::SetReplicationCutResponse* response) {
  if (sources_.set_cut == nullptr) {
    return FailUnary(context,
                     MakeError(grpc::StatusCode::FAILED_PRECONDITION, reason::kNoOtherRegion,
                               "this node does not replicate to any region"));
  }
  if (request->reason().size() > kMaxCutReasonBytes) {
    ErrorDetails details;
    details.field = "reason";
    return FailUnary(context,
                     MakeError(grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid,
                               absl::StrCat("a reason of ", request->reason().size(),
                                            " bytes; at most ", kMaxCutReasonBytes, " are allowed"),
                               std::move(details)));
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  response->set_from(sources_.region);
  sources_.set_cut(
      request->region(), request->cut(), request->reason(), [reactor](const absl::Status& status) {
        reactor->Finish(status.ok() ? grpc::Status::OK : ToGrpcStatus(FromStatus(status)));
      });
  return reactor;
}
grpc::ServerUnaryReactor* AdminServiceHandlers::DiffRegions(
    Context* context, const admin::v1::DiffRegionsRequest* request,
    admin::v1::DiffRegionsResponse* response) {
  if (sources_.diff == nullptr) {
    return FailUnary(context,
                     MakeError(grpc::StatusCode::FAILED_PRECONDITION, reason::kNoOtherRegion,
                               "this node has no regional store to compare"));
  }
  if (diffing_.exchange(true)) {
    return FailUnary(context, MakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, reason::kOverloaded,
                                        "this node compares regions already"));
  }
  RegionDiffOptions options;
  options.regions.assign(request->regions().begin(), request->regions().end());
  options.repair = request->repair();
  options.spread_doubtful = request->spread_doubtful();
  options.cancelled = [context] { return context->IsCancelled(); };
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  sources_.diff(std::move(options), [this, reactor, response](RegionDiffResult result) {
    diffing_ = false;
    response->set_differing_keys(result.differing_keys);
    response->set_compared_keys(result.compared_keys);
    response->set_differing_slots(result.differing_slots);
    response->set_repaired_keys(result.repaired_keys);
    response->set_doubtful_keys(result.doubtful_keys);
    for (std::string& example : result.examples) response->add_examples(std::move(example));
    if (result.status.ok()) {
      reactor->Finish(grpc::Status::OK);
    } else {
      reactor->Finish(ToGrpcStatus(FromStatus(result.status)));
    }
  });
  return reactor;
}
grpc::ServerUnaryReactor* AdminServiceHandlers::GetStaleness(
    Context* context, const admin::v1::GetStalenessRequest* request,
    admin::v1::GetStalenessResponse* response) {
  if (!sources_.staleness) return Done(context);
  FillStaleness(sources_.staleness(), request->namespace_(), response);
  return Done(context);
}

}  // namespace meridian
