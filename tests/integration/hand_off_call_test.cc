// What was in memory is in memory after nodes have joined and left under load: it went over before
// the slots did. Refill from Redis is off, so that nothing else can have brought it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "nlohmann/json.hpp"
#include "tests/integration/cache_calls.h"
#include "tests/integration/checked_load.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr int kKeys = 3000;
constexpr absl::Duration kPatience = absl::Seconds(60);

class HandOffCallTest : public ::testing::Test {
 protected:
  void Start(std::vector<std::string> coordinator_flags) {
    TestClusterOptions options;
    options.regions = {"us"};
    options.nodes = 2;
    options.node_flags = {"--refill-rate=0"};
    options.coordinator_flags = std::move(coordinator_flags);
    options.coordinator_flags.push_back("--restart-absence=3s");
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    ClientOptions patient;  // On a machine that does other things, too.
    patient.get_timeout = patient.set_timeout = patient.batch_timeout = absl::Seconds(5);
    client_ = cluster_->NewClient("us", patient);
    load_client_ = cluster_->NewClient("us", patient);
    for (int i = 0; i < kKeys; ++i) keys_.push_back(absl::StrCat("hot:", i));
    const auto stub = NewStub<cache::v1::CacheService>(cluster_->Address("us-node-1", "data"));
    for (size_t from = 0; from < keys_.size(); from += 1000) {
      calls::SetAll(*stub,
                    {keys_.begin() + static_cast<ptrdiff_t>(from),
                     keys_.begin() + static_cast<ptrdiff_t>(from + 1000)},
                    "value");
    }
    for (int round = 0; round < 3; ++round) L1Share();
    ASSERT_GT(L1Share(), 0.99);
    CheckedLoadOptions load;
    load.stale_bound = absl::Seconds(1);
    load_ = std::make_unique<CheckedLoad>(*load_client_, load);
    ASSERT_TRUE(load_->Progress(500));
  }
  // Of one read of each key, how many an L1 answers.
  double L1Share() {
    int hits = 0;
    for (int from = 0; from < kKeys; from += 500) {
      const std::vector<std::string_view> some(keys_.begin() + from, keys_.begin() + from + 500);
      for (const GetResult& result : client_->BatchGet(calls::kSpace, some)) {
        EXPECT_EQ(result.value, "value") << (result.error ? result.error->message : "");
        hits += result.source == ResultSource::kL1 ? 1 : 0;
      }
    }
    return static_cast<double>(hits) / kKeys;
  }
  void Know(double members) {
    ASSERT_TRUE(WaitUntil(
        [&] {
          return FetchMetric(cluster_->Address("us-node-1", "http"), "meridian_ring_nodes") ==
                 members;
        },
        kPatience));
    // The client as well, and who gained slots follows them.
    absl::SleepFor(absl::Milliseconds(500));
  }
  uint64_t Drain(const std::string& node) {
    const CommandResult result = RunCommand({ProgramPath("meridianctl"), "drain", node, "--json", "--yes",
                                             "--target", cluster_->Address("us-node-1", "data")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const auto json = nlohmann::json::parse(result.out, nullptr, false);
    return json.is_object() ? json.value("handed_off_entries", uint64_t{0}) : 0;
  }
  // Two nodes become five and then three; the lowest share of reads that L1 answered meanwhile.
  double LowestShareOverChanges() {
    double lowest = 1;
    std::string shares;
    const auto note = [&](const std::string& what) {
      const double share = L1Share();
      absl::StrAppend(&shares, " ", what, " ", absl::StrCat(share));
      lowest = std::min(lowest, share);
    };
    for (int node = 3; node <= 5; ++node) {
      cluster_->AddNode("us");
      Know(node);
      note(absl::StrCat("+", node));
    }
    for (const char* node : {"us-node-2", "us-node-4"}) {
      handed_off_ += Drain(node);
      Know(node == std::string("us-node-2") ? 4 : 3);
      note(absl::StrCat("-", node));
    }
    EXPECT_TRUE(load_->Progress(500));
    EXPECT_EQ(load_->errors(), 0u) << load_->error_text();
    EXPECT_TRUE(load_->wrong().empty());
    std::printf("L1 share of reads:%s; drains handed over %llu entries\n", shares.c_str(),
                static_cast<unsigned long long>(handed_off_));
    return lowest;
  }

  std::vector<std::string> keys_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Client> load_client_;
  std::unique_ptr<CheckedLoad> load_;
  uint64_t handed_off_ = 0;
};

TEST_F(HandOffCallTest, MemoryStaysWarmWhenTwoNodesBecomeFiveAndThenThree) {
  ASSERT_NO_FATAL_FAILURE(Start({}));
  EXPECT_GT(LowestShareOverChanges(), 0.97);
  EXPECT_GT(handed_off_, uint64_t{kKeys} / 4);
  const std::string coordinator = cluster_->Address("us-coordinator-1", "http");
  EXPECT_GE(
      FetchMetric(coordinator, "meridian_coordinator_hand_offs_total", {"outcome=\"complete\""}),
      5);
}

// The control: without it the keys of slots that move are read from Redis once.
TEST_F(HandOffCallTest, WithoutItWhatMovesIsReadFromRedis) {
  ASSERT_NO_FATAL_FAILURE(Start({"--hand-off-timeout=0"}));
  EXPECT_LT(LowestShareOverChanges(), 0.85);
  EXPECT_EQ(handed_off_, 0u);
}

}  // namespace
}  // namespace meridian
