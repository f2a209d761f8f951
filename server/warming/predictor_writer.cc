#include "server/warming/predictor_writer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace meridian {
namespace {

constexpr float kWorthKeeping = 1;        // Looks.
constexpr float kWorthFollowing = 0.05F;  // Of the looks.
constexpr size_t kRanksALine = 10;        // To look at a record is so much less than to write it.

// Eight levels for each doubling.
size_t LevelOf(float looks, size_t levels) {
  return std::min(static_cast<size_t>(std::log2(looks) * 8), levels - 1);
}

void AppendPlaces(const char* kind, float looks, const HeavySuccessors& successors,
                  std::string* line) {
  for (const HeavySuccessors::Place& place : successors.places()) {
    if (place.key == 0 || place.sure() <= 0 || place.sure() < kWorthFollowing * looks) continue;
    absl::StrAppendFormat(line, "\t%s\t%016x\t%.3g\t%.3g", kind, place.key, place.count,
                          place.error);
  }
}

}  // namespace

void PredictorWriter::Step(absl::Duration now) {
  if (is_done_) return;
  if (!all_ranked_) return Rank(now);
  Write(now);
}

std::optional<std::string> PredictorWriter::TakePart() {
  if (parts_.empty()) return std::nullopt;
  std::string part = std::move(parts_.front());
  parts_.pop_front();
  return part;
}

void PredictorWriter::Rank(absl::Duration now) {
  const std::vector<uint64_t>& keys = predictor_.keys_.keys();
  const std::vector<uint64_t>& pairs = predictor_.pairs_.keys();
  const size_t all = keys.size() + pairs.size();
  const size_t end = std::min(all, ranked_ + kRanksALine * options_.records);
  for (; ranked_ < end; ++ranked_) {
    const bool is_pair = ranked_ >= keys.size();
    const uint64_t hash = is_pair ? pairs[ranked_ - keys.size()] : keys[ranked_];
    float looks = 0;
    if (is_pair) {
      Predictor::OfPair* const of = predictor_.pairs_.Find(hash);
      predictor_.Age(of, now);
      looks = of->looks;
    } else {
      Predictor::OfKey* const of = predictor_.keys_.Find(hash);
      predictor_.Age(of, now);
      looks = of->key.empty() ? 0 : of->looks;
    }
    if (looks >= kWorthKeeping) levels_[LevelOf(looks, kLevels)].push_back({hash, is_pair});
  }
  all_ranked_ = ranked_ >= all;
}

void PredictorWriter::Write(absl::Duration now) {
  for (size_t i = 0; i < options_.records; ++i) {
    while (level_ > 0 && next_ == levels_[level_].size()) {
      levels_[level_--] = {};
      next_ = 0;
    }
    const bool is_last = next_ == levels_[level_].size();
    const std::string line = is_last ? "" : LineOf(levels_[level_][next_++], now);
    if (is_last || bytes_ + line.size() > options_.max_bytes) {
      if (!part_.empty()) parts_.push_back(std::exchange(part_, ""));
      is_done_ = true;
      return;
    }
    if (part_.size() + line.size() > options_.part_bytes && !part_.empty()) {
      parts_.push_back(std::exchange(part_, ""));
    }
    bytes_ += line.size();
    part_ += line;
  }
}

// Empty: it had to give way.
std::string PredictorWriter::LineOf(const Record& record, absl::Duration now) {
  std::string line;
  if (record.is_pair) {
    Predictor::OfPair* const of = predictor_.pairs_.Find(record.hash);
    if (of == nullptr) return line;
    predictor_.Age(of, now);
    line = absl::StrFormat("\t%016x\t%.4g", record.hash, of->looks);
    const size_t head = line.size();
    AppendPlaces("n", of->looks, of->next, &line);
    if (line.size() == head) return "";  // Nothing follows it.
  } else {
    Predictor::OfKey* const of = predictor_.keys_.Find(record.hash);
    if (of == nullptr) return line;
    predictor_.Age(of, now);
    line = absl::StrFormat("%s\t%s\t%.4g", of->name_space, absl::Base64Escape(of->key), of->looks);
    AppendPlaces("t", of->looks, of->together, &line);
    AppendPlaces("n", of->looks, of->next, &line);
  }
  return absl::StrCat(line, "\n");
}

}  // namespace meridian
