// FIFO, SIEVE and S3-FIFO against models that are written down as the papers have them.

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "tests/unit/common/engine/policy_driver.h"

namespace meridian {
namespace {

struct Item {
  int key;
  size_t size;
  int hits = 0;
};
using Queue = std::vector<Item>;  // Oldest first.

Queue::iterator Find(Queue& queue, int key) {
  return std::find_if(queue.begin(), queue.end(),
                      [&](const Item& item) { return item.key == key; });
}

class FifoModel : public PolicyModel {
 public:
  void Insert(int key, size_t size) override { queue_.push_back({key, size}); }
  void Hit(int key) override {}
  void Remove(int key) override { queue_.erase(Find(queue_, key)); }
  void Replace(int key, size_t size) override {
    Remove(key);
    Insert(key, size);
  }
  int Evict() override {
    const int key = queue_.front().key;
    queue_.erase(queue_.begin());
    return key;
  }

 private:
  Queue queue_;
};

class SieveModel : public PolicyModel {
 public:
  void Insert(int key, size_t size) override { queue_.push_back({key, size}); }
  void Hit(int key) override { Find(queue_, key)->hits = 1; }
  void Remove(int key) override {
    const size_t place = static_cast<size_t>(Find(queue_, key) - queue_.begin());
    queue_.erase(queue_.begin() + static_cast<long>(place));
    if (hand_ > place) --hand_;
    if (hand_ >= queue_.size()) hand_ = 0;
  }
  void Replace(int key, size_t size) override { Find(queue_, key)->hits = 1; }
  int Evict() override {
    for (;; ++hand_) {
      if (hand_ >= queue_.size()) hand_ = 0;
      if (queue_[hand_].hits == 0) break;
      queue_[hand_].hits = 0;
    }
    const int key = queue_[hand_].key;
    queue_.erase(queue_.begin() + static_cast<long>(hand_));
    if (hand_ >= queue_.size()) hand_ = 0;
    return key;
  }

 private:
  Queue queue_;
  size_t hand_ = 0;
};

class S3FifoModel : public PolicyModel {
 public:
  // A bound of 0: none.
  S3FifoModel(size_t entries, size_t bytes)
      : main_entries_(entries - entries / 10),
        main_bytes_(bytes - bytes / 10),
        ghost_entries_(entries * 9 / 10),
        ghost_bytes_(bytes * 9 / 10) {}

  void Coming(int key, size_t size) override {
    const auto ghost = Find(ghosts_, key);
    coming_to_main_ = ghost != ghosts_.end();
    if (coming_to_main_) ghosts_.erase(ghost);
  }
  void Insert(int key, size_t size) override {
    (coming_to_main_ ? main_ : small_).push_back({key, size});
  }
  void Hit(int key) override { ++Find(QueueOf(key), key)->hits; }
  void Remove(int key) override {
    Queue& queue = QueueOf(key);
    queue.erase(Find(queue, key));
  }
  void Replace(int key, size_t size) override {
    Hit(key);
    Find(QueueOf(key), key)->size = size;
  }
  int Evict() override {
    for (;;) {
      const bool from_main = small_.empty() || Exceeds(main_, main_entries_, main_bytes_);
      Queue& queue = from_main ? main_ : small_;
      while (!queue.empty()) {
        Item item = queue.front();
        queue.erase(queue.begin());
        if (from_main ? item.hits > 0 : item.hits >= 2) {
          item.hits = from_main ? std::min(item.hits, 3) - 1 : 0;
          main_.push_back(item);
        } else {
          if (!from_main) Remember(item);
          return item.key;
        }
      }
    }
  }

 private:
  static bool Exceeds(const Queue& queue, size_t entries, size_t bytes) {
    size_t sum = 0;
    for (const Item& item : queue) sum += item.size;
    return (entries != 0 && queue.size() > entries) || (bytes != 0 && sum > bytes);
  }
  Queue& QueueOf(int key) { return Find(small_, key) != small_.end() ? small_ : main_; }
  void Remember(Item item) {
    ghosts_.push_back(item);
    while (Exceeds(ghosts_, ghost_entries_, ghost_bytes_)) ghosts_.erase(ghosts_.begin());
  }

  const size_t main_entries_;
  const size_t main_bytes_;
  const size_t ghost_entries_;
  const size_t ghost_bytes_;
  Queue small_;
  Queue main_;
  Queue ghosts_;
  bool coming_to_main_ = false;
};

class FifoPoliciesTest : public testing::TestWithParam<uint32_t> {};

TEST_P(FifoPoliciesTest, FifoIsItsModel) {
  FifoModel model;
  PolicyDriver({.policy = "fifo", .entries = 10, .seed = GetParam()}, model).Run();
}

TEST_P(FifoPoliciesTest, SieveIsItsModel) {
  SieveModel model;
  PolicyDriver({.policy = "sieve", .entries = 10, .seed = GetParam()}, model).Run();
}

TEST_P(FifoPoliciesTest, SieveOfTwoEntriesIsItsModel) {
  SieveModel model;
  PolicyDriver({.policy = "sieve", .entries = 2, .keys = 6, .seed = GetParam()}, model).Run();
}

TEST_P(FifoPoliciesTest, SieveBoundedByBytesIsItsModel) {
  SieveModel model;
  PolicyDriver({.policy = "sieve", .bytes = 3000, .seed = GetParam()}, model).Run();
}

TEST_P(FifoPoliciesTest, S3FifoIsItsModel) {
  S3FifoModel model(20, 0);
  PolicyDriver({.policy = "s3_fifo", .entries = 20, .keys = 100, .seed = GetParam()}, model).Run();
}

TEST_P(FifoPoliciesTest, S3FifoBoundedByBytesIsItsModel) {
  S3FifoModel model(0, 10'000);
  PolicyDriver({.policy = "s3_fifo", .bytes = 10'000, .keys = 120, .seed = GetParam()}, model)
      .Run();
}

TEST_P(FifoPoliciesTest, S3FifoBoundedByBothIsItsModel) {
  S3FifoModel model(40, 10'000);
  PolicyDriver(
      {.policy = "s3_fifo", .entries = 40, .bytes = 10'000, .keys = 120, .seed = GetParam()}, model)
      .Run();
}

INSTANTIATE_TEST_SUITE_P(Seeds, FifoPoliciesTest, testing::Values(1, 2, 3));

}  // namespace
}  // namespace meridian
