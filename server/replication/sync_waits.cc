#include "server/replication/sync_waits.h"

#include <algorithm>
#include <utility>

namespace meridian {
namespace {

bool Contains(const std::vector<std::string>& regions, const std::string& region) {
  return std::find(regions.begin(), regions.end(), region) != regions.end();
}

}  // namespace

// Members other than `writes` and `deadline` are touched behind the gate only.
struct SyncWaits::Wait final : SyncReplication::Batch {
  std::vector<Write> writes;
  absl::Time deadline;
  Regions have;
  Regions missed;               // These will not have it.
  std::vector<size_t> indexes;  // Once it is awaited.
  size_t regions = 0;
  Done done;
  bool awaited = false;
  bool registered = false;

  void Answer() {
    if (done == nullptr) return;
    std::vector<std::vector<std::string>> answer;
    for (const size_t index : indexes) answer.push_back(have[index]);
    std::exchange(done, nullptr)(std::move(answer));
  }
  // Nobody else is left: the gate was closed.
  ~Wait() override { Answer(); }
};

SyncWaits::SyncWaits(TaskGate gate, const Clock& clock, std::function<void()> nudge)
    : gate_(std::move(gate)), clock_(clock), nudge_(std::move(nudge)) {}

std::shared_ptr<SyncReplication::Batch> SyncWaits::Expect(std::vector<Write> writes,
                                                          absl::Time deadline) {
  auto wait = std::make_shared<Wait>();
  wait->have.resize(writes.size());
  wait->missed.resize(writes.size());
  wait->writes = std::move(writes);
  wait->deadline = deadline;
  gate_.Post([this, wait] { Register(wait); });
  return wait;
}

void SyncWaits::Register(const std::shared_ptr<Wait>& wait) {
  if (writes_ + wait->writes.size() > kMaxWrites) return;
  wait->registered = true;
  writes_ += wait->writes.size();
  waits_.insert(wait);
  for (size_t i = 0; i < wait->writes.size(); ++i) {
    by_key_[{wait->writes[i].name_space, wait->writes[i].key}].emplace_back(wait, i);
  }
  gate_.PostAfter(wait->deadline - clock_.Now(), [this, wait] { Finish(wait); });
}

void SyncWaits::Await(std::shared_ptr<Batch> batch, std::vector<size_t> indexes, size_t regions,
                      Done done) {
  auto wait = std::static_pointer_cast<Wait>(std::move(batch));
  // Shared: the task may be dropped, and then the destructor answers.
  auto call = std::make_shared<Wait>();
  call->have.resize(wait->writes.size());
  call->indexes = std::move(indexes);
  call->done = std::move(done);
  gate_.Post([this, wait, call, regions] {
    wait->indexes = std::move(call->indexes);
    wait->done = std::exchange(call->done, nullptr);
    wait->regions = regions;
    wait->awaited = true;
    if (!wait->registered || wait->indexes.empty()) return Finish(wait);
    nudge_();
    Look(wait);
  });
}

void SyncWaits::Arrived(const std::string& region, const LogEntry& entry) {
  Note(region, entry, &Wait::have);
}

void SyncWaits::Missed(const std::string& region, const LogEntry& entry) {
  Note(region, entry, &Wait::missed);
}

void SyncWaits::Note(const std::string& region, const LogEntry& entry, Regions Wait::*list) {
  const auto found = by_key_.find({entry.name_space, entry.key});
  if (found == by_key_.end()) return;
  // Looking may finish waits, which changes what was found.
  const std::vector<Waiting> waiting = found->second;
  for (const auto& [wait, index] : waiting) {
    std::vector<std::string>& regions = ((*wait).*list)[index];
    if (wait->writes[index].version > entry.version || Contains(regions, region)) continue;
    regions.push_back(region);
    Look(wait);
  }
}

void SyncWaits::SetReachable(const std::string& region, bool reachable) {
  if (reachable == (reachable_.count(region) > 0)) return;
  if (reachable) {
    reachable_.insert(region);
    return;
  }
  reachable_.erase(region);
  const std::set<std::shared_ptr<Wait>> waits = waits_;
  for (const auto& wait : waits) Look(wait);
}

void SyncWaits::Look(const std::shared_ptr<Wait>& wait) {
  if (!wait->awaited || !wait->registered) return;
  for (const size_t index : wait->indexes) {
    const std::vector<std::string>& have = wait->have[index];
    if (wait->regions > 0 && have.size() >= wait->regions) continue;
    for (const std::string& region : reachable_) {
      if (!Contains(have, region) && !Contains(wait->missed[index], region)) return;
    }
  }
  Finish(wait);
}

void SyncWaits::Finish(const std::shared_ptr<Wait>& wait) {
  if (wait->registered) {
    wait->registered = false;
    writes_ -= wait->writes.size();
    waits_.erase(wait);
    for (const Write& write : wait->writes) {
      const auto found = by_key_.find({write.name_space, write.key});
      if (found == by_key_.end()) continue;
      std::vector<Waiting>& waiting = found->second;
      waiting.erase(std::remove_if(waiting.begin(), waiting.end(),
                                   [&](const Waiting& other) { return other.first == wait; }),
                    waiting.end());
      if (waiting.empty()) by_key_.erase(found);
    }
  }
  if (wait->awaited) wait->Answer();
}

void SyncWaits::AnswerAll() {
  gate_.Post([this] {
    const std::set<std::shared_ptr<Wait>> waits = waits_;
    for (const auto& wait : waits) Finish(wait);
  });
}

}  // namespace meridian
