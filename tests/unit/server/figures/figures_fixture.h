// Answers of nodes for tests of what is computed from them.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_FIGURES_FIGURES_FIXTURE_H_
#define MERIDIAN_TESTS_UNIT_SERVER_FIGURES_FIGURES_FIXTURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/telemetry/histogram.h"
#include "server/figures/figures_proto.h"
#include "server/figures/region_figures.h"

namespace meridian {

inline HistogramSnapshot Latency(uint64_t count, double average_ms) {
  Histogram histogram(LatencyBounds());
  if (count > 0) histogram.ObserveMany(average_ms / 1000, count);
  return histogram.Snapshot();
}

inline ReadCounts Reads(uint64_t l1, uint64_t l2, uint64_t misses) {
  ReadCounts counts;
  counts.l1 = Latency(l1, 1);
  counts.l2 = Latency(l2, 4);
  counts.miss = Latency(misses, 40);
  return counts;
}

inline FollowedNode Follow(const std::string& id, uint64_t incarnation = 1,
                           MemberState state = MemberState::kServing) {
  FollowedNode node;
  node.member.id = id;
  node.member.admin_address = id + ":7402";
  node.member.incarnation = incarnation;
  node.member.state = state;
  return node;
}

// An answer without reads.
inline admin::v1::GetFiguresResponse Answer(const std::string& id, uint64_t incarnation = 1) {
  admin::v1::GetFiguresResponse answer;
  answer.set_node(id);
  answer.set_region("us");
  answer.set_incarnation(incarnation);
  for (const double bound : LatencyBounds()) answer.add_latency_bounds(bound);
  ToProto(Latency(0, 0), answer.mutable_call_latency());
  answer.mutable_status()->set_epoch(1);
  answer.mutable_status()->set_l1_limit_bytes(1000);
  return answer;
}

inline void AddReads(const std::string& name_space, const ReadCounts& counts,
                     admin::v1::GetFiguresResponse* answer, uint64_t version = 0) {
  admin::v1::NamespaceFigures* row = answer->add_namespaces();
  row->set_namespace_(name_space);
  row->set_policy_version(version);
  ToProto(counts, row);
}

// Of what AddReads added last.
inline void SetGoals(double hit_rate, double l1_seconds, double l2_seconds,
                     admin::v1::GetFiguresResponse* answer) {
  admin::v1::NamespaceFigures& row = *answer->mutable_namespaces()->rbegin();
  row.set_hit_rate_goal(hit_rate);
  row.set_l1_latency_goal(l1_seconds);
  row.set_l2_latency_goal(l2_seconds);
}

inline void SetCalls(uint64_t calls, uint64_t failed, double average_ms,
                     admin::v1::GetFiguresResponse* answer) {
  answer->set_calls(calls);
  answer->set_failed_calls(failed);
  answer->clear_call_latency();
  ToProto(Latency(calls, average_ms), answer->mutable_call_latency());
}

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_FIGURES_FIGURES_FIXTURE_H_
