// A thousand slots of the regional Redis Cluster move, as operators move them, under the load of
// clients through real nodes: nobody gets an error.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/paced_load.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::IsEmpty;

constexpr int kSlots = 1000;
constexpr absl::Duration kPatience = absl::Seconds(60);

class SlotMoveTest : public testing::Test {
 protected:
  void SetUp() override {
    TestClusterOptions options;
    options.regions = {"us"};
    options.redis = "cluster";
    options.node_flags = {"--l1-max-entries=100"};  // Reads go to the Redis.
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    client_ = cluster_->NewClient("us");
  }
  std::string RedisAddress(int i) const {
    return cluster_->Address(absl::StrCat("us-redis-", i), "redis");
  }
  std::string IdOf(int i) const {
    const std::string address = RedisAddress(i);
    const std::string port = address.substr(address.rfind(':') + 1);
    std::string id = RunCommand({"redis-cli", "-p", port, "CLUSTER", "MYID"}).out;
    while (!id.empty() && id.back() == '\n') id.pop_back();
    return id;
  }
  double Redirects() const {
    double sum = 0;
    for (const char* node : {"us-node-1", "us-node-2"}) {
      sum += FetchMetric(cluster_->Address(node, "http"), "meridian_l2_redirects_total");
    }
    return sum;
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> client_;
};

TEST_F(SlotMoveTest, AThousandSlotsMoveUnderLoadAndNoClientGetsAnError) {
  // So that only what a move does is an error, and not a machine that is busy. On one that is not,
  // MERIDIAN_QUIET_MACHINE=1 has the client's own deadline kept.
  const absl::Duration deadline = std::getenv("MERIDIAN_QUIET_MACHINE") != nullptr
                                      ? ClientOptions().set_timeout
                                      : absl::Seconds(10);
  PacedLoadOptions writes;
  writes.name = "written";
  writes.writes_per_second = 300;
  writes.timeout = deadline;
  PacedLoadOptions reads;
  reads.name = "written";  // What the other load writes.
  reads.writes_per_second = 0;
  reads.seed = 2;
  reads.reads_per_second = 300;
  reads.timeout = deadline;
  PacedLoad writer(*client_, writes);
  PacedLoad reader(*client_, reads);
  ASSERT_TRUE(WaitUntil([&] { return writer.writes() > 1000; }, kPatience));

  const uint64_t written = writer.writes();
  const CommandResult moved = RunCommand(
      {"redis-cli", "--cluster", "reshard", RedisAddress(1), "--cluster-from", IdOf(1),
       "--cluster-to", IdOf(2), "--cluster-slots", absl::StrCat(kSlots), "--cluster-yes"},
      kPatience);
  ASSERT_EQ(moved.exit_code, 0) << moved.out << moved.err;
  const uint64_t written_meanwhile = writer.writes() - written;
  // Long enough to meet every slot that has moved.
  ASSERT_TRUE(WaitUntil([&] { return writer.writes() > written + 1000; }, kPatience));
  writer.Stop();
  reader.Stop();
  EXPECT_EQ(writer.failed() + reader.failed(), 0u)
      << writer.first_error() << "; " << reader.first_error();
  EXPECT_GT(written_meanwhile, 100u);
  EXPECT_GT(reader.reads(), 100u);
  EXPECT_GT(Redirects(), 0);
  EXPECT_THAT(writer.Differences(*client_), IsEmpty());
}

}  // namespace
}  // namespace meridian
