#include "server/refill/hand_off_sender.h"

#include <algorithm>
#include <utility>

#include "common/base/hash.h"
#include "server/node/absence.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

constexpr uint16_t kNoTarget = UINT16_MAX;
// What ends within that is not worth the way.
constexpr absl::Duration kShortestLife = absl::Milliseconds(200);
// What a message takes for an entry, beyond its bytes, about.
constexpr size_t kEntryOverhead = 64;

}  // namespace

HandOffSender::HandOffSender(HandOffSenderOptions options, const NodeContext& context,
                             HandOffTransport& transport, TaskGate gate)
    : options_(options), context_(context), transport_(transport), gate_(std::move(gate)) {}

void HandOffSender::Begin(TopologyHolder::Snapshot planned, Done done) {
  ++run_;
  planned_ = std::move(planned);
  done_ = std::move(done);
  until_ = context_.clock.Monotonic() + options_.deadline;
  ready_until_ = context_.clock.Monotonic() + options_.ready_deadline;
  walk_until_ = context_.clock.Monotonic() + options_.walk_deadline;
  target_of_.assign(kSlotCount, kNoTarget);
  wanted_.assign(kSlotCount, false);
  targets_.clear();
  candidates_ = {};
  kept_ = coldest_ = hottest_ = 0;
  open_ = 0;
  taken_ = 0;
  place_ = {};
  walked_ = sending_ = false;
  for (const uint32_t slot : context_.topology.Get()->SlotsOf(context_.node_id)) {
    const Member* const next = planned_->OwnerOf(slot);
    if (next == nullptr || next->id == context_.node_id) continue;
    const auto known = std::find_if(targets_.begin(), targets_.end(),
                                    [next](const Target& one) { return one.member == next; });
    target_of_[slot] = static_cast<uint16_t>(known - targets_.begin());
    if (known == targets_.end()) targets_.push_back({next});
    wanted_[slot] = true;
  }
  if (targets_.empty()) return End();
  for (size_t i = 0; i < targets_.size(); ++i) AskReady(i);
  // Whoever does not answer, and whatever is not heard: nobody waits for longer.
  gate_.PostAfter(options_.deadline, [this, run = run_] {
    if (run == run_ && done_ != nullptr) End();
  });
  Walk();
}

bool HandOffSender::IsLate() const { return context_.clock.Monotonic() >= until_; }

void HandOffSender::End() {
  candidates_ = {};
  if (Done done = std::exchange(done_, nullptr)) done(taken_);
}

void HandOffSender::AskReady(size_t target) {
  transport_.HandOff(
      *targets_[target].member, planned_->epoch(), {}, context_.clock.Now() + options_.timeout,
      gate_.Reply<absl::StatusOr<uint64_t>>(
          [this, run = run_, target](const absl::StatusOr<uint64_t>& answer) {
            if (run != run_ || done_ == nullptr) return;
            const absl::Duration now = context_.clock.Monotonic();
            if (answer.ok()) {
              targets_[target].ready_at = now;
            } else if (absl::IsUnimplemented(answer.status()) || now >= ready_until_) {
              targets_[target].gone = true;
            } else {
              gate_.PostAfter(options_.retry, [this, run, target] {
                if (run == run_ && done_ != nullptr) AskReady(target);
              });
              return;
            }
            MaybeSend();
          }));
}

void HandOffSender::Walk() {
  const absl::Duration now = context_.clock.Monotonic();
  std::vector<ResidentKey> keys;
  const bool more = context_.engine.Walk(&place_, options_.walk_buckets, wanted_, now, &keys);
  for (ResidentKey& key : keys) {
    Entry entry;
    const EntryKey name{key.name_space, key.slot, context_.engine.HashOf(key.name_space, key.key),
                        key.key};
    if (!context_.engine.Peek(name, now, &entry)) continue;
    Keep({std::move(key.key), key.name_space, static_cast<uint16_t>(key.slot)}, entry.hits);
  }
  if (more && now < walk_until_) {
    gate_.Post([this, run = run_] {
      if (run == run_ && done_ != nullptr) Walk();
    });
    return;
  }
  walked_ = true;
  names_ = context_.engine.NamespaceNames();
  MaybeSend();
}

void HandOffSender::Keep(Candidate candidate, uint8_t hits) {
  if (options_.max_keys == 0) return;
  if (kept_ == options_.max_keys) {
    if (hits <= coldest_) return;
    std::vector<Candidate>& coldest = candidates_[coldest_];
    coldest.pop_back();
    if (coldest.empty()) coldest = {};  // With its memory.
    --kept_;
    while (coldest_ < hits && candidates_[coldest_].empty()) ++coldest_;
  }
  coldest_ = kept_ == 0 ? hits : std::min<size_t>(coldest_, hits);
  hottest_ = std::max<size_t>(hottest_, hits);
  candidates_[hits].push_back(std::move(candidate));
  ++kept_;
}

std::optional<std::pair<HandOffSender::Candidate, uint8_t>> HandOffSender::TakeHottest() {
  if (kept_ == 0) return std::nullopt;
  while (candidates_[hottest_].empty()) --hottest_;
  Candidate hottest = std::move(candidates_[hottest_].back());
  candidates_[hottest_].pop_back();
  --kept_;
  return std::make_pair(std::move(hottest), static_cast<uint8_t>(hottest_));
}

void HandOffSender::OnCaughtUp(absl::Duration at) {
  caught_up_ = at;
  if (done_ != nullptr) MaybeSend();
}

void HandOffSender::MaybeSend() {
  if (!walked_ || sending_) return;
  bool any = false;
  for (const Target& target : targets_) {
    if (target.gone) continue;
    if (!target.ready_at || caught_up_ <= *target.ready_at) return;
    any = true;
  }
  if (!any) return End();
  sending_ = true;
  send_at_ = context_.clock.Monotonic();
  Send();
}

std::optional<HandOffItem> HandOffSender::Read(const Candidate& candidate, uint8_t hits) const {
  const absl::Duration now = context_.clock.Monotonic();
  const EntryKey name{candidate.name_space, candidate.slot,
                      context_.engine.HashOf(candidate.name_space, candidate.key), candidate.key};
  const std::string& name_space = names_[candidate.name_space - 1];
  Entry entry;
  if (IsInternalNamespace(name_space) || !context_.Follows(candidate.slot) ||
      !context_.engine.Peek(name, now, &entry)) {
    return std::nullopt;
  }
  const Namespace* const known = context_.namespaces.Resolve(name_space);
  if (known == nullptr || !IsToldOf(*known->policy())) return std::nullopt;
  // What is older for fences than its version (touched, or made of others) cannot be told so.
  if (IsAbsence(entry) || entry.written != 0 || entry.value.size() > options_.max_value_bytes) {
    return std::nullopt;
  }
  // The way takes some of it: it must not outlive the copy in L2. What it takes longer the receiver
  // sees by the clocks.
  const absl::Duration ttl = entry.expires_at - now - options_.timeout;
  if (ttl < kShortestLife) return std::nullopt;
  return HandOffItem{name_space,
                     candidate.key,
                     entry.value,
                     entry.version,
                     ttl,
                     hits,
                     std::string(entry.tags.view()),
                     entry.encoding,
                     entry.raw_size};
}

void HandOffSender::Send() {
  std::vector<std::vector<HandOffItem>> batches(targets_.size());
  size_t bytes = 0;
  size_t keys = 0;
  size_t looked = 0;
  while (looked < options_.look_keys && bytes < options_.batch_bytes &&
         keys < options_.batch_keys) {
    const auto hottest = TakeHottest();
    if (!hottest) break;
    ++looked;
    const auto& [candidate, hits] = *hottest;
    const size_t target = target_of_[candidate.slot];
    if (targets_[target].gone) continue;
    std::optional<HandOffItem> item = Read(candidate, hits);
    if (!item) continue;
    bytes += kEntryOverhead + item->key.size() + item->value.size() + item->tags.size();
    ++keys;
    batches[target].push_back(*std::move(item));
  }
  if (looked == 0 || IsLate()) return End();
  if (keys == 0) {  // Much is gone since; others have their turn.
    gate_.Post([this, run = run_] {
      if (run == run_ && done_ != nullptr) Send();
    });
    return;
  }
  const absl::Duration now = context_.clock.Monotonic();
  send_at_ = std::max(send_at_, now) +
             absl::Seconds(static_cast<double>(bytes) / options_.bytes_per_second);
  for (const auto& batch : batches) open_ += batch.empty() ? 0 : 1;
  for (size_t i = 0; i < batches.size(); ++i) {
    if (batches[i].empty()) continue;
    const size_t items = batches[i].size();
    transport_.HandOff(*targets_[i].member, planned_->epoch(), std::move(batches[i]),
                       context_.clock.Now() + options_.timeout,
                       gate_.Reply<absl::StatusOr<uint64_t>>(
                           [this, run = run_, i, items](const absl::StatusOr<uint64_t>& taken) {
                             if (run == run_ && done_ != nullptr) Sent(i, items, taken);
                           }));
  }
}

void HandOffSender::Sent(size_t target, size_t items, const absl::StatusOr<uint64_t>& taken) {
  if (taken.ok()) taken_ += *taken;
  // It is gone, has another plan, or no room.
  if (!taken.ok() || *taken < items / 2) targets_[target].gone = true;
  if (--open_ > 0) return;
  if (IsLate()) return End();
  const absl::Duration wait = send_at_ - context_.clock.Monotonic();
  gate_.PostAfter(std::max(wait, absl::ZeroDuration()), [this, run = run_] {
    if (run == run_ && done_ != nullptr) Send();
  });
}

}  // namespace meridian
