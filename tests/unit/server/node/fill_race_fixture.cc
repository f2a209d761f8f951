#include "tests/unit/server/node/fill_race_fixture.h"

#include <algorithm>

namespace meridian {

void FillRaceTest::SetUp() {
  PolicyTable policies;
  const std::string origin =
      GetParam().origin
          ? "origin: {address: db:1, soft_timeout: 1ms, negative_ttl: 0}, refresh: {ahead: 20%}, "
          : "";
  const absl::Status read =
      policies.ReadText("p", absl::StrCat("task: {ttl: 8ms, ttl_jitter: 0, stale: {max: 30s}, ",
                                          origin, "lease_ttl: 15ms}"));
  ASSERT_TRUE(read.ok()) << read;
  L2Store& l2 = GetParam().l1_only ? static_cast<L2Store&>(no_l2_) : store_;
  node_ =
      std::make_unique<TestNode>("n0", clock_, l2, peers_, timers_, GetParam().l1_only, policies);
  if (GetParam().origin) node_->context().origins = this;
  Member self;
  self.id = "n0";
  node_->topology().Offer(*Topology::Create(1, "us", {self}));
  writer_ = node_.get();
  if (GetParam().two_nodes) {
    other_ = std::make_unique<TestNode>("n1", others_clock_, store_, to_reader_, others_timers_,
                                        false, policies);
    to_reader_.Connect(*node_, other_->versions());
    Member other;
    other.id = "n1";
    other.state = MemberState::kJoining;  // It owns nothing.
    other_->topology().Offer(*Topology::Create(1, "us", {self, other}));
    writer_ = other_.get();
  }
  store_.AnswerInTasks();
  if (!GetParam().l1_only) StartTail();
}

void FillRaceTest::StartTail() {
  coherence_ =
      std::make_unique<EngineCoherence>(node_->engine(), node_->versions(), clock_, observer_);
  waker_ = std::make_unique<LeaseWaker>(node_->engine(), &node_->misses());
  heard_ = std::make_unique<Heard>(*this);
  ChangelogTailOptions options;
  options.active_interval = options.idle_interval = absl::Microseconds(100);
  options.read_limit = 10;
  tail_ = std::make_unique<ChangelogTail>(
      options, store_, gate_, clock_, observer_,
      std::vector<ChangeSink*>{coherence_.get(), waker_.get(), heard_.get()});
  std::vector<uint32_t> slots;
  for (const char* name : kNames) slots.push_back(SlotOf(kSpace, name));
  std::sort(slots.begin(), slots.end());
  gate_.Post([this, slots] {
    tail_->SetOwned(slots);
    tail_->Start();
  });
  Random random(7);
  while (gate_.Locked([this] { return tail_->followed(); }) < kKeys) pool_.RunOne(random);
}

void FillRaceTest::Fail(std::string what) {
  absl::MutexLock lock(&failures_mu_);
  if (failures_.size() < 10) failures_.push_back(std::move(what));
}

bool FillRaceTest::Failed() {
  absl::MutexLock lock(&failures_mu_);
  return !failures_.empty();
}

size_t FillRaceTest::IndexOf(std::string_view key) {
  for (size_t i = 0; i < kKeys; ++i) {
    if (key == kNames[i]) return i;
  }
  return kKeys;
}

bool FillRaceTest::RunOne(Random& random) {
  return pool_.RunOne(random) || strand_.RunOne(random) || others_strand_.RunOne(random);
}

void FillRaceTest::Step(Random& random) {
  const uint64_t what = random() % 32;
  if (waiting_ > 100 || what < 16) {
    if (RunOne(random)) return;
    clock_.Advance(absl::Microseconds(10));  // Who waits may wait for time alone.
  } else if (what < 18) {
    strand_.RunOne(random);
    others_strand_.RunOne(random);
  } else if (what == 18) {
    clock_.Advance(absl::Microseconds(static_cast<int64_t>(random() % 200)));
  } else if (what == 19) {
    // Of keys that nobody reads: they share counters with those above.
    for (uint64_t n = 0; n < 4; ++n) {
      const std::string other = absl::StrCat("other ", random() % 5000);
      node_->engine().Erase(node_->KeyOf(other), node_->versions().Next());
    }
  } else if (what < 28) {
    BeginChange(random);
  } else {
    BeginRead(random);
  }
}

void FillRaceTest::Drain(Random& random) {
  for (int rest = 0; rest < 50;) {
    if (RunOne(random)) continue;
    clock_.Advance(absl::Milliseconds(200));
    rest = waiting_ == 0 ? rest + 1 : 0;
  }
}

}  // namespace meridian
