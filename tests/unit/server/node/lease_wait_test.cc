// Leases of several keys: a call that is given one waits for nobody, one that has none waits at one
// owner at a time. So no two callers wait for each other.

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class LeaseWaitTest : public OriginFixture {
 protected:
  // Whether each key came with a lease ("lease"), is somebody else's ("taken"), or what it is.
  static Strings ShowLeases(const Pending& pending) {
    Strings shown;
    for (size_t i = 0; i < pending.results.size(); ++i) {
      const ReadResult& result = pending.results[i];
      shown.push_back(!result.lease.empty() ? "lease"
                      : result.lease_taken  ? "taken"
                                            : pending.shown[i]);
    }
    return shown;
  }
  static ReadOptions LeaseWithin(absl::Duration wait) {
    ReadOptions options = Lease();
    options.lease_wait = wait;
    return options;
  }
  std::string LeaseOf(const std::string& key, int at = 0) {
    return Begin({key}, LeaseWithin(absl::ZeroDuration()), at)->results.at(0).lease;
  }
  void Fill(const std::string& key, const std::string& value, const std::string& lease) {
    EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf(key, value, lease))), "ok");
  }
};

// A defect once: callers of {a, b} and {b, a} waited for each other until their deadlines.
TEST_F(LeaseWaitTest, ACallThatIsGivenALeaseWaitsForNoOther) {
  Start(1, nullptr);
  const std::string a = LeaseOf("a");
  const std::string c = LeaseOf("c");
  const auto call = Begin({"a", "b", "c"}, Lease());
  EXPECT_THAT(ShowLeases(*call), ElementsAre("taken", "lease", "taken"));
  Fill("a", "v", a);
  const auto again = Begin({"a", "c"}, Lease());
  EXPECT_TRUE(again->shown.empty()) << "it has no lease, and waits for c";
  Fill("c", "w", c);
  EXPECT_THAT(again->shown, ElementsAre("v@L1", "w@L1"));
  Fill("b", "x", call->results[1].lease);
  EXPECT_TRUE(IsQuiet());
}

TEST_F(LeaseWaitTest, TheFirstLeaseThatComesEndsTheWaitingForTheOthers) {
  Start(1, nullptr);
  const std::string a = LeaseOf("a");
  const std::string b = LeaseOf("b");
  const auto call = Begin({"b", "a"}, Lease());
  EXPECT_TRUE(call->shown.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), InvalidateOf("a"))), "ok");
  EXPECT_THAT(ShowLeases(*call), ElementsAre("taken", "lease"));
}

TEST_F(LeaseWaitTest, AKeyThatIsNamedTwiceDoesNotWaitForItsOwnLease) {
  Start(1, nullptr);
  EXPECT_THAT(ShowLeases(*Begin({"k", "k"}, Lease())), ElementsAre("lease", "taken"));
}

TEST_F(LeaseWaitTest, OfKeysOfSeveralOwnersTheFreeLeasesAreTakenAtOnce) {
  Start(3, nullptr);
  const std::string a = KeyOwnedBy(1);
  const std::string b = KeyOwnedBy(2);
  LeaseOf(a);
  for (const int at : {1, 2, 0}) {
    const auto call = Begin({a, b}, Lease(), at);
    ASSERT_THAT(ShowLeases(*call), ElementsAre("taken", "lease")) << at;
    WriteItem back = FillOf(b, "", call->results[1].lease);
    back.lease_use = LeaseUse::kGiveBack;
    EXPECT_EQ(ShowWrite(WriteOne(node(at), std::move(back))), "ok");
  }
}

TEST_F(LeaseWaitTest, OfKeysOfSeveralOwnersAllAreWaitedForInTurn) {
  Start(3, nullptr);
  const std::string a = KeyOwnedBy(1);
  const std::string b = KeyOwnedBy(2);
  for (const int at : {0, 1, 2}) {
    WriteOne(node(0), InvalidateOf(a));
    WriteOne(node(0), InvalidateOf(b));
    const std::string lease_a = LeaseOf(a);
    const std::string lease_b = LeaseOf(b);
    const auto call = Begin({a, b}, Lease(), at, absl::Seconds(8));
    executor_.RunFor(absl::Milliseconds(100));
    EXPECT_TRUE(call->shown.empty());
    Fill(b, "w", lease_b);
    executor_.RunFor(absl::Seconds(1));
    EXPECT_TRUE(call->shown.empty());
    Fill(a, "v", lease_a);
    executor_.RunFor(absl::Seconds(4));
    EXPECT_THAT(call->shown, ElementsAre("v@L1", "w@L1"));
  }
}

// While it waits at one owner, the lease of the other is nobody's.
TEST_F(LeaseWaitTest, ALeaseThatBecomesFreeAtAnotherOwnerIsTakenInItsTurn) {
  Start(2, nullptr);
  const std::string a = KeyOwnedBy(0);
  const std::string b = KeyOwnedBy(1);
  LeaseOf(a);
  LeaseOf(b);
  const auto call = Begin({a, b}, Lease(), 0, absl::Seconds(8));
  EXPECT_EQ(ShowWrite(WriteOne(node(0), InvalidateOf(b))), "ok");
  executor_.RunFor(absl::Seconds(7));
  EXPECT_THAT(ShowLeases(*call), ElementsAre("taken", "lease"));
}

TEST_F(LeaseWaitTest, ACallWaitsAsLongAsItSays) {
  Start(2, nullptr);
  for (const int owner : {0, 1}) {
    const std::string key = KeyOwnedBy(owner);
    const std::string lease = LeaseOf(key);
    EXPECT_THAT(ShowLeases(*Begin({key}, LeaseWithin(absl::ZeroDuration()))), ElementsAre("taken"));
    const auto call = Begin({key}, LeaseWithin(absl::Milliseconds(200)), 0, absl::Seconds(8));
    executor_.RunFor(absl::Milliseconds(150));
    EXPECT_TRUE(call->shown.empty());
    executor_.RunFor(absl::Milliseconds(50));
    EXPECT_THAT(ShowLeases(*call), ElementsAre("taken"));
    const auto other = Begin({key}, LeaseWithin(absl::Milliseconds(200)), 0, absl::Seconds(8));
    Fill(key, "v", lease);
    EXPECT_THAT(other->shown, ElementsAre("v@L1"));
  }
}

// A defect once: who had missed a key before it was filled, and joined after it, got another lease.
// Only L1 knows of the value, where there is no store.
TEST_F(LeaseWaitTest, WhoComesLateToAFillIsGivenItsValueAndNoLease) {
  Start(1, nullptr, "", /*l1_only=*/true);
  const EntryKey key = node(0).KeyOf("k");
  MissedKey missed{0, key, node(0).engine().BeginFill(key)};
  Fill("k", "v", LeaseOf("k"));
  struct Late final : FlightWaiter {
    void Land(const Waiter&, const Landing& landing) override { landed = landing; }
    Landing landed;
  };
  const auto late = std::make_shared<Late>();
  ReadRequest request;
  request.options = Lease();
  request.deadline = clock_.Now() + absl::Seconds(1);
  const Namespace& name_space = *node(0).context().namespaces.Resolve(kSpace);
  node(0).misses().Get(name_space, name_space.policies(), request, {&missed, 1}, /*around=*/false,
                       late);
  executor_.RunDue();
  EXPECT_EQ(late->landed.state, EntryState::kOk);
  EXPECT_EQ(late->landed.value.view(), "v");
  EXPECT_TRUE(late->landed.lease.empty());
}

// Waiting for an origin is another thing: nobody holds anything meanwhile.
TEST_F(LeaseWaitTest, LoadsAreWaitedForWhateverIsSaidOfLeases) {
  Start(2);
  const Strings keys = {KeyOwnedBy(0), KeyOwnedBy(1)};
  for (const std::string& key : keys) origin_.rows[key] = "v";
  const auto call = Begin(keys, LeaseWithin(absl::ZeroDuration()), 0, absl::Seconds(2));
  EXPECT_TRUE(call->shown.empty());
  Settle();
  EXPECT_THAT(call->shown, ElementsAre("v@origin", "v@origin"));
}

// Callers with keys of many owners in any order, who fill what they are given a lease of and ask
// again for the rest.
class LeaseHistoryTest : public LeaseWaitTest, public testing::WithParamInterface<int> {
 protected:
  struct Caller {
    std::shared_ptr<Pending> pending;
    Strings open;
    bool done = false;
  };

  void Ask(Caller* caller) {
    std::shuffle(caller->open.begin(), caller->open.end(), random_);
    caller->pending =
        BeginRead(caller->open, Lease(), static_cast<int>(random_() % nodes_.size()), kTimeout);
  }

  // Takes an answer: fills what it may, and asks for the rest when that is done.
  void Take(Caller* caller) {
    Strings rest;
    for (size_t i = 0; i < caller->open.size(); ++i) {
      ReadResult& result = caller->pending->results[i];
      const std::string key = caller->open[i];
      if (!result.lease.empty()) {
        ++leases_[key];
        executor_.PostAfter(absl::Microseconds(random_() % 5000),
                            [this, key, caller, lease = result.lease] { BeginFill(key, lease); });
      } else if (result.lease_taken) {
        rest.push_back(key);
      } else {
        EXPECT_EQ(result.state, EntryState::kOk) << caller->pending->shown[i];
      }
    }
    caller->open = rest;
    caller->pending = nullptr;
    caller->done = rest.empty();
    if (!caller->done) {
      executor_.PostAfter(absl::Milliseconds(6), [this, caller] { Ask(caller); });
    }
  }

  void BeginFill(const std::string& key, const std::string& lease) {
    struct Filling {
      std::string key;
      std::string lease;
      WriteRequest request;
    };
    auto filling = std::make_shared<Filling>(Filling{key, lease, {}});
    filling->request.name_space = kSpace;
    filling->request.items.push_back(FillOf(filling->key, "v", ""));
    filling->request.items[0].lease = filling->lease;
    filling->request.deadline = clock_.Now() + kTimeout;
    node(static_cast<int>(random_() % nodes_.size()))
        .writes()
        .Write(filling->request, [filling](const std::vector<WriteResult>& results) {
          EXPECT_EQ(ShowWrite(results[0]), "ok");
        });
  }

  static constexpr absl::Duration kTimeout = absl::Seconds(9);
  std::mt19937_64 random_{static_cast<uint64_t>(GetParam())};
  std::map<std::string, int> leases_;
};

TEST_P(LeaseHistoryTest, NobodyWaitsForNothingAndEachKeyIsLeasedOnce) {
  Start(1 + GetParam() % 3, nullptr);
  store_.AnswerInTasks();
  Strings keys;
  for (int i = 0; i < 12; ++i) keys.push_back(absl::StrCat("key:", i));
  std::vector<Caller> callers(20);
  for (Caller& caller : callers) {
    std::shuffle(keys.begin(), keys.end(), random_);
    caller.open.assign(keys.begin(), keys.begin() + 2 + static_cast<int>(random_() % 10));
    executor_.PostAfter(absl::Microseconds(random_() % 3000), [this, &caller] { Ask(&caller); });
  }
  const absl::Time began = clock_.Now();
  const auto all_done = [&] {
    return std::all_of(callers.begin(), callers.end(), [](const Caller& c) { return c.done; });
  };
  while (!all_done() && clock_.Now() - began < kTimeout) {
    executor_.RunFor(absl::Milliseconds(1));
    for (Caller& caller : callers) {
      if (caller.pending != nullptr && !caller.pending->shown.empty()) Take(&caller);
    }
  }
  // A wait at one owner may outlast what comes at another by its share of the time left; nobody
  // waits for a lease's end.
  EXPECT_TRUE(all_done());
  for (const auto& [key, count] : leases_) EXPECT_EQ(count, 1) << key;
  EXPECT_LT(clock_.Now() - began, absl::Seconds(1));
}

INSTANTIATE_TEST_SUITE_P(Seeds, LeaseHistoryTest, testing::Range(1, 61));

}  // namespace
}  // namespace meridian
