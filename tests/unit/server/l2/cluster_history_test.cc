#include "server/l2/cluster_history.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

std::string Server(const std::string& host) {
  return absl::StrCat("*3\r\n$", host.size(), "\r\n", host, "\r\n:6379\r\n$2\r\nid\r\n");
}

// The answer of CLUSTER SLOTS: two halves of the slots, each with its primary and its replicas.
SlotTable Table(const std::vector<std::string>& low, const std::vector<std::string>& high) {
  std::string bytes = "*2\r\n";
  for (const auto& [first, last, servers] :
       {std::tuple(0, 8191, low), std::tuple(8192, 16383, high)}) {
    absl::StrAppend(&bytes, "*", 2 + servers.size(), "\r\n:", first, "\r\n:", last, "\r\n");
    for (const std::string& server : servers) bytes += Server(server);
  }
  ReplyReader reader{ReplyLimits()};
  Reply reply;
  EXPECT_TRUE(reader
                  .Feed(bytes,
                        [&](absl::StatusOr<Reply> one) {
                          reply = *std::move(one);
                          return true;
                        })
                  .ok());
  return *SlotTable::Parse(reply, {"seed", 6379});
}

size_t Count(const std::vector<bool>& slots) {
  return static_cast<size_t>(std::count(slots.begin(), slots.end(), true));
}

TEST(ClusterHistoryTest, AReplicaThatTakesOverMayLackSomething) {
  ClusterHistory history;
  EXPECT_EQ(Count(history.TakenOver(Table({"a", "ra"}, {"b", "rb"}))), 0u) << "nothing was before";
  EXPECT_EQ(Count(history.TakenOver(Table({"a", "ra"}, {"b", "rb"}))), 0u);
  const std::vector<bool> taken = history.TakenOver(Table({"ra"}, {"b", "rb"}));
  EXPECT_EQ(Count(taken), 8192u);
  EXPECT_TRUE(taken[0]);
  EXPECT_EQ(history.SlotsOf({"ra", 6379}), taken);
  // Back again: the old primary was a replica meanwhile.
  EXPECT_EQ(Count(history.TakenOver(Table({"ra", "a"}, {"b", "rb"}))), 0u);
  EXPECT_EQ(Count(history.TakenOver(Table({"a", "ra"}, {"b", "rb"}))), 8192u);
}

TEST(ClusterHistoryTest, SlotsThatMoveBetweenPrimariesComeWithTheirData) {
  ClusterHistory history;
  SlotTable table = Table({"a"}, {"b"});
  history.TakenOver(table);
  const SlotTable moved = table.With(5, {"b", 6379});
  EXPECT_EQ(Count(history.TakenOver(moved)), 0u);
  EXPECT_EQ(Count(history.TakenOver(table)), 0u) << "an older table";
  EXPECT_EQ(Count(history.TakenOver(moved)), 0u);
  // To a server that is new: the first time cannot be told from a failover.
  EXPECT_EQ(Count(history.TakenOver(moved.With(7, {"c", 6379}))), 1u);
  EXPECT_EQ(Count(history.TakenOver(moved)), 0u);
  EXPECT_EQ(Count(history.TakenOver(moved.With(7, {"c", 6379}).With(8, {"c", 6379}))), 0u);
}

}  // namespace
}  // namespace meridian
