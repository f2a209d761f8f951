#include "server/node/fence_path.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/node/routing.h"

namespace meridian {
namespace {

// One node that does not answer must not use up the time of the others.
constexpr absl::Duration kMaxAsking = absl::Seconds(1);

}  // namespace

// One invalidation. Lives until its last part has come back.
class FencePath::Call : public std::enable_shared_from_this<FencePath::Call> {
 public:
  Call(const NodeContext& context, FenceRequest request, bool local,
       std::function<void(FenceResult)> callback)
      : context_(context),
        deadline_(request.deadline - kReplyMargin),
        topology_(context.topology.Get()),
        callback_(std::move(callback)) {
    fence_.name_space = std::move(request.name_space);
    fence_.scope = request.scope;
    fence_.name = std::move(request.name);
    fence_.local = local;
  }

  void AskClocks() {
    if (const absl::Status clock = context_.CheckClock(); !clock.ok()) return Fail(clock);
    AskAll(
        [this](const Member& member, absl::Time deadline, PeerTransport::AnswerCallback done) {
          context_.peers.Ping(member, topology_->epoch(), deadline, std::move(done));
        },
        [this] { Store(); });
  }

 private:
  using Ask = std::function<void(const Member&, absl::Time, PeerTransport::AnswerCallback)>;

  // Asks every other node at once, and who turns out to have joined; who does not answer is noted.
  // Then `next`.
  void AskAll(const Ask& ask, std::function<void()> next) {
    asked_.clear();
    AskTheRest(ask, std::move(next));
  }

  void AskTheRest(const Ask& ask, std::function<void()> next) {
    topology_ = context_.topology.Get();
    std::vector<const Member*> others;
    for (const Member& member : topology_->members()) {
      if (member.id != context_.node_id && asked_.insert(member.id).second) {
        others.push_back(&member);
      }
    }
    if (others.empty()) return next();
    {
      absl::MutexLock lock(&mu_);
      pending_ = others.size();
    }
    const absl::Time now = context_.clock.Now();
    const absl::Time until = now + std::min((deadline_ - now) / 3, kMaxAsking);
    for (const Member* member : others) {
      ask(*member, until,
          [self = shared_from_this(), id = member->id, ask, next](PeerAnswer answer) {
            if (self->Take(id, std::move(answer))) self->AskTheRest(ask, next);
          });
    }
  }

  // True for the last of those that were asked.
  bool Take(const std::string& id, PeerAnswer answer) {
    if (answer.topology) context_.topology.Offer(*std::move(answer.topology));
    absl::MutexLock lock(&mu_);
    if (!answer.status.ok()) unconfirmed_.insert(id);
    in_force_ = std::max(in_force_, answer.hlc);
    return --pending_ == 0;
  }

  void Store() {
    fence_.version = context_.versions.Next();
    Apply();
  }

  void Apply() {
    if (context_.l1_only) return Tell();
    context_.l2.Apply({FenceWrite(fence_)}, deadline_,
                      [self = shared_from_this()](std::vector<L2WriteResult> results) {
                        self->Stored(results[0]);
                      });
  }

  void Stored(const L2WriteResult& result) {
    if (!result.status.ok()) return Fail(result.status);
    // Somebody else fences the same: theirs is newer and covers all that this one does.
    if (result.outcome == L2WriteOutcome::kStale) fence_.version = result.stored;
    Tell();
  }

  void Tell() {
    const absl::StatusOr<uint64_t> learned = context_.fences->LearnPushed(fence_);
    if (!learned.ok()) return Fail(learned.status());
    {
      absl::MutexLock lock(&mu_);
      in_force_ = std::max(in_force_, *learned);
    }
    AskAll(
        [this](const Member& member, absl::Time deadline, PeerTransport::AnswerCallback done) {
          context_.peers.PushFence(member, topology_->epoch(), fence_, deadline, std::move(done));
        },
        [this] { Answer(); });
  }

  void Answer() {
    FenceResult answer;
    bool raise = false;
    {
      absl::MutexLock lock(&mu_);
      // A conditional write was judged by what is dead, between a node's answer about its clock and
      // the fence: the fence is made as new as it, once. By now every node knows what is dead.
      if (in_force_ > fence_.version.hlc && !std::exchange(raised_, true)) {
        fence_.version = {in_force_, context_.versions.region()};
        raise = true;
      }
      answer.unconfirmed.assign(unconfirmed_.begin(), unconfirmed_.end());
    }
    if (raise) return Apply();
    answer.result.version = fence_.version;
    if (!answer.unconfirmed.empty()) {
      context_.fences->CountUnconfirmed(answer.unconfirmed.size());
    }
    callback_(std::move(answer));
  }

  void Fail(const absl::Status& status) {
    FenceResult answer;
    SetError(FromStatus(status), &answer.result);
    callback_(std::move(answer));
  }

  const NodeContext& context_;
  const absl::Time deadline_;
  TopologyHolder::Snapshot topology_;  // Of the step that runs.
  Fence fence_;
  std::set<std::string> asked_;  // In the step that runs.
  const std::function<void(FenceResult)> callback_;
  absl::Mutex mu_;
  size_t pending_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t in_force_ ABSL_GUARDED_BY(mu_) = 0;  // The newest clock that a node has it at.
  bool raised_ ABSL_GUARDED_BY(mu_) = false;
  std::set<std::string> unconfirmed_ ABSL_GUARDED_BY(mu_);
};

void FencePath::Invalidate(FenceRequest request, std::function<void(FenceResult)> callback) {
  const Namespace* name_space = context_.namespaces.Resolve(request.name_space);
  if (name_space == nullptr) {
    FenceResult refused;
    SetError(TooManyNamespacesError(request.name_space), &refused.result);
    return callback(std::move(refused));
  }
  name_space->counters.invalidations.fetch_add(1, std::memory_order_relaxed);
  const bool local = name_space->policy()->replication == ReplicationMode::kLocal;
  std::make_shared<Call>(context_, std::move(request), local, std::move(callback))->AskClocks();
}

}  // namespace meridian
