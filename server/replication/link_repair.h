// LinkRepair mends slots of which changes were trimmed from the changelog before the other region
// got them: it walks through the own store, compares versions with the target's, and sends what is
// newer, tombstones included (docs/adr/0010).
//
// Promise: when a slot is reported as mended, the target has every record of it that was in the own
//   store when its pass began, or a newer one; unless it was lost at the target since. An error of
//   either store keeps the place: the same page is asked for again, so that a repair of hours ends
//   whatever hiccups there are. What the target may have lost (L2Store::Generation, or cursors that
//   are behind) is compared in one pass more. Only a walk that cannot go on begins anew: the own
//   store has gone back to an older state, or says so (kAborted), as one that was restarted or has
//   another primary. A pass that finds nothing to send moves versions only.
// A key that the target refuses for its own sake (IsAboutTheWrite) is counted, and what is older
// over
//   there goes; one whose drop is refused as well is left as it is. A page that is refused again
//   and again for another reason is sent key by key: one that is refused alone as well, while its
//   slot takes another write right after it, is left out in the same way; for want of memory only
//   after several such rounds, because memory comes and goes. So no key holds up the others, and a
//   store that refuses everything is waited for.
// What does not cross in time is sent in smaller parts, down to one key, which has more time; so is
// what the own store does not give out in time asked for (FetchPace).
// A slot whose cursor is older than tombstones are kept is fenced: what the target has from before
//   that time and the own store has not was deleted or forgotten here, and leaves the target.
// What the own store has from before that time and the target has not may have been deleted over
//   there, and forgotten. It is sent when no log of another region names its key with a newer
//   version among what this region was not told (docs/adr/0014); when one does, it is overtaken,
//   and forgotten here, too. Where a log has a hole, the slot waits to be told, at most for
//   `listen_for`; then such values are forgotten. When a region that may know of a delete does not
//   answer, they are kept and not sent, and their slots are compared again when it does.
// That time moves on during a pass, which may be long, or wait out a cut: what was asked is asked
// again once a minute, and decides the pages that follow. While this machine's clock is off no pass
// goes on: the time would be wrong.
// Cost: one page of the walk at a time, at most `keys_per_second` keys of the whole store; one pass
//   serves all slots that wait.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_LINK_REPAIR_H_
#define MERIDIAN_SERVER_REPLICATION_LINK_REPAIR_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/version.h"
#include "common/resilience/backoff.h"
#include "server/node/clock_guard.h"
#include "server/node/l2_store.h"
#include "server/policy/namespace_policy.h"
#include "server/replication/fetch_pace.h"
#include "server/replication/hearing.h"
#include "server/replication/link_backlog.h"
#include "server/replication/link_pace.h"
#include "server/replication/task_gate.h"
#include "server/replication/withheld_marks.h"

namespace meridian {

struct LinkRepairOptions {
  double keys_per_second = 20'000;  // Looked at, of the whole own store.
  size_t page_keys = 500;
  size_t fetch_keys = 64;  // Whole records that are moved together.
  absl::Duration tombstone_ttl = absl::Hours(24);
  absl::Duration listen_for = absl::Minutes(1);       // At most tombstone_ttl.
  absl::Duration listen_interval = absl::Seconds(1);  // Up to 5 of them where to ask takes long.
  // Whether a silent region answers: after 1 s, 2 s and so on up to this.
  absl::Duration ask_again_interval = absl::Seconds(10);
  HearingLimits hearing;
  absl::Duration timeout = absl::Seconds(5);
  BackoffOptions backoff{.initial = absl::Milliseconds(100), .max = absl::Seconds(5)};
};

struct LinkRepairStatus {
  size_t slots = 0;              // Not mended yet.
  uint64_t compared_total = 0;   // Keys.
  uint64_t sent_total = 0;       // Of them, those that the target did not have so new,
  uint64_t filled_total = 0;     // and those that filled slots of which it never had anything.
  uint64_t mended_total = 0;     // Slots.
  uint64_t forgotten_total = 0;  // Keys: dropped here: overtaken, or perhaps deleted there.
  uint64_t withheld_total = 0;   // Keys: kept and not sent, perhaps deleted; again in each pass.
  // Keys: a store does not take what is newer, or it cannot be read; again in each pass.
  uint64_t refused_total = 0;
  std::string problem;  // Why it waits; empty: it does not.
};

class LinkRepair {
 public:
  using ModeOf = std::function<ReplicationMode(std::string_view name_space)>;
  using Mended = std::function<void(SlotTicket)>;

  // Of a slot that is compared for another reason than its cursor: no reason to fence it.
  static constexpr LogPosition kNoCursor = {std::numeric_limits<int64_t>::max(), 0};

  // No reference is owned; all outlive this.
  LinkRepair(LinkRepairOptions options, std::string own_region, const std::string& target_region,
             L2Store& source, L2Store& target, const Hearing& hearing, TaskGate gate,
             const Clock& clock, const ClockGuard& clock_guard, ModeOf mode_of, Mended mended);

  // Mends the slot, in a pass that begins after this call. `cursor` is what the target had.
  // `memory_lost`: the own store came back from before the time from which tombstones are kept, and
  // may lack deletes of its own.
  void Add(SlotTicket ticket, LogPosition cursor, bool memory_lost = false);
  // The same for a slot of which the target never had anything, as far as this node knows: what it
  // lacks was not lost.
  void Fill(SlotTicket ticket);
  // The slot is this node's now: it is compared when its last owner kept something back.
  void Gained(SlotTicket ticket) { marks_.Load(ticket); }
  // The slot is somebody else's now.
  void Remove(uint32_t slot);
  // The target lacks what it had: what it was sent in this pass may be gone, too. Not needed where
  // its Generation says so.
  void TargetLost();

  LinkRepairStatus Status() const;

 private:
  // What is walked through: the own store for what is newer here, then, when a slot must be fenced,
  // the target for what is only there.
  enum class Walk { kSource, kTarget };
  // Whether what is here from before the horizon may have been deleted elsewhere.
  enum class Doubt { kNone, kNotTold, kNobodyAnswers };
  // Drops what is older of a key here.
  struct Forgotten {
    L2Key key;
    Version up_to;
  };
  struct Slot {
    uint64_t generation = 0;
    LogPosition cursor;
    bool memory_lost = false;
    bool fills = false;
    absl::Duration listens_until;  // Monotonic.
    bool in_pass = false;
    Doubt doubt = Doubt::kNone;  // As of horizon_.
    std::string listens_to;      // The region whose word it waits for; empty: none.
    std::string silent;          // The region that does not answer, or did not the last time.
    bool withheld = false;       // Something was kept back for it in this pass.
  };
  // A slot that was compared but for what is kept back until a region answers.
  struct Withheld {
    uint64_t generation = 0;
    std::string silent;
  };
  // Keys of one page that are in a slot of the pass, on their way.
  struct Page {
    size_t walked = 0;  // Keys of the page, wanted or not: what the rate counts.
    std::string next;
    std::vector<L2Key> keys;
    std::vector<Version> here;
    std::vector<size_t> to_send;  // Of `keys`.
    std::vector<Forgotten> to_forget;
    size_t forgotten = 0;  // Of `to_forget`.
    size_t sent = 0;       // Of `to_send`.
    size_t open = 0;       // Calls to the target under way.
    size_t moved = 0;      // Their keys.
    absl::Status failure;  // Of one of them.
  };

  void Add(SlotTicket ticket, LogPosition cursor, bool memory_lost, bool fills);
  std::string WaitsFor() const;
  void BeginPass();
  // Finds the horizon, and what was told before it; then the walk goes on.
  void Hear();
  bool IsHearingOld() const;
  void Heard(Hearing::Answer answer);
  // Of the regions that were silent: do they answer now?
  void AskAgain();
  void AskAgainLater();
  void Answers(const std::string& region);
  void BeginWalk(Walk walk);
  void ReadPage(bool heard_now = false);
  void Compare(const std::shared_ptr<Page>& page);
  void SendNext(const std::shared_ptr<Page>& page);
  void Fetched(const std::shared_ptr<Page>& page, const std::vector<L2Key>& keys,
               const std::vector<Version>& versions, const std::vector<L2Record>& records);
  bool SendsFromSource(const L2Key& key, Version here, Version there,
                       std::vector<Forgotten>* to_forget);
  // nullopt: nothing of the key is newer than `here` that this region was not told.
  std::optional<Forgotten> OvertakenBy(const L2Key& key, Version here) const;
  void ForgetNext(const std::shared_ptr<Page>& page);
  void Apply(const std::shared_ptr<Page>& page, std::vector<L2Write> writes, bool drops = false);
  void AppliedTo(const std::shared_ptr<Page>& page, const std::vector<Forgotten>& written,
                 bool drops, const std::vector<L2WriteResult>& results);
  // Drops what is older than what the target did not take.
  void DropRefused(const std::shared_ptr<Page>& page);
  // Of one call of a store, the target unless `own`, whose last key was `key`. Goes on with `next`,
  // or, after it has given the key up, with `given_up`, or fails the page.
  void Applied(bool own, const L2Key& key, const absl::Status& status, Executor::Task next,
               Executor::Task given_up);
  // Counts what is applied or refused; why the page must be sent again, or OK.
  absl::Status Count(const std::vector<L2WriteResult>& results, uint64_t* applied);
  // Where keys of the slot are counted that the target took.
  uint64_t* TotalOf(uint32_t slot);
  // Whether the slot takes a write now.
  void Probe(bool own, uint32_t slot, std::function<void(bool)> done);
  bool IsAlone() const;
  bool IsLeftOut(const L2Key& key) const {
    return !left_out_.empty() && left_out_.count({key.name_space, key.key}) > 0;
  }
  void FinishPage(const Page& page);
  // Forgets what was found out about the keys of the page, which is not asked for again.
  void ForgetPage();
  void FinishPass();
  // Of the slots of the pass, those whose mark is wrong, and what it must say.
  std::map<uint32_t, bool> WrongMarks() const;
  bool SourceWentBack() const { return source_.Generation() != source_generation_; }
  // The same page, again.
  void SourceFailed(const absl::Status& status);
  void TargetFailed(const absl::Status& status);
  void ScanFailed(const absl::Status& status);
  void RetryLater(Executor::Task next);
  // Of regions of which nothing is withheld any more, nor waits to be compared again.
  void ForgetCompared();

  Version Fence() const;
  bool IsFenced(const Slot& slot) const;
  bool NeedsFence() const;
  bool SendsValues(const L2Key& key) const {
    return mode_of_(key.name_space) != ReplicationMode::kInvalidateOnly;
  }
  absl::Time Deadline() const { return clock_.Now() + options_.timeout; }

  const LinkRepairOptions options_;
  const std::string own_region_;
  L2Store& source_;
  L2Store& target_;
  const Hearing& hearing_;
  const TaskGate gate_;
  const Clock& clock_;
  const ClockGuard& clock_guard_;
  const ModeOf mode_of_;
  const Mended mended_;

  std::map<uint32_t, Slot> slots_;
  std::map<uint32_t, Withheld> withheld_;
  WithheldMarks marks_;
  bool asks_again_ = false;  // AskAgain is due.
  uint64_t asks_ = 0;        // Times that it was, since something was withheld last.
  // By silent region: how often its slots were compared because it had answered, while something of
  // it was withheld all the time.
  std::map<std::string, int> compared_again_;
  bool running_ = false;  // A pass runs: exactly one continuation of it is waiting somewhere.
  // Generations of the stores when the pass began, and of the target when the walk through it did.
  uint64_t source_generation_ = 0;
  uint64_t target_generation_ = 0;
  uint64_t walked_generation_ = 0;
  Walk walk_ = Walk::kSource;
  std::string from_;      // Where the walk goes on.
  FetchPace fetch_pace_;  // Of the records that are asked for.
  LinkPace pace_;         // Keys that are moved together, and the time that they have.
  int refused_alone_ = 0;
  int page_refusals_ = 0;  // How often this page was refused for what may be its keys' sake.
  // Of this page, by namespace and key: how often in a row it was refused alone, while its slot
  // took another write; others may be taken in between. And such that are left out.
  std::map<std::pair<std::string, std::string>, int> alone_refusals_;
  std::set<std::pair<std::string, std::string>> left_out_;
  // Of this page, by the target: what is older goes. Kept until that is done, however often the
  // page is asked for.
  std::vector<Forgotten> refused_;
  absl::Time horizon_;       // What is older may have been deleted without a trace.
  absl::Duration asked_at_;  // Monotonic: when it was asked what was told before horizon_.
  NamedKeys untold_;         // What the answer was.
  Backoff backoff_;
  std::minstd_rand random_;
  uint64_t compared_total_ = 0;
  uint64_t sent_total_ = 0;
  uint64_t filled_total_ = 0;
  uint64_t mended_total_ = 0;
  uint64_t forgotten_total_ = 0;
  uint64_t withheld_total_ = 0;
  uint64_t refused_total_ = 0;
  std::string problem_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_LINK_REPAIR_H_
