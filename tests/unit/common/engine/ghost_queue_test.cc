#include "common/engine/ghost_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace meridian {
namespace {

// The same, slow and obviously right.
class Model {
 public:
  explicit Model(PolicyLimits limits) : limits_(limits) {}

  void Push(uint32_t hash, size_t charge) {
    if (Find(hash) != ghosts_.end()) return;
    ghosts_.push_back({hash, charge});
    while (ghosts_.size() > 1 && Exceeds()) ghosts_.erase(ghosts_.begin());
  }
  bool Erase(uint32_t hash) {
    const auto found = Find(hash);
    if (found == ghosts_.end()) return false;
    ghosts_.erase(found);
    return true;
  }
  size_t size() const { return ghosts_.size(); }

 private:
  struct Ghost {
    uint32_t hash;
    size_t charge;
  };
  std::vector<Ghost>::iterator Find(uint32_t hash) {
    return std::find_if(ghosts_.begin(), ghosts_.end(),
                        [&](const Ghost& ghost) { return ghost.hash == hash; });
  }
  bool Exceeds() const {
    size_t bytes = 0;
    for (const Ghost& ghost : ghosts_) bytes += ghost.charge;
    return (limits_.entries != 0 && ghosts_.size() > limits_.entries) ||
           (limits_.bytes != 0 && bytes > limits_.bytes);
  }

  const PolicyLimits limits_;
  std::vector<Ghost> ghosts_;
};

void Compare(PolicyLimits limits) {
  GhostQueue queue(limits);
  Model model(limits);
  std::mt19937 random(7);
  for (int i = 0; i < 50'000; ++i) {
    // Many hashes share their low bits, and so their bucket.
    const uint32_t hash = (random() % 60) << (random() % 2 * 20);
    if (random() % 3 == 0) {
      ASSERT_EQ(queue.Erase(hash), model.Erase(hash)) << i;
    } else {
      const size_t charge = 1 + random() % 50;
      queue.Push(hash, charge);
      model.Push(hash, charge);
    }
    ASSERT_EQ(queue.size(), model.size()) << i;
  }
}

TEST(GhostQueueTest, IsItsModel) {
  Compare({.entries = 1});
  Compare({.entries = 20});
  Compare({.bytes = 400});
  Compare({.bytes = 400, .entries = 15});
}

TEST(GhostQueueTest, AGhostOfMoreThanEverythingIsStillTheLastOne) {
  GhostQueue queue({.bytes = 10});
  queue.Push(1, 5);
  queue.Push(2, size_t{1} << 40);
  EXPECT_FALSE(queue.Erase(1));
  EXPECT_TRUE(queue.Erase(2));
  EXPECT_EQ(queue.size(), 0u);
}

}  // namespace
}  // namespace meridian
