// FakeWarmReader is a small region: it knows which keys are in memory and which can be loaded,
// keeps every read, and a test can make it answer late, or that it has too much to do.
//
// Answers are given on the stack of Read, or when the test says so (Hold, Release).
// Thread safety: none; used by one thread.

#ifndef MERIDIAN_TESTS_SUPPORT_FAKE_WARM_READER_H_
#define MERIDIAN_TESTS_SUPPORT_FAKE_WARM_READER_H_

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/warming/warm_reader.h"

namespace meridian {

class FakeWarmReader final : public WarmReader {
 public:
  void KeepOnly(const std::vector<std::string>& addresses) override { addresses_ = addresses; }

  void Read(const std::string& address, const std::string& name_space,
            const std::vector<std::string>& keys, const WarmReadOptions& options,
            std::function<void(WarmAnswer)> done) override {
    ++reads_by_address_[address];
    ++reads_;
    keys_asked_ += keys.size();
    for (const std::string& key : keys) sources_[key].insert(options.source);
    if (options.refresh) refreshed_.insert(keys.begin(), keys.end());
    most_keys_ = std::max(most_keys_, keys.size());
    held_.push_back({name_space, keys, std::move(done)});
    most_at_once_ = std::max(most_at_once_, held_.size());
    if (!holding_) Release();
  }

  // Reads are answered by Release from now on.
  void Hold() { holding_ = true; }
  // Answers all reads that wait.
  void Release() {
    while (!held_.empty()) {
      Held held = std::move(held_.front());
      held_.pop_front();
      held.done(Answer(held));
    }
  }

  // The next `count` reads find a node that has too much to do.
  void Overload(int count, absl::Duration retry_after = absl::ZeroDuration()) {
    overloads_ = count;
    retry_after_ = retry_after;
  }
  // The next `count` reads find no node.
  void GoAway(int count) { away_ = count; }
  // Nobody answers for the keys of this namespace: its origin is out; or it has too much to do.
  void SetOriginOut(const std::string& name_space, bool out) { Set(&out_, name_space, out); }
  void SetOriginBusy(const std::string& name_space, bool busy) { Set(&busy_, name_space, busy); }
  // Nobody answers for this key.
  void MakeSilent(const std::string& key) { silent_.insert(key); }
  void MakeAbsent(const std::string& key) { absent_.insert(key); }
  void MakeBroken(const std::string& key) { broken_.insert(key); }
  // Its owner does not keep it.
  void MakeUnkept(const std::string& key) { unkept_.insert(key); }

  // As if nothing had been read.
  void Forget() { warmed_.clear(); }

  // How often a key was answered with a value.
  const std::map<std::string, int>& warmed() const { return warmed_; }
  // What the nodes were told to follow a key under.
  const std::set<std::string>& SourcesOf(const std::string& key) { return sources_[key]; }
  // Those that were to be loaded anew.
  const std::set<std::string>& refreshed() const { return refreshed_; }
  const std::map<std::string, int>& reads_by_address() const { return reads_by_address_; }
  int reads() const { return reads_; }
  size_t keys_asked() const { return keys_asked_; }
  size_t waiting() const { return held_.size(); }
  size_t most_at_once() const { return most_at_once_; }
  size_t most_keys() const { return most_keys_; }
  // Keys, "namespace/key", in the order of their answers.
  const std::vector<std::string>& order() const { return order_; }

 private:
  static void Set(std::set<std::string>* names, const std::string& name, bool is_in) {
    if (is_in) {
      names->insert(name);
    } else {
      names->erase(name);
    }
  }
  struct Held {
    std::string name_space;
    std::vector<std::string> keys;
    std::function<void(WarmAnswer)> done;
  };

  WarmAnswer Answer(const Held& held) {
    WarmAnswer answer;
    if (overloads_ > 0 || away_ > 0) {
      const bool overloaded = overloads_ > 0;
      --(overloaded ? overloads_ : away_);
      answer.outcomes.assign(held.keys.size(),
                             overloaded ? WarmOutcome::kOverloaded : WarmOutcome::kUnreachable);
      answer.retry_after = overloaded ? retry_after_ : absl::ZeroDuration();
      answer.error = overloaded ? "OVERLOADED: by the test" : "UNAVAILABLE: by the test";
      answer.of_node = true;
      return answer;
    }
    if (out_.count(held.name_space) > 0 || busy_.count(held.name_space) > 0) {
      const bool out = out_.count(held.name_space) > 0;
      answer.outcomes.assign(held.keys.size(),
                             out ? WarmOutcome::kUnreachable : WarmOutcome::kOverloaded);
      answer.error = out ? "ORIGIN_TIMEOUT: by the test" : "OVERLOADED: by the test";
      return answer;
    }
    for (const std::string& key : held.keys) {
      if (absent_.count(key) > 0) {
        answer.outcomes.push_back(WarmOutcome::kAbsent);
      } else if (silent_.count(key) > 0) {
        answer.outcomes.push_back(WarmOutcome::kUnreachable);
        answer.error = "ORIGIN_TIMEOUT: by the test";
      } else if (broken_.count(key) > 0) {
        answer.outcomes.push_back(WarmOutcome::kFailed);
        answer.error = "ORIGIN_ERROR: by the test";
      } else if (unkept_.count(key) > 0) {
        answer.outcomes.push_back(WarmOutcome::kNotKept);
      } else {
        answer.outcomes.push_back(++warmed_[key] > 1 ? WarmOutcome::kResident
                                                     : WarmOutcome::kFromL2);
        order_.push_back(held.name_space + "/" + key);
      }
    }
    return answer;
  }

  std::vector<std::string> addresses_;
  bool holding_ = false;
  std::deque<Held> held_;
  int overloads_ = 0;
  absl::Duration retry_after_;
  int away_ = 0;
  std::set<std::string> absent_;
  std::set<std::string> broken_;
  std::set<std::string> silent_;
  std::set<std::string> unkept_;
  std::set<std::string> out_;  // Namespaces.
  std::set<std::string> busy_;
  std::map<std::string, int> warmed_;
  std::map<std::string, std::set<std::string>> sources_;
  std::set<std::string> refreshed_;
  std::map<std::string, int> reads_by_address_;
  std::vector<std::string> order_;
  int reads_ = 0;
  size_t keys_asked_ = 0;
  size_t most_at_once_ = 0;
  size_t most_keys_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAKE_WARM_READER_H_
