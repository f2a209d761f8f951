#include "server/replication/withheld_marks.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace meridian {
namespace {

bool IsWithheld(LogPosition mark) { return mark.ms != 0 && mark.sequence % 2 == 0; }

}  // namespace

// No region has a '/' in its name.
WithheldMarks::WithheldMarks(std::string_view target_region, L2Store& own, TaskGate gate,
                             const Clock& clock, absl::Duration timeout, Found found)
    : name_(absl::StrCat(ToAbsl(target_region), "/withheld")),
      own_(own),
      gate_(std::move(gate)),
      clock_(clock),
      timeout_(timeout),
      found_(std::move(found)),
      backoff_({.initial = absl::Milliseconds(100), .max = absl::Seconds(5)}) {}

void WithheldMarks::Load(SlotTicket ticket) {
  to_load_[ticket.slot] = ticket.generation;
  // After the other slots that are gained now.
  if (!std::exchange(loading_, true)) gate_.Post([this] { LoadAll(); });
}

void WithheldMarks::Forget(uint32_t slot) {
  to_load_.erase(slot);
  marks_.erase(slot);
}

void WithheldMarks::LoadAll() {
  loading_ = !to_load_.empty();
  if (!loading_) return;
  std::vector<uint32_t> slots;
  for (const auto& [slot, generation] : to_load_) slots.push_back(slot);
  own_.FetchCursors(name_, std::move(slots), clock_.Now() + timeout_,
                    gate_.Reply<absl::StatusOr<std::vector<LogPosition>>>(
                        [this, asked = to_load_](const auto& marks) { Loaded(asked, marks); }));
}

void WithheldMarks::Loaded(const std::map<uint32_t, uint64_t>& asked,
                           const absl::StatusOr<std::vector<LogPosition>>& marks) {
  if (!marks.ok()) {
    gate_.PostAfter(backoff_.Next(0.5), [this] { LoadAll(); });
    return;
  }
  backoff_.Reset();
  std::vector<SlotTicket> withheld;
  auto mark = marks->begin();
  for (const auto& [slot, generation] : asked) {
    const LogPosition found = *mark++;
    const auto it = to_load_.find(slot);
    if (it == to_load_.end() || it->second != generation) continue;
    to_load_.erase(it);
    marks_[slot] = std::max(marks_[slot], found);
    if (IsWithheld(marks_[slot])) withheld.push_back({slot, generation});
  }
  LoadAll();
  for (const SlotTicket& ticket : withheld) found_(ticket);
}

bool WithheldMarks::Says(uint32_t slot, bool withheld) const {
  const auto it = marks_.find(slot);
  return it != marks_.end() && IsWithheld(it->second) == withheld;
}

void WithheldMarks::Set(const std::map<uint32_t, bool>& withheld,
                        std::function<void(absl::Status)> done) {
  struct Call {
    Marks marks;
    size_t open;
    std::function<void(absl::Status)> done;
  };
  auto call = std::make_shared<Call>(Call{{}, withheld.size(), std::move(done)});
  const uint64_t now = static_cast<uint64_t>(absl::ToUnixMillis(clock_.Now()));
  for (const auto& [slot, value] : withheld) {
    // Cursors never go back, and the last owner's clock may have been ahead.
    const auto known = marks_.find(slot);
    const uint64_t after = known == marks_.end() ? 0 : known->second.ms;
    call->marks[slot] = {std::max(now, after + 1), value ? 0u : 1u};
  }
  for (const auto& [slot, mark] : call->marks) {
    own_.ApplyReplicated(name_, slot, mark, {}, clock_.Now() + timeout_,
                         gate_.Reply<std::vector<L2WriteResult>>(
                             [this, call](const std::vector<L2WriteResult>&) {
                               if (--call->open == 0) ReadBack(call->marks, call->done);
                             }));
  }
}

// A call that moves nothing but a cursor does not say how it ended.
void WithheldMarks::ReadBack(const Marks& written, std::function<void(absl::Status)> done) {
  std::vector<uint32_t> slots;
  for (const auto& [slot, mark] : written) slots.push_back(slot);
  own_.FetchCursors(
      name_, std::move(slots), clock_.Now() + timeout_,
      gate_.Reply<absl::StatusOr<std::vector<LogPosition>>>(
          [this, written, done = std::move(done)](const auto& marks) {
            if (!marks.ok()) return done(marks.status());
            absl::Status status;
            auto there = marks->begin();
            for (const auto& [slot, mark] : written) {
              marks_[slot] = *there++;
              if (IsWithheld(marks_[slot]) == IsWithheld(mark)) continue;
              status = absl::UnavailableError("a mark of withheld values was not written");
            }
            done(status);
          }));
}

}  // namespace meridian
