// FakeHotKeys is a list of hot keys that a test writes; it can answer late, or with an error.
//
// Thread safety: none; used by one thread.

#ifndef MERIDIAN_TESTS_SUPPORT_FAKE_HOT_KEYS_H_
#define MERIDIAN_TESTS_SUPPORT_FAKE_HOT_KEYS_H_

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "server/warming/hot_key_source.h"

namespace meridian {

class FakeHotKeys final : public HotKeySource {
 public:
  void Set(const std::string& name_space, const std::string& key, double per_second) {
    keys_.push_back({name_space, key, per_second});
  }
  // Answers are this error from now on; OK: none.
  void Fail(absl::Status status) { failure_ = std::move(status); }
  // Answers wait for Release from now on.
  void Hold() { holding_ = true; }
  void Release() {
    holding_ = false;
    for (const auto& answer : std::exchange(held_, {})) answer();
  }

  void Top(HotKeyWindow window, const std::string& name_space, size_t limit, Done done) override {
    ++asked_[window];
    const auto answer = [this, name_space, limit, done = std::move(done)] {
      if (!failure_.ok()) return done(failure_);
      std::vector<HotKey> top;
      for (const HotKey& key : keys_) {
        if (key.name_space == name_space) top.push_back(key);
      }
      KeepHottest(limit, &top);
      done(top);
    };
    if (!holding_) return answer();
    held_.push_back(answer);
  }

  int asked(HotKeyWindow window) const {
    const auto found = asked_.find(window);
    return found == asked_.end() ? 0 : found->second;
  }
  size_t waiting() const { return held_.size(); }

 private:
  std::vector<HotKey> keys_;
  absl::Status failure_;
  bool holding_ = false;
  std::vector<std::function<void()>> held_;
  std::map<HotKeyWindow, int> asked_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAKE_HOT_KEYS_H_
