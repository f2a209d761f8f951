// WarmSources keeps book of what each source of warming brings to each namespace of a region, by
// what the nodes say, and gives each of them its budget (WarmBudget).
//
// Nodes count since their start. What a node counted under an earlier leader of the region is not
//   counted again: of a node that this leader hears of for the first time only what comes after is,
//   unless it started later. A node that is silent for kSilent is gone, and with it what had waited
//   in its memory.
// Bounded: at most kMaxSources pairs of source and namespace; others run as one of which nothing is
//   known yet: prediction with its first budget, others under the namespace's alone. A pair that
//   did nothing for kIdle is forgotten.
// What people ask for ("manual", and by `budget: fixed`) is counted and never held back: they know
//   why.
// Thread safety: none; used on the coordinator's executor. Times are monotonic.

#ifndef MERIDIAN_SERVER_WARMING_WARM_SOURCES_H_
#define MERIDIAN_SERVER_WARMING_WARM_SOURCES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/warming/warm_budget.h"

namespace meridian {

// What one node says, since its start.
struct WarmFigures {
  struct OfSource {
    std::string source;
    std::string name_space;
    uint64_t warmed = 0;
    uint64_t used = 0;
    uint64_t unused = 0;
    uint64_t displaced = 0;

    friend bool operator==(const OfSource&, const OfSource&) = default;
  };
  uint64_t incarnation = 0;  // Of this start of the process.
  std::vector<OfSource> warmed;
  std::map<std::string, uint64_t> requests;  // By namespace.
};

class WarmSources {
 public:
  static constexpr size_t kMaxSources = 500;
  static constexpr size_t kMaxNodes = 1000;
  static constexpr absl::Duration kSilent = absl::Minutes(2);
  static constexpr absl::Duration kIdle = absl::Hours(24);
  static constexpr absl::Duration kUpdate = absl::Seconds(5);
  // Keys a second that a prediction may cost before anything is known of it. Other sources are
  // trusted at first: somebody configured them.
  static constexpr double kFirstOfPrediction = 10;
  // What a source may have in memory of which nothing is known, before it has gained anything, when
  // it is not trusted any more. What a cold cluster is given is bounded by its configuration, and
  // comes once: its rate follows its benefit, but it needs no credit.
  static constexpr double kCredit = 100;
  static constexpr double kCreditOfPrediction = 50;

  // `ceiling`: keys a second of a namespace.
  using Ceiling = std::function<double(const std::string& name_space)>;
  explicit WarmSources(Ceiling ceiling) : ceiling_(std::move(ceiling)) {}

  void Report(const std::string& node, const WarmFigures& figures, absl::Duration now);
  // Adjusts the budgets, when it is time. True: something changed that is worth keeping.
  bool Tick(absl::Duration now);

  // Keys a second that the source may read for the namespace; nullopt: as many as the namespace.
  std::optional<double> RateOf(const std::string& source, const std::string& name_space,
                               absl::Duration now);
  // What `ceiling` says has changed.
  void TakeCeilings();
  // Keys that it wanted to read and could not.
  void AddRefused(const std::string& source, const std::string& name_space, uint64_t keys,
                  absl::Duration now);

  struct View {
    std::string source;
    std::string name_space;
    WarmOutcomes outcomes;
    std::optional<double> precision;
    double net_benefit = 0;
    double budget = 0;
    uint64_t refused = 0;
    WarmOutcomes earlier;  // Of the outcomes, those that leaders before had seen.
  };
  // Sorted by source and namespace; of one namespace unless it is empty.
  std::vector<View> List(const std::string& name_space) const;

  // For the store and back, at the begin of a leadership. What cannot be read is left out.
  nlohmann::json ToJson() const;
  void Restore(const nlohmann::json& json, absl::Duration now);
  void Clear();

 private:
  using Name = std::pair<std::string, std::string>;  // Source and namespace.
  struct OfName {
    WarmOutcomes outcomes;
    uint64_t refused = 0;
    WarmBudget budget;
    absl::Duration busy_at;  // It did, or wanted, something.
    WarmOutcomes earlier = {};
  };
  struct Node {
    uint64_t incarnation = 0;
    absl::Duration heard;
    bool is_gone = false;
    std::map<Name, WarmFigures::OfSource> warmed;
    std::map<std::string, uint64_t> requests;
  };

  // nullptr: there are too many.
  OfName* Of(const Name& name, absl::Duration now);
  // What waits in its memory is lost; or was not, after all.
  void SetGone(Node* node, bool is_gone);

  const Ceiling ceiling_;
  std::map<Name, OfName> sources_;
  std::map<std::string, Node> nodes_;
  std::map<std::string, double> requests_;  // Since the last Tick.
  bool changed_ = false;                    // Since the last Tick.
  bool restored_ = false;  // Counts of nodes that are heard for the first time are known.
  absl::Duration ticked_at_ = -absl::InfiniteDuration();
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_SOURCES_H_
