// Hand-off against writes, deletes and fences by the old owner, the new one and others, with delays
// that a seed chooses: whatever happens, nobody reads what was overtaken.

#include <cstdlib>
#include <random>

#include "absl/strings/numbers.h"
#include "tests/unit/server/refill/hand_off_world.h"

namespace meridian {
namespace {

constexpr uint32_t kSeeds = 120;
constexpr int kKeys = 12;
constexpr int kSteps = 120;
// What others did is heard of within a poll; what goes through a node itself at once.
constexpr absl::Duration kPoll = absl::Milliseconds(60);

class HandOffRaces : public HandOffWorld {
 public:
  explicit HandOffRaces(uint32_t seed) : random_(seed) {
    store_.AnswerInTasks();
    StartBoth();
    Run(seed);
  }
  void TestBody() override {}
  uint64_t filled() const { return filled_; }

 private:
  // What must not be read any more at a node, from some time on.
  struct Bound {
    absl::Duration from;
    int newest;  // Values that are older are gone.
  };

  void Run(uint32_t seed) {
    keys_ = MovingKeys(kKeys);
    for (const std::string& key : keys_) Set(0, key);
    Pass(absl::Milliseconds(Draw(50)));
    epoch_ = 2;
    bool planned = false;
    for (int step = 0; step < kSteps; ++step) {
      const int what = Draw(100);
      const std::string& key = keys_[static_cast<size_t>(Draw(kKeys))];
      if (what < 12) {
        Set(Owner(), key);
      } else if (what < 20) {
        Delete(Owner(), key);
      } else if (what < 25) {
        SetFromElsewhere(key);
      } else if (what < 27) {
        Fence(Owner());
      } else if (what < 35 && !planned) {
        planned = true;
        ++epoch_;
        Plan(0, epoch_, {"n0", "n1"});
        if (Draw(2) == 0) Pass(absl::Milliseconds(Draw(40)));
        Plan(1, epoch_, {"n0", "n1"});
      } else if (what < 40 && planned && !IsOwner(1)) {
        if (Draw(3) == 0) Pass(absl::Milliseconds(Draw(150)));
        for (int i : Draw(2) == 0 ? std::vector<int>{0, 1} : std::vector<int>{1, 0}) {
          Publish(i, epoch_, {"n0", "n1"});
          owns_since_ = clock_.Monotonic();
          if (Draw(2) == 0) Pass(absl::Milliseconds(Draw(10)));
        }
      } else if (what < 60) {
        Check(Owner(), key, seed);
      } else {
        Some();
      }
    }
    for (const std::string& key : keys_) Check(Owner(), key, seed);
    Pass(absl::Milliseconds(500));
    for (const std::string& key : keys_) Check(Owner(), key, seed);
    filled_ += TakenBy(1, RefillOutcome::kFilled);
  }

  int Draw(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }
  // Some tasks, or some time.
  void Some() {
    // What is handed over takes some polls.
    if (epoch_ == 3 && !IsOwner(1) && Draw(4) == 0) return Pass(absl::Milliseconds(Draw(60)));
    if (Draw(2) == 0) return Pass(absl::Microseconds(Draw(8000)));
    for (int i = Draw(10); i > 0; --i) executor_.RunOne();
  }
  bool IsOwner(int i) { return !node(i).topology().Get()->SlotsOf(absl::StrCat("n", i)).empty(); }
  // Who owns the moving keys, as far as anybody knows.
  int Owner() { return IsOwner(1) ? 1 : 0; }

  void Acknowledged(int at, const std::string& key, int newest, const char* what) {
    happened_[newest] =
        absl::StrCat(what, " by n", at, " at ", absl::FormatDuration(clock_.Monotonic()));
    bounds_[0][key].push_back(
        {clock_.Monotonic() + (at == 0 ? absl::ZeroDuration() : kPoll), newest});
    bounds_[1][key].push_back(
        {clock_.Monotonic() + (at == 1 ? absl::ZeroDuration() : kPoll), newest});
  }
  // Begins it; the steps that follow carry it out, one write at a time.
  void Set(int at, const std::string& key) { Begin(at, key, "set", absl::StrCat(number_ + 1)); }
  void Delete(int at, const std::string& key) { Begin(at, key, "delete", ""); }
  void Begin(int at, const std::string& key, const char* what, const std::string& value) {
    struct Call {
      std::string key;
      std::string value;
      WriteRequest request;
    };
    executor_.RunDue();  // The one before.
    auto call = std::make_shared<Call>();
    call->key = key;
    call->value = value;
    call->request.name_space = kSpace;
    call->request.items.push_back(value.empty() ? InvalidateOf(call->key)
                                                : SetOf(call->key, call->value));
    call->request.deadline = clock_.Now() + absl::Seconds(1);
    const int number = ++number_;
    node(at).writes().Write(
        call->request, [this, call, at, what, number](const std::vector<WriteResult>& results) {
          if (results[0].state == EntryState::kOk) Acknowledged(at, call->key, number, what);
        });
    if (Draw(2) == 0) executor_.RunDue();
  }
  // A link of another region, or a node that goes around the owner.
  void SetFromElsewhere(const std::string& key) {
    executor_.RunDue();
    HybridClock elsewhere(clock_, RegionId("eu"));
    for (int i = 0; i < 2; ++i) (void)elsewhere.Merge(node(i).versions().last());
    L2Write write;
    write.key = {SlotOf(kSpace, key), kSpace, key};
    write.version = elsewhere.Next();
    // A fence covers what nodes know of when it is made.
    for (int i = 0; i < 2; ++i) (void)node(i).versions().Merge(write.version.hlc);
    write.expires_at = clock_.Now() + absl::Hours(1);
    write.retention = absl::Hours(1);
    const std::string value = absl::StrCat(++number_);
    AppendRecord({.version = write.version,
                  .expires_at = write.expires_at,
                  .raw_size = static_cast<uint32_t>(value.size()),
                  .tags = {},
                  .value = value},
                 &write.record);
    bool applied = false;
    store_.Apply({std::move(write)}, clock_.Now() + absl::Seconds(1),
                 [&](const std::vector<L2WriteResult>& results) {
                   applied =
                       results[0].status.ok() && results[0].outcome == L2WriteOutcome::kApplied;
                 });
    executor_.RunDue();
    if (applied) Acknowledged(-1, key, number_, "set");
  }
  void Fence(int at) {
    executor_.RunDue();
    FenceRequest request;
    request.name_space = kSpace;
    request.deadline = clock_.Now() + absl::Seconds(1);
    peers_.SetAsker(&node(at).context());  // Who makes a fence learns how late it is elsewhere.
    bool done = false;
    node(at).fence_path().Invalidate(
        request, [&](const FenceResult& result) { done = result.result.state == EntryState::kOk; });
    executor_.RunDue();
    if (!done) return;
    ++number_;
    for (const std::string& key : keys_) Acknowledged(at, key, number_, "fence");
  }
  void Check(int at, const std::string& key, uint32_t seed) {
    const absl::Duration now = clock_.Monotonic();
    int newest = 0;
    for (const Bound& bound : bounds_[at][key]) {
      if (bound.from <= now) newest = std::max(newest, bound.newest);
    }
    const ReadResult result = ReadOne(node(at), key);
    if (result.state != EntryState::kOk) return;
    int value = 0;
    ASSERT_TRUE(absl::SimpleAtoi(absl::string_view(result.value.view().data(), result.value.size()),
                                 &value));
    EXPECT_GE(value, newest) << key << " at n" << at << ", " << Show(result) << ", seed " << seed
                             << ": " << happened_[newest] << "; now " << absl::FormatDuration(now)
                             << ", owner since " << absl::FormatDuration(owns_since_);
  }

  std::minstd_rand random_;
  std::vector<std::string> keys_;
  std::map<std::string, std::vector<Bound>> bounds_[2];
  uint64_t epoch_ = 2;
  int number_ = 0;
  std::map<int, std::string> happened_;  // By number.
  absl::Duration owns_since_;
  uint64_t filled_ = 0;
};

// One key that was handed over is deleted: at n0, so many tasks after n1 has heard that it owns the
// slot, or at n1, so many after it follows the slot's log. All goes on task by task.
class LateDelete : public HandOffWorld {
 public:
  LateDelete(int by, int tasks) : key_(MovingKeys(1)[0]) {
    const std::string where = absl::StrCat("deleted by n", by, " after ", tasks, " tasks");
    store_.AnswerInTasks();
    StartBoth();
    WriteOne(node(0), SetOf(key_, "v", absl::Hours(1)));
    for (int i = 0; i < 2; ++i) Plan(i, 3, {"n0", "n1"});
    Pass(absl::Milliseconds(500));
    EXPECT_EQ(around(0).handed_off, 1u) << where;
    Publish(1, 3, {"n0", "n1"});
    const auto follows = [this] { return around(1).followed.Follows(SlotOf(kSpace, key_)); };
    if (by == 1) {
      while (!follows()) RunNext();
      executor_.RunDue();
    }
    for (int i = 0; i < tasks; ++i) RunNext();
    is_late_ = by == 1 ? TakenBy(1, RefillOutcome::kFilled) > 0 : follows();
    request_.name_space = kSpace;
    request_.items.push_back(InvalidateOf(key_));
    request_.deadline = clock_.Now() + absl::Seconds(1);
    bool acknowledged = false;
    node(by).writes().Write(request_, [&](const std::vector<WriteResult>& results) {
      acknowledged = results[0].state == EntryState::kOk;
    });
    for (int i = 0; i < 200; ++i) {
      RunNext();
      if (acknowledged && by == 1) {
        EXPECT_FALSE(InL1(1, key_)) << where;
      }
    }
    Pass(absl::Milliseconds(200));
    EXPECT_TRUE(acknowledged) << where;
    EXPECT_FALSE(InL1(1, key_)) << where;
  }
  void TestBody() override {}
  // It came after all that is to be tried.
  bool is_late() const { return is_late_; }

 private:
  // One task, when it is due.
  void RunNext() {
    while (!executor_.RunOne()) clock_.Advance(absl::Microseconds(100));
  }

  const std::string key_;
  WriteRequest request_;
  bool is_late_ = false;
};

TEST(HandOffRaceTest, ADeleteWinsWheneverItComes) {
  for (int by = 0; by < 2; ++by) {
    int tasks = 0;
    while (!LateDelete(by, tasks).is_late() && !testing::Test::HasFailure()) ++tasks;
    EXPECT_GT(tasks, 3) << "by n" << by << ": there is nothing between";
  }
}

// MERIDIAN_TEST_SEEDS=20000 for a search.
uint32_t Seeds() {
  const char* const more = std::getenv("MERIDIAN_TEST_SEEDS");
  return more == nullptr ? kSeeds : static_cast<uint32_t>(std::atoi(more));
}

TEST(HandOffRaceTest, NothingThatWasOvertakenIsReadWhateverRaces) {
  uint64_t filled = 0;
  const uint32_t seeds = Seeds();
  for (uint32_t seed = 1; seed <= seeds && !testing::Test::HasFailure(); ++seed) {
    filled += HandOffRaces(seed).filled();
  }
  // It is about something: what was handed over did come into memory.
  EXPECT_GT(filled, seeds);
}

}  // namespace
}  // namespace meridian
