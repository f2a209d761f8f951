// A unary call of CacheService, for its handlers: cache_service.cc has those that read,
// cache_service_writes.cc those that write.

#ifndef MERIDIAN_SERVER_RPC_CACHE_CALL_H_
#define MERIDIAN_SERVER_RPC_CACHE_CALL_H_

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/node/dependencies.h"
#include "server/node/entry_proto.h"
#include "server/node/key_form.h"
#include "server/rpc/cache_service.h"
#include "server/rpc/call_timing.h"

namespace meridian {

// One call: when it began, how it ends, what is counted. Owned by the callbacks that answer it.
class CacheServiceHandlers::Call {
 public:
  Call(CacheServiceHandlers& service, grpc::CallbackServerContext* context, RpcMethod method,
       std::string name_space)
      : service_(service),
        context_(*context),
        reactor_(context->DefaultReactor()),
        method_(method),
        name_space_(std::move(name_space)),
        began_(service.context_.clock.Monotonic()) {
    const absl::Time now = service.context_.clock.Now();
    read.deadline = write.deadline = DeadlineOf(*context, now);
    read.name_space = write.name_space = name_space_;
  }

  // Until Finish.
  const grpc::CallbackServerContext& context() const { return context_; }
  grpc::ServerUnaryReactor* reactor() const { return reactor_; }

  void Finish(const grpc::Status& status) {
    // Nobody waits for a read that warms; `read` has its options once they were found to be valid.
    if (read.options.warm_source.empty()) {
      service_.metrics_.OnCall(method_, name_space_, status.error_code(),
                               service_.context_.clock.Monotonic() - began_);
    }
    reactor_->Finish(status);
  }
  grpc::ServerUnaryReactor* Refuse(const Error& error) {
    grpc::ServerUnaryReactor* reactor = reactor_;  // Finish may end this object's last use.
    Finish(ToGrpcStatus(error));
    return reactor;
  }

  // Takes the policies for the whole call. From now on keys are taken in the form in which the
  // namespace caches them. REQUIRES: the namespace's name is valid.
  void PrepareKeys() {
    const Namespace* name_space = service_.context_.namespaces.Resolve(name_space_);
    if (name_space == nullptr) return;
    read.policies = write.policies = &policies_.emplace(name_space->policies());
    policy_ = &policies_->base();  // Keys are formed before their slot is known.
    if (FormsKeys(*policy_)) former_ = name_space;
  }
  bool forms_keys() const { return former_ != nullptr; }
  const KeyPolicy& key_policy() const {
    static constexpr KeyPolicy kAsTheyAre;
    return policy_ != nullptr ? policy_->key : kAsTheyAre;
  }

  // The key as it is cached.
  std::string_view Formed(std::string_view key) {
    if (former_ == nullptr) return key;
    const std::string_view formed = FormKey(policy_->key, key, &forms_.emplace_back());
    renames_ |= formed != key;
    return formed;
  }
  // Whether some key is cached under another name than the caller's: by that name events tell of
  // it.
  bool renames_keys() const { return renames_; }
  // True, and counted, when the caller's key is not to be cached.
  bool Bypasses(std::string_view key) {
    if (former_ == nullptr || !IsBypassed(*policy_, key)) return false;
    former_->counters.bypassed.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  // Of a key that is in its form.
  void AddSet(const cache::v1::SetEntry& entry, std::string_view key) {
    WriteItem& item = write.items.emplace_back(FromProto(entry, WriteKind::kSet));
    item.key = key;
    if (forms_keys()) FormDependencies(policy_->key, &item.depends_on);
  }
  grpc::ServerUnaryReactor* Succeed() {
    grpc::ServerUnaryReactor* reactor = reactor_;
    Finish(grpc::Status::OK);
    return reactor;
  }

  ReadRequest read;
  WriteRequest write;
  std::vector<int> indexes;  // Of a batch: which entry each item of `write` is.

 private:
  CacheServiceHandlers& service_;
  const grpc::CallbackServerContext& context_;
  grpc::ServerUnaryReactor* const reactor_;
  const RpcMethod method_;
  const std::string name_space_;
  const absl::Duration began_;
  const Namespace* former_ = nullptr;  // Set when its policy forms keys.
  bool renames_ = false;
  std::optional<SlotPolicies> policies_;
  const NamespacePolicy* policy_ = nullptr;
  std::deque<std::string> forms_;  // What formed keys point into.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_CACHE_CALL_H_
