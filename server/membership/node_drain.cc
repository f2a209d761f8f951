#include "server/membership/node_drain.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

constexpr absl::Duration kStoredInterval = absl::Milliseconds(100);

absl::Status Ending() { return absl::UnavailableError("SHUTTING_DOWN: the node ends already"); }

}  // namespace

NodeDrain::NodeDrain(std::string id, CoordinatorClient& client, RolloutTicket& ticket,
                     TopologyHolder& topology, const Clock& clock, Executor& executor,
                     Unstored unstored)
    : id_(std::move(id)),
      client_(client),
      ticket_(ticket),
      topology_(topology),
      clock_(clock),
      executor_(executor),
      unstored_(std::move(unstored)),
      slots_gone_(topology, id_) {}

std::function<void()> NodeDrain::Start(absl::Duration timeout, Done done) {
  const absl::Status status = Check();
  auto call = std::make_shared<Call>();
  call->until = clock_.Monotonic() + timeout;
  call->done = std::move(done);
  bool aborted = false;
  {
    absl::MutexLock lock(&mu_);
    aborted = aborted_;
    if (!aborted && status.ok()) calls_.insert(call);
  }
  if (aborted || !status.ok()) {
    call->done(aborted ? Ending() : status);
    return [] {};
  }
  AwaitStored(call);
  return [this, call] { Cancel(call); };
}

// Either it has its turn, and goes on, or it is over: never both.
void NodeDrain::Cancel(const CallPtr& call) {
  {
    absl::MutexLock lock(&mu_);
    if (call->its_turn || calls_.erase(call) == 0) return;
  }
  call->done(absl::CancelledError("nobody waits for the drain any more"));
}

bool NodeDrain::TakeTurn(const CallPtr& call) {
  absl::MutexLock lock(&mu_);
  call->its_turn = calls_.count(call) > 0;
  return call->its_turn;
}

// Before it asks for its turn: the store may be away for long, and others may go meanwhile.
void NodeDrain::AwaitStored(const CallPtr& call) {
  const absl::Status stored = CheckStored();
  if (stored.ok()) return AwaitTurn(call);
  if (clock_.Monotonic() >= call->until) return Finish(call, stored);
  executor_.PostAfter(kStoredInterval, [this, call] {
    if (Waits(call)) AwaitStored(call);
  });
}

void NodeDrain::AwaitTurn(const CallPtr& call) {
  ticket_.Await(
      call->until - clock_.Monotonic(), [this, call] { return Waits(call); },
      [this, call](const std::string& why) {
        if (why.empty()) return GiveAway(call);
        Finish(call, absl::DeadlineExceededError(
                         absl::StrCat("NOT_DRAINED: one node restarts at a time: ", why)));
      });
}

void NodeDrain::Abort() {
  std::set<CallPtr> calls;
  {
    absl::MutexLock lock(&mu_);
    aborted_ = true;
    calls.swap(calls_);
  }
  for (const CallPtr& call : calls) call->done(Ending());
}

absl::Status NodeDrain::Check() const {
  const TopologyHolder::Snapshot now = topology_.Get();
  const bool alone =
      std::none_of(now->members().begin(), now->members().end(), [this](const Member& member) {
        return member.id != id_ && member.state == MemberState::kServing;
      });
  if (alone) {
    return absl::FailedPreconditionError(
        "LAST_NODE: no other node of the region serves, nobody would own the slots; start another "
        "one first, or send SIGTERM to end the region's last node");
  }
  if (const CoordinatorClientStatus status = client_.status(); !status.connected) {
    return absl::UnavailableError(absl::StrCat(
        "NO_COORDINATOR: no coordinator answers, so nobody gives the slots to others: ",
        status.problem));
  }
  return absl::OkStatus();
}

// Whoever owns the slots next would serve what these writes have replaced or deleted.
absl::Status NodeDrain::CheckStored() const {
  const size_t unstored = unstored_();
  if (unstored == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      "HINTS_HELD: ", unstored,
      " acknowledged writes wait for the regional Redis in this node's "
      "memory and would be lost; drain it when Redis is back, or end it by SIGTERM without them"));
}

void NodeDrain::GiveAway(const CallPtr& call) {
  if (!TakeTurn(call)) return ticket_.GiveBack();
  // Much may have happened while others had their turn.
  absl::Status status = Check();
  status.Update(CheckStored());
  if (!status.ok()) {
    ticket_.GiveBack();
    return Finish(call, status);
  }
  client_.SetState(MemberState::kDraining);
  slots_gone_.Await([this, call] { Finish(call, absl::OkStatus()); });
  executor_.PostAfter(std::max(kLeastHandover, call->until - clock_.Monotonic()),
                      [this, call] { OnTimeout(call); });
}

void NodeDrain::OnTimeout(const CallPtr& call) {
  if (!Waits(call)) return;
  client_.SetState(MemberState::kServing);
  ticket_.GiveBack();
  Finish(call, absl::DeadlineExceededError(
                   "NOT_DRAINED: nobody has taken the slots over in time; the node serves on; "
                   "again, with more time: --timeout"));
}

void NodeDrain::Finish(const CallPtr& call, const absl::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    if (calls_.erase(call) == 0) return;
  }
  call->done(status);
}

bool NodeDrain::Waits(const CallPtr& call) const {
  absl::MutexLock lock(&mu_);
  return calls_.count(call) > 0;
}

}  // namespace meridian
