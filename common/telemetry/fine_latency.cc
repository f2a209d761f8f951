#include "common/telemetry/fine_latency.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace meridian {
namespace {

// A double without its sign and the lower bits of its fraction: cells that are 1.6 to 3.2 % wide,
// so that none has two bounds.
constexpr int kFractionBits = 5;
constexpr int kShift = 52 - kFractionBits;

uint64_t CellOf(double seconds) { return std::bit_cast<uint64_t>(seconds) >> kShift; }

std::vector<double> MakeBounds() {
  const std::vector<double>& coarse = LatencyBounds();
  std::vector<double> bounds = {coarse.front()};
  for (size_t i = 1; i < coarse.size(); ++i) {
    const double low = coarse[i - 1];
    const double octaves = std::log2(coarse[i] / low);
    const int parts = static_cast<int>(std::ceil(octaves * 16 - 1e-9));
    for (int part = 1; part < parts; ++part) {
      bounds.push_back(low * std::exp2(octaves * part / parts));
    }
    bounds.push_back(coarse[i]);
  }
  return bounds;
}

// For each cell the first bound that is not below it, and which that is.
struct Index {
  struct Cell {
    double bound = std::numeric_limits<double>::infinity();
    size_t bucket = 0;
  };

  Index() {
    const std::vector<double>& bounds = FineLatencyBounds();
    low = bounds.front();
    high = bounds.back();
    first_cell = CellOf(low);
    cells.resize(CellOf(high) - first_cell + 1);
    for (size_t i = 0; i < cells.size(); ++i) {
      const double begin = std::bit_cast<double>((first_cell + i) << kShift);
      const auto it = std::lower_bound(bounds.begin(), bounds.end(), begin);
      cells[i].bucket = static_cast<size_t>(it - bounds.begin());
      if (it != bounds.end()) cells[i].bound = *it;
    }
  }

  double low;
  double high;
  uint64_t first_cell;
  std::vector<Cell> cells;
};

}  // namespace

const std::vector<double>& FineLatencyBounds() {
  static const auto& bounds = *new std::vector<double>(MakeBounds());
  return bounds;
}

size_t FineLatencyBucket(double seconds) {
  static const Index& index = *new Index;
  if (!(seconds > index.low)) return 0;
  if (seconds > index.high) return FineLatencyBounds().size();
  const Index::Cell& cell = index.cells[CellOf(seconds) - index.first_cell];
  return cell.bucket + (seconds > cell.bound ? 1 : 0);
}

HistogramSnapshot InBounds(const HistogramSnapshot& snapshot, const std::vector<double>& bounds) {
  HistogramSnapshot result;
  result.bounds = bounds;
  result.counts.resize(bounds.size() + 1);
  result.sum = snapshot.sum;
  size_t to = 0;
  for (size_t i = 0; i < snapshot.counts.size(); ++i) {
    const bool beyond = i >= snapshot.bounds.size();
    while (to < bounds.size() && (beyond || bounds[to] < snapshot.bounds[i])) ++to;
    result.counts[to] += snapshot.counts[i];
  }
  return result;
}

}  // namespace meridian
