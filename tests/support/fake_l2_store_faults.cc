// What tests do to a FakeL2Store, and look up in it.

#include <deque>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "tests/support/fake_l2_store_state.h"

namespace meridian {

void FakeL2Store::FailNext(absl::Status status, int calls) {
  absl::MutexLock lock(&state_->mu);
  state_->failures.insert(state_->failures.end(), static_cast<size_t>(calls), status);
}

void FakeL2Store::LoseNextReply(absl::Status status, int calls) {
  absl::MutexLock lock(&state_->mu);
  state_->lost_replies.insert(state_->lost_replies.end(), static_cast<size_t>(calls), status);
}

void FakeL2Store::SetAvailable(bool available) {
  absl::MutexLock lock(&state_->mu);
  state_->available = available;
}

void FakeL2Store::SetClockOffset(absl::Duration offset) {
  absl::MutexLock lock(&state_->mu);
  state_->clock_offset = offset;
}

void FakeL2Store::HoldReplies() {
  absl::MutexLock lock(&state_->mu);
  state_->holding = true;
}

void FakeL2Store::HoldNextReply(int calls) {
  absl::MutexLock lock(&state_->mu);
  state_->hold_next = calls;
}

void FakeL2Store::ReleaseReplies() {
  std::vector<std::function<void()>> held;
  {
    absl::MutexLock lock(&state_->mu);
    state_->holding = false;
    state_->hold_next = 0;
    held.swap(state_->held);
  }
  for (const auto& reply : held) reply();
}

void FakeL2Store::AnswerInTasks() {
  absl::MutexLock lock(&state_->mu);
  state_->answers_in_tasks = true;
}

void FakeL2Store::TrimLog(uint32_t slot, size_t keep) {
  absl::MutexLock lock(&state_->mu);
  std::deque<LogEntry>& log = state_->logs[slot];
  while (log.size() > keep) log.pop_front();
}

void FakeL2Store::LoseLog(uint32_t slot) {
  absl::MutexLock lock(&state_->mu);
  state_->logs[slot].clear();
  state_->log_ends[slot] = LogPosition{};
}

std::shared_ptr<const FakeL2Store::Saved> FakeL2Store::Save() const {
  absl::MutexLock lock(&state_->mu);
  return std::make_shared<Saved>(
      Saved{state_->entries, state_->logs, state_->log_ends, state_->cursors});
}

void FakeL2Store::LosePrimary(std::shared_ptr<const Saved> replica) {
  absl::MutexLock lock(&state_->mu);
  state_->replica = std::move(replica);
}

void FakeL2Store::GoBackTo(const Saved& saved, bool noticed) {
  absl::MutexLock lock(&state_->mu);
  state_->entries = saved.entries;
  state_->logs = saved.logs;
  state_->log_ends = saved.log_ends;
  state_->cursors = saved.cursors;
  ++state_->changes;
  if (noticed) ++state_->generation;
}

std::optional<std::string> FakeL2Store::Peek(std::string_view name_space,
                                             std::string_view key) const {
  absl::MutexLock lock(&state_->mu);
  const Stored* stored = state_->Find(name_space, key);
  if (stored == nullptr) return std::nullopt;
  return stored->bytes;
}

void FakeL2Store::Evict(std::string_view name_space, std::string_view key) {
  absl::MutexLock lock(&state_->mu);
  state_->entries.erase({std::string(name_space), std::string(key)});
}

void FakeL2Store::Plant(const L2Key& key, std::string bytes, absl::Duration retention) {
  absl::MutexLock lock(&state_->mu);
  state_->entries[{key.name_space, key.key}] = {std::move(bytes), state_->clock.Now() + retention};
}

}  // namespace meridian
