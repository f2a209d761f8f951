#include "server/figures/region_counts.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "server/figures/figures_proto.h"

namespace meridian {
namespace {

void Subtract(uint64_t earlier, uint64_t* count) { *count -= std::min(*count, earlier); }

void Add(const HistogramSnapshot& other, HistogramSnapshot* sum) {
  if (!other.counts.empty()) *sum += other;
}

// Of a map: what `earlier` does not have stays as it is.
template <typename Map>
void SubtractEach(const Map& earlier, Map* counts) {
  for (auto& [key, value] : *counts) {
    const auto before = earlier.find(key);
    if (before != earlier.end()) value -= before->second;
  }
}

using ByRegion = std::map<std::string, uint64_t>;

void Add(const ByRegion& other, ByRegion* sum) {
  for (const auto& [region, count] : other) (*sum)[region] += count;
}

void Subtract(const ByRegion& earlier, ByRegion* counts) {
  for (auto& [region, count] : *counts) {
    const auto before = earlier.find(region);
    if (before != earlier.end()) Subtract(before->second, &count);
  }
}

}  // namespace

NodeCounts& NodeCounts::operator+=(const NodeCounts& other) {
  reads += other.reads;
  Add(other.call_latency, &call_latency);
  calls += other.calls;
  failed_calls += other.failed_calls;
  origin_keys += other.origin_keys;
  evictions += other.evictions;
  cpu_seconds += other.cpu_seconds;
  return *this;
}

NodeCounts& NodeCounts::operator-=(const NodeCounts& earlier) {
  reads -= earlier.reads;
  call_latency -= earlier.call_latency;
  Subtract(earlier.calls, &calls);
  Subtract(earlier.failed_calls, &failed_calls);
  Subtract(earlier.origin_keys, &origin_keys);
  Subtract(earlier.evictions, &evictions);
  cpu_seconds = std::max(0.0, cpu_seconds - earlier.cpu_seconds);
  return *this;
}

NamespaceCounts& NamespaceCounts::operator+=(const NamespaceCounts& other) {
  evictions += other.evictions;
  sets += other.sets;
  invalidations += other.invalidations;
  return *this;
}

NamespaceCounts& NamespaceCounts::operator-=(const NamespaceCounts& earlier) {
  Subtract(earlier.evictions, &evictions);
  Subtract(earlier.sets, &sets);
  Subtract(earlier.invalidations, &invalidations);
  return *this;
}

std::set<std::string> RegionCounts::Names() const {
  std::set<std::string> names;
  for (const auto& [key, counts] : reads) names.insert(names.end(), key.first);
  return names;
}

ReadCounts RegionCounts::ReadsOf(const std::string& name_space) const {
  ReadCounts sum;
  for (auto it = reads.lower_bound({name_space, 0});
       it != reads.end() && it->first.first == name_space; ++it) {
    sum += it->second;
  }
  return sum;
}

void RegionCounts::Forget(const Reads::key_type& version) {
  const auto row = reads.find(version);
  if (row == reads.end()) return;
  const ReadCounts counts = std::move(row->second);
  reads.erase(row);
  reads[{version.first, kForgotten}] += counts;
}

RegionCounts& RegionCounts::operator+=(const RegionCounts& other) {
  all += other.all;
  for (const auto& [key, value] : other.reads) reads[key] += value;
  for (const auto& [key, value] : other.namespaces) namespaces[key] += value;
  Add(other.repaired, &repaired);
  Add(other.dropped, &dropped);
  staleness_incidents += other.staleness_incidents;
  return *this;
}

RegionCounts& RegionCounts::operator-=(const RegionCounts& earlier) {
  all -= earlier.all;
  for (const auto& [key, before] : earlier.reads) {
    auto row = reads.find(key);
    if (row == reads.end()) row = reads.find({key.first, kForgotten});
    if (row != reads.end()) row->second -= before;
  }
  SubtractEach(earlier.namespaces, &namespaces);
  Subtract(earlier.repaired, &repaired);
  Subtract(earlier.dropped, &dropped);
  Subtract(earlier.staleness_incidents, &staleness_incidents);
  return *this;
}

ReadCounts ReadsSince(const RegionCounts& earlier, const RegionCounts& now,
                      const std::string& name_space) {
  ReadCounts reads = now.ReadsOf(name_space);
  reads -= earlier.ReadsOf(name_space);
  return reads;
}

RegionCounts CountsOf(const admin::v1::GetFiguresResponse& figures) {
  RegionCounts counts;
  const std::vector<double> bounds = BoundsOf(figures);
  counts.all.calls = figures.calls();
  counts.all.failed_calls = figures.failed_calls();
  counts.all.origin_keys = figures.origin_keys();
  counts.all.cpu_seconds = figures.cpu_seconds();
  for (const admin::v1::NamespaceStats& row : figures.status().namespaces()) {
    counts.all.evictions += row.evictions();
    counts.namespaces[row.namespace_()] += {row.evictions(), row.sets(), row.invalidations()};
  }
  for (const admin::v1::ReplicationLink& link : figures.links()) {
    counts.repaired[link.to()] += link.repair_sent_total();
    counts.dropped[link.to()] += link.dropped_total();
  }
  counts.staleness_incidents = figures.staleness_incidents();
  counts.all.call_latency = FromProto(figures.call_latency(), bounds);
  for (const admin::v1::NamespaceFigures& row : figures.namespaces()) {
    const ReadCounts reads = FromProto(row, bounds);
    counts.all.reads += reads;
    counts.reads[{row.namespace_(), row.policy_version()}] += reads;
  }
  return counts;
}

RegionCounts Growth(const admin::v1::GetFiguresResponse& earlier,
                    const admin::v1::GetFiguresResponse& now) {
  RegionCounts counts = CountsOf(now);
  if (earlier.incarnation() != now.incarnation()) return counts;
  RegionCounts before = CountsOf(earlier);
  // A version that has come back counts anew from 0.
  for (auto it = before.reads.begin(); it != before.reads.end();) {
    const auto found = counts.reads.find(it->first);
    const bool anew = found == counts.reads.end() || found->second.reads() + found->second.errors <
                                                         it->second.reads() + it->second.errors;
    it = anew ? before.reads.erase(it) : std::next(it);
  }
  counts -= before;
  counts.all.reads = ReadCounts();
  for (const auto& [key, reads] : counts.reads) counts.all.reads += reads;
  return counts;
}

}  // namespace meridian
