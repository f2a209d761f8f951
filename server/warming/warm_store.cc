#include "server/warming/warm_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace meridian {
namespace {

constexpr char kDocumentKey[] = "warm/state";
constexpr absl::Duration kRetry = absl::Milliseconds(200);

std::string TextKey(const std::string& id) { return absl::StrCat("warm/keys/", id); }

}  // namespace

WarmStore::WarmStore(std::string lease, LeaseStore& store, Executor& executor, Hooks hooks)
    : lease_(std::move(lease)), store_(store), executor_(executor), hooks_(std::move(hooks)) {}

void WarmStore::Lead(uint64_t token) {
  token_ = token;
  ++generation_;
  dirty_ = false;
  writing_ = false;
  texts_.clear();
  sent_.clear();
  std::vector<Done> unanswered = std::move(told_);
  for (Done& done : waiting_) unanswered.push_back(std::move(done));
  told_.clear();
  waiting_.clear();
  for (const Done& done : unanswered) {
    done(absl::UnavailableError("NOT_LEADER: this coordinator does not lead any more"));
  }
}

void WarmStore::Load(Loaded loaded) {
  store_.GetValue(kDocumentKey, [this, executor = &executor_, generation = generation_,
                                 loaded](absl::StatusOr<std::optional<std::string>> value) {
    executor->Post([this, generation, loaded, value = std::move(value)] {
      if (generation == generation_) loaded(value);
    });
  });
}

void WarmStore::LoadText(const std::string& id, TextLoaded loaded) {
  store_.GetValue(TextKey(id), [this, executor = &executor_, generation = generation_,
                                loaded](absl::StatusOr<std::optional<std::string>> value) {
    executor->Post([this, generation, loaded, value = std::move(value)] {
      if (generation != generation_) return;
      if (!value.ok()) return loaded(value.status());
      loaded(value->has_value() ? WarmText::FromJsonText(**value) : std::nullopt);
    });
  });
}

bool WarmStore::IsStored(const std::string& id) const {
  for (const auto* texts : {&texts_, &sent_}) {
    const auto it = texts->find(id);
    if (it != texts->end() && it->second.has_value()) return false;
  }
  return true;
}

void WarmStore::Save(Done done) {
  if (token_ == 0) {
    if (done) done(absl::UnavailableError("NOT_LEADER: this coordinator does not lead"));
    return;
  }
  dirty_ = true;
  if (done) waiting_.push_back(std::move(done));
  Write();
}

void WarmStore::Write() {
  if (writing_ || !dirty_ || token_ == 0) return;
  writing_ = true;
  dirty_ = false;
  told_ = std::exchange(waiting_, {});
  sent_ = std::exchange(texts_, {});
  std::vector<FencedWrite> writes = {{kDocumentKey, hooks_.document()}};
  for (const auto& [id, text] : sent_) writes.push_back({TextKey(id), text});
  store_.PutAllFenced(
      lease_, token_, std::move(writes),
      [this, executor = &executor_, generation = generation_](absl::Status status) {
        executor->Post([this, generation, status] { HandleWritten(generation, status); });
      });
}

void WarmStore::HandleWritten(uint64_t generation, const absl::Status& status) {
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
    texts_.insert(sent_.begin(), sent_.end());  // What changed since wins.
    executor_.PostAfter(kRetry, [this, generation] {
      if (generation == generation_) Write();
    });
  }
  sent_.clear();
  for (const Done& done : std::exchange(told_, {})) done(status);
  if (!status.ok()) return;
  Write();
  hooks_.on_stored();
}

}  // namespace meridian
