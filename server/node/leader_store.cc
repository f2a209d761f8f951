#include "server/node/leader_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace meridian {
namespace {

constexpr absl::Duration kRetry = absl::Milliseconds(200);

}  // namespace

LeaderStore::LeaderStore(Names names, LeaseStore& store, Executor& executor, Hooks hooks)
    : names_(std::move(names)), store_(store), executor_(executor), hooks_(std::move(hooks)) {}

std::string LeaderStore::PartKey(const std::string& id) const {
  return absl::StrCat(names_.parts, id);
}

void LeaderStore::Lead(uint64_t token) {
  token_ = token;
  ++generation_;
  dirty_ = false;
  writing_ = false;
  parts_.clear();
  sent_.clear();
  std::vector<Done> unanswered = std::move(told_);
  for (Done& done : waiting_) unanswered.push_back(std::move(done));
  told_.clear();
  waiting_.clear();
  for (const Done& done : unanswered) {
    done(absl::UnavailableError("NOT_LEADER: this coordinator does not lead any more"));
  }
}

void LeaderStore::Read(const std::string& key, Loaded loaded) {
  store_.GetValue(key, [this, executor = &executor_, generation = generation_,
                        loaded](absl::StatusOr<std::optional<std::string>> value) {
    executor->Post([this, generation, loaded, value = std::move(value)] {
      if (generation == generation_) loaded(value);
    });
  });
}

bool LeaderStore::IsStored(const std::string& id) const {
  for (const auto* parts : {&parts_, &sent_}) {
    const auto it = parts->find(id);
    if (it != parts->end() && it->second.has_value()) return false;
  }
  return true;
}

void LeaderStore::Save(Done done) {
  if (token_ == 0) {
    if (done) done(absl::UnavailableError("NOT_LEADER: this coordinator does not lead"));
    return;
  }
  dirty_ = true;
  if (done) waiting_.push_back(std::move(done));
  Write();
}

void LeaderStore::Write() {
  if (writing_ || !dirty_ || token_ == 0) return;
  writing_ = true;
  dirty_ = false;
  told_ = std::exchange(waiting_, {});
  sent_ = std::exchange(parts_, {});
  std::vector<FencedWrite> writes = {{names_.document, hooks_.document()}};
  for (const auto& [id, part] : sent_) writes.push_back({PartKey(id), part});
  store_.PutAllFenced(
      names_.lease, token_, std::move(writes),
      [this, executor = &executor_, generation = generation_](absl::Status status) {
        executor->Post([this, generation, status] { HandleWritten(generation, status); });
      });
}

void LeaderStore::HandleWritten(uint64_t generation, const absl::Status& status) {
  if (generation != generation_) return;
  writing_ = false;
  if (absl::IsFailedPrecondition(status)) {
    const std::string why(status.message());
    StepDown();
    hooks_.on_fenced(why);
    return;
  }
  if (!status.ok()) {
    dirty_ = true;
    parts_.insert(sent_.begin(), sent_.end());  // What changed since wins.
    executor_.PostAfter(kRetry, [this, generation] {
      if (generation == generation_) Write();
    });
  }
  sent_.clear();
  // Before anybody is told, who may save again at once.
  const std::vector<Done> told = std::exchange(told_, {});
  if (status.ok()) hooks_.on_stored();
  for (const Done& done : told) done(status);
  if (status.ok()) Write();
}

}  // namespace meridian
