// OtherRegions asks the leading coordinators of other regions what they answer over HTTP, so that
// one of them can tell of the whole cluster.
//
// Promise: nobody is asked twice a second for the same, nor within kFailed after it did not answer;
//   whoever asks is answered within kTimeout, whatever the others do. A region that does not answer
//   is told as such, with the age of what it said last, and never as zeros; for kShown its last
//   answer stands.
// Bounded: kMaxUnderWay different questions are under way. Of the answers of all regions to all
//   questions kMaxKept and kMaxKeptBytes are kept, those that were asked for last; and those that
//   are being asked for.
// Of several coordinators of a region the one is asked first that answered last.
// Thread safety: all on the executor. REQUIRES: it is stopped before this is destroyed.

#ifndef MERIDIAN_SERVER_FIGURES_OTHER_REGIONS_H_
#define MERIDIAN_SERVER_FIGURES_OTHER_REGIONS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/figures/http_sender.h"

namespace meridian {

// What a region said, or that it did not.
struct RegionAnswer {
  std::string region = {};
  std::optional<std::string> body = {};    // Not there: what it would say now is not known.
  std::optional<absl::Duration> age = {};  // Of its last answer; not there: it never gave one.
  std::string problem = {};                // Why it does not answer now; empty: it does.
};

class OtherRegions {
 public:
  static constexpr absl::Duration kTimeout = absl::Milliseconds(1500);
  static constexpr absl::Duration kFresh = absl::Seconds(1);
  static constexpr absl::Duration kFailed = absl::Seconds(2);
  static constexpr absl::Duration kShown = absl::Seconds(15);
  static constexpr size_t kMaxUnderWay = 32;
  static constexpr char kTooMany[] = "too many questions to other regions are under way";
  static constexpr size_t kMaxKept = 100;
  static constexpr size_t kMaxBytes = size_t{8} << 20;  // Of one answer.
  static constexpr size_t kMaxKeptBytes = size_t{32} << 20;

  using Coordinators = std::map<std::string, std::vector<HttpUrl>>;  // By region.
  using Done = std::function<void(std::vector<RegionAnswer>)>;       // In order of the names.

  // References outlive this.
  OtherRegions(Coordinators coordinators, const Clock& clock, Executor& executor,
               HttpSender& sender)
      : coordinators_(std::move(coordinators)),
        clock_(clock),
        executor_(executor),
        sender_(sender) {}

  // `target`: path and query. `done` is called once, on the executor. False, and `done` is not
  // called: kTooMany.
  bool Ask(const std::string& target, Done done);

 private:
  struct Kept {
    std::string body;
    std::optional<absl::Duration> at;  // When it came.
    std::string problem;
    absl::Duration tried = -absl::InfiniteDuration();  // When the last answer, or none, came.
    bool asking = false;
    std::vector<std::function<void()>> waiting;  // For the answer that is on its way.
  };
  struct Attempt {
    std::string region;
    std::string target;
    size_t tried = 0;
    absl::Duration until;
  };
  struct Round {
    size_t left = 0;
    Done done;
  };
  using Key = std::pair<std::string, std::string>;  // Region and target.

  // Whether the region need not be asked now.
  bool IsKnown(const std::string& region, const std::string& target) const;
  void AskRegion(const std::string& region, const std::string& target,
                 std::function<void()> answered);
  void Try(const std::shared_ptr<Attempt>& attempt);
  void Answered(const std::shared_ptr<Attempt>& attempt, absl::StatusOr<HttpAnswer> answer);
  void End(const Attempt& attempt);
  RegionAnswer AnswerOf(const std::string& region, const std::string& target) const;
  void ForgetOld();

  const Coordinators coordinators_;
  const Clock& clock_;
  Executor& executor_;
  HttpSender& sender_;
  std::map<std::string, size_t> first_;  // By region, the coordinator to ask first.
  std::map<Key, Kept> kept_;
  std::map<std::string, size_t> under_way_;  // By target: the regions that are being asked.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_OTHER_REGIONS_H_
