// A region that is cut off from the others by the network, under load: nobody's reads or writes
// fail, and what each side missed is caught up with while the writes go on, at several times their
// rate. By how much, says scripts/bench regions.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/paced_load.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::IsEmpty;

// In production it takes 10 minutes, as with scripts/bench regions --full, and the catch-up 2.5 at
// most. Here it must be long enough for what does not grow with it: up to 3 s until the links have
// noticed that it is over.
constexpr absl::Duration kCut = absl::Seconds(30);
constexpr double kWritesPerSecond = 500;  // Of all regions together: half of the bench's.
constexpr double kCatchUp = 5;            // Times the writes, counted from healing.
constexpr double kDeletes = 0.2;
constexpr absl::Duration kPatience = absl::Seconds(60);
const char* const kRegions[] = {"us", "eu", "asia"};

// What a node says about its link to another region.
struct Link {
  double backlog = 0;
  double oldest_seconds = 0;
  double applied = 0;
};

// Reads keys of other regions' loads all the time, so that the memory of this region's nodes has them
// when they change or go over there.
class ForeignReads {
 public:
  ForeignReads(Client& client, std::vector<std::string> loads, uint64_t seed)
      : client_(client), loads_(std::move(loads)), random_(seed), thread_([this] { Run(); }) {}
  ~ForeignReads() { Stop(); }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  uint64_t from_l1() const { return from_l1_; }
  uint64_t failed() const { return failed_; }

 private:
  void Run() {
    for (; !stop_; absl::SleepFor(absl::Milliseconds(50))) {
      std::vector<std::string> names;
      for (int i = 0; i < 10; ++i) {
        names.push_back(absl::StrCat(loads_[random_() % loads_.size()], ":", random_() % kKeys));
      }
      const std::vector<std::string_view> keys(names.begin(), names.end());
      for (const GetResult& read : client_.BatchGet("task", keys)) {
        failed_ += read.error != nullptr ? 1 : 0;
        from_l1_ += read.hit() && read.source == ResultSource::kL1 ? 1 : 0;
      }
    }
  }

  static constexpr uint64_t kKeys = 100;  // Of each load: few, so that they are read again soon.

  Client& client_;
  const std::vector<std::string> loads_;
  std::mt19937_64 random_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> from_l1_{0};
  std::atomic<uint64_t> failed_{0};
  std::thread thread_;
};

class RegionCutTest : public testing::Test {
 protected:
  void Start(const std::string& wan_delay, const std::string& redis) {
    TestClusterOptions options;
    options.redis = redis;
    options.nodes = 1;
    options.fault_proxies = "links";
    options.wan_delay = wan_delay;
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    for (const char* region : kRegions) {
      ClientOptions patient;
      patient.get_timeout = patient.set_timeout = patient.batch_timeout = absl::Seconds(10);
      clients_[region] = cluster_->NewClient(region, patient);
    }
  }

  Link LinkOf(const std::string& from, const std::string& to) const {
    const absl::StatusOr<HttpPage> page =
        HttpGet(cluster_->Address(from + "-node-1", "http"), "/metrics");
    if (!page.ok()) return {};
    const std::string label = absl::StrCat("to=\"", to, "\"");
    return {.backlog = MetricSum(page->body, "meridian_replication_queue_entries", {label}),
            .oldest_seconds = MetricSum(page->body, "meridian_replication_oldest_seconds", {label}),
            .applied = MetricSum(page->body, "meridian_replication_applied_total", {label})};
  }
  uint64_t Differing() const {
    const CommandResult result = RunCommand({ProgramPath("meridianctl"), "region", "diff", "--json",
                                             "--admin", cluster_->Address("us-node-1", "admin")});
    const nlohmann::json json =
        nlohmann::json::parse(result.out, nullptr, /*allow_exceptions=*/false);
    return json.is_object() ? json.value("differing_keys", uint64_t{0}) : uint64_t{1} << 40;
  }
  bool LinksAreEven() const {
    for (const char* from : kRegions) {
      for (const char* to : kRegions) {
        if (from != to && LinkOf(from, to).oldest_seconds > 1) return false;
      }
    }
    return true;
  }
  // A comparison of what is still on its way takes long, and says nothing.
  void ExpectEqualRegions() const {
    EXPECT_TRUE(WaitUntil([&] { return LinksAreEven(); }, kPatience));
    uint64_t differing = 0;
    EXPECT_TRUE(WaitUntil([&] { return (differing = Differing()) == 0; }, kPatience))
        << differing << " keys differ";
  }

  std::unique_ptr<TestCluster> cluster_;
  std::map<std::string, std::unique_ptr<Client>> clients_;
};

TEST_F(RegionCutTest, EveryRegionServesOnAndCatchesUpWhileItIsWritten) {
  ASSERT_NO_FATAL_FAILURE(Start("us-eu=40ms,us-asia=80ms,eu-asia=120ms", ""));
  std::map<std::string, std::unique_ptr<PacedLoad>> loads;
  uint64_t seed = 1;
  for (const char* region : kRegions) {
    PacedLoadOptions options;
    options.name = region;
    options.writes_per_second = kWritesPerSecond / 3;
    options.reads_per_second = 100;
    options.deletes = kDeletes;
    options.seed = seed++;
    loads[region] = std::make_unique<PacedLoad>(*clients_[region], options);
  }
  const auto writes = [&] {
    uint64_t sum = 0;
    for (const auto& [region, load] : loads) sum += load->writes();
    return sum;
  };
  ASSERT_TRUE(WaitUntil([&] { return writes() > kWritesPerSecond; }, kPatience));
  std::map<std::string, std::unique_ptr<ForeignReads>> foreign;
  for (const char* region : kRegions) {
    std::vector<std::string> others;
    for (const char* other : kRegions) {
      if (other != std::string(region)) others.push_back(other);
    }
    foreign[region] = std::make_unique<ForeignReads>(*clients_[region], others, seed++);
  }

  cluster_->Cut("eu");
  const absl::Time cut = absl::Now();
  std::map<std::string, uint64_t> writes_at_cut;
  for (const auto& [region, load] : loads) writes_at_cut[region] = load->writes();
  const auto cut_is_over = [&] { return absl::Now() - cut >= kCut; };
  ASSERT_TRUE(WaitUntil(cut_is_over, kPatience));
  std::map<std::string, double> rates;  // Writes a second.
  for (const auto& [region, load] : loads) {
    rates[region] = static_cast<double>(load->writes() - writes_at_cut[region]) /
                    absl::ToDoubleSeconds(absl::Now() - cut);
    EXPECT_EQ(load->failed(), 0u) << region << ": " << load->first_error();
    EXPECT_GT(load->reads(), 0u);
  }
  EXPECT_GT(LinkOf("us", "eu").oldest_seconds, absl::ToDoubleSeconds(kCut) / 2)
      << "nothing was cut";
  EXPECT_LT(LinkOf("us", "asia").oldest_seconds, 5) << "a healthy link waits for a sick one";

  std::map<std::pair<std::string, std::string>, Link> at_heal;
  for (const char* other : {"us", "asia"}) {
    at_heal[{other, "eu"}] = LinkOf(other, "eu");
    at_heal[{"eu", other}] = LinkOf("eu", other);
  }
  for (const auto& [names, link] : at_heal) {
    EXPECT_GT(link.backlog, rates[names.first] * absl::ToDoubleSeconds(kCut) / 2)
        << names.first << " to " << names.second;
  }
  cluster_->Heal("eu");
  const absl::Time healed = absl::Now();
  std::map<std::pair<std::string, std::string>, absl::Duration> caught_up;
  EXPECT_TRUE(WaitUntil(
      [&] {
        for (const auto& [names, link] : at_heal) {
          const Link now = LinkOf(names.first, names.second);
          // Writes go on, so a healthy link is never empty.
          const bool even = now.applied > link.applied && now.oldest_seconds < 1;
          if (even) caught_up.try_emplace(names, absl::Now() - healed);
        }
        return caught_up.size() == at_heal.size();
      },
      kPatience));
  for (const auto& [names, took] : caught_up) {
    const double seconds = absl::ToDoubleSeconds(took);
    const double rate = rates[names.first];
    const double times = (at_heal[names].backlog + rate * seconds) / seconds / rate;
    std::printf("%s to %s: %.0f changes waited, caught up after %.2f s: %.1f times the writes\n",
                names.first.c_str(), names.second.c_str(), at_heal[names].backlog, seconds, times);
    EXPECT_GE(times, kCatchUp) << names.first << " to " << names.second;
  }

  for (const auto& [region, reads] : foreign) {
    reads->Stop();
    EXPECT_EQ(reads->failed(), 0u) << region;
    EXPECT_GT(reads->from_l1(), 200u) << region << " has little of the others in memory";
  }
  for (const auto& [region, load] : loads) {
    load->Stop();
    EXPECT_EQ(load->failed(), 0u) << region << ": " << load->first_error();
    EXPECT_GT(load->deletes(), 0u);
  }
  ExpectEqualRegions();
  // Also what is still in the memory of other regions: no deleted key is readable anywhere.
  for (const auto& [region, load] : loads) {
    for (const auto& [reader, client] : clients_) {
      EXPECT_THAT(load->Differences(*client), IsEmpty())
          << "keys of " << region << ", read in " << reader;
    }
  }
}

TEST_F(RegionCutTest, TenThousandKeysWrittenOnBothSidesOfACutEndOnTheNewestVersion) {
  constexpr int kKeys = 10'000;
  constexpr int kBatch = 1000;
  ASSERT_NO_FATAL_FAILURE(Start("", "us=cluster,eu=sentinel"));  // The source systems' own set-up.
  ASSERT_TRUE(clients_["us"]->Set("task", "before", "v").ok());
  ASSERT_TRUE(WaitUntil([&] { return clients_["eu"]->Get("task", "before").hit(); }, kPatience));
  cluster_->Cut("eu");
  std::vector<Version> newest(kKeys);
  std::map<std::string, int> wins;
  // Alternating, so that each side wins often.
  for (int first = 0; first < kKeys; first += kBatch) {
    const bool us_first = first / kBatch % 2 == 0;
    for (const char* region : {us_first ? "us" : "eu", us_first ? "eu" : "us"}) {
      std::vector<SetItem> items;
      for (int i = first; i < first + kBatch; ++i) {
        items.push_back({.key = absl::StrCat("both:", i),
                         .value = region,
                         .tags = {},
                         .expected_version = {},
                         .state_hint = {}});
      }
      const std::vector<WriteResult> results = clients_[region]->BatchSet("task", std::move(items));
      for (int i = 0; i < kBatch; ++i) {
        const WriteResult& result = results[static_cast<size_t>(i)];
        ASSERT_TRUE(result.ok()) << region << ": " << result.error->message;
        Version& best = newest[static_cast<size_t>(first + i)];
        best = std::max(best, result.version);
      }
    }
  }
  EXPECT_GT(LinkOf("us", "eu").backlog, kKeys / 4) << "the cut does not hold";
  EXPECT_GT(LinkOf("eu", "us").backlog, kKeys / 4);
  EXPECT_NE(clients_["eu"]->Get("task", "both:0").version,
            clients_["us"]->Get("task", "both:0").version);
  cluster_->Heal("eu");
  ExpectEqualRegions();
  for (const auto& [region, client] : clients_) {
    for (int first = 0; first < kKeys; first += kBatch) {
      std::vector<std::string> names;
      for (int i = first; i < first + kBatch; ++i) names.push_back(absl::StrCat("both:", i));
      const std::vector<std::string_view> keys(names.begin(), names.end());
      const std::vector<GetResult> answers = client->BatchGet("task", keys);
      for (int i = 0; i < kBatch; ++i) {
        const GetResult& answer = answers[static_cast<size_t>(i)];
        ASSERT_EQ(answer.version, newest[static_cast<size_t>(first + i)])
            << names[static_cast<size_t>(i)] << " in " << region;
        ++wins[answer.value];
      }
    }
  }
  EXPECT_GT(wins["us"], kKeys / 2) << "both sides won";
  EXPECT_GT(wins["eu"], kKeys / 2);
  EXPECT_EQ(wins["us"] + wins["eu"], 3 * kKeys);
}

}  // namespace
}  // namespace meridian
