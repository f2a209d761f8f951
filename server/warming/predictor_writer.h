// PredictorWriter turns what a Predictor has learnt into text for the store, a little at a time, so
// that whoever shares its thread does not wait: the keys and pairs that were looked at most, with
// what follows them, in at most `max_bytes`, in parts of at most `part_bytes`.
//
// A line is a key, or a pair of keys that came one after the other; each stands for itself, so that
// parts of different times may be read together:
//   namespace <tab> key in base64 <tab> looks { <tab> t|n <tab> hash <tab> count <tab> error }
//             <tab> hash of pair  <tab> looks { <tab> n ... }
// Most looked at first, to within a tenth. What was looked at less than once, as it counts by now,
//   and what follows in less than a twentieth of the looks, is left out.
// The predictor may go on learning between two steps; what gives way meanwhile is left out.
// Cost: a step, `records` lines, or ten times as many looks at records; 12 bytes a record.
// Thread safety: none; that of the predictor.

#ifndef MERIDIAN_SERVER_WARMING_PREDICTOR_WRITER_H_
#define MERIDIAN_SERVER_WARMING_PREDICTOR_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/warming/predictor.h"

namespace meridian {

struct PredictorWriterOptions {
  size_t max_bytes = size_t{8} << 20;
  size_t part_bytes = size_t{64} << 10;
  size_t records = 500;  // A step.
};

class PredictorWriter {
 public:
  // The predictor outlives this, and is not cleared meanwhile.
  PredictorWriter(Predictor& predictor, PredictorWriterOptions options)
      : predictor_(predictor), options_(options), levels_(kLevels) {}

  void Step(absl::Duration now);
  // No more parts will come than those that are there.
  bool done() const { return is_done_; }
  // The next part, when it is complete.
  std::optional<std::string> TakePart();

 private:
  static constexpr size_t kLevels = 256;
  struct Record {
    uint64_t hash = 0;
    bool is_pair = false;
  };

  void Rank(absl::Duration now);
  void Write(absl::Duration now);
  std::string LineOf(const Record& record, absl::Duration now);

  Predictor& predictor_;  // Not owned.
  const PredictorWriterOptions options_;
  size_t ranked_ = 0;  // Keys, then pairs, that were looked at.
  bool all_ranked_ = false;
  std::vector<std::vector<Record>> levels_;  // By looks; the last is highest.
  size_t level_ = kLevels - 1;
  size_t next_ = 0;  // Of the level.
  size_t bytes_ = 0;
  std::string part_;
  std::deque<std::string> parts_;  // Complete.
  bool is_done_ = false;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_PREDICTOR_WRITER_H_
