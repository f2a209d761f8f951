// What `meridianctl doctor` finds: one thing wrong at a time.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/cli/doctor_checks.h"
#include "client/cli/doctor_facts.h"

namespace meridian::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr absl::Time kNow = absl::FromUnixSeconds(1'795'000'000);

NodeFacts Node(const std::string& name) {
  NodeFacts node;
  node.address = name + ":7402";
  node.asked = kNow;
  node.took = absl::Milliseconds(2);
  node.figures.set_node(name);
  node.figures.set_region("us");
  node.figures.set_at_unix_ms(static_cast<uint64_t>(absl::ToUnixMillis(kNow)));
  node.figures.set_l2_used_bytes(10);
  node.figures.set_l2_limit_bytes(100);
  admin::v1::GetStatusResponse& status = *node.figures.mutable_status();
  status.set_node(name);
  status.set_region("us");
  status.set_version("0.1.0");
  status.set_epoch(7);
  status.set_coordinator("c1:7410");
  status.set_l1_bytes(10);
  status.set_l1_limit_bytes(100);
  admin::v1::L2Status& l2 = *status.add_l2();
  l2.set_region("us");
  l2.set_address("redis:6379");
  l2.set_connected(true);
  l2.set_breaker("closed");
  for (const char* id : {"n1", "n2"}) {
    admin::v1::RingMember& entry = *node.ring.add_members();
    entry.mutable_member()->set_id(id);
    entry.mutable_member()->set_state(cache::v1::MEMBER_STATE_SERVING);
    entry.set_slots(512);
  }
  return node;
}

// A cluster of which there is nothing to say, but for what is so in every one (kAlways).
ClusterFacts Healthy() {
  ClusterFacts facts;
  facts.now = kNow;
  facts.own_version = "0.1.0";
  facts.nodes = {Node("n1"), Node("n2")};
  for (const char* address : {"c1:7410", "c2:7410"}) {
    CoordinatorFacts coordinator;
    coordinator.address = address;
    coordinator.region = "us";
    coordinator.listed = true;
    coordinator.status.set_region("us");
    coordinator.status.set_leader(address[1] == '1');
    facts.coordinators.push_back(coordinator);
  }
  return facts;
}

admin::v1::GetStatusResponse& StatusOf(NodeFacts& node) { return *node.figures.mutable_status(); }

// Listeners have no TLS yet.
constexpr char kAlways[] = "info plaintext cluster";

// "critical redis_away n1"
std::vector<std::string> AllFound(const ClusterFacts& facts) {
  std::vector<std::string> found;
  for (const Finding& finding : Examine(facts)) {
    found.push_back(std::string(SeverityName(finding.severity)) + " " + finding.check + " " +
                    finding.about);
  }
  return found;
}

// All but kAlways.
std::vector<std::string> Found(const ClusterFacts& facts) {
  std::vector<std::string> found = AllFound(facts);
  std::erase(found, kAlways);
  return found;
}

TEST(DoctorTest, AHealthyClusterIsNotComplainedOf) {
  EXPECT_THAT(AllFound(Healthy()), UnorderedElementsAre(kAlways));
  EXPECT_EQ(ExitCodeOf(Examine(Healthy())), kExitOk);
  EXPECT_THAT(FindingsText(Healthy(), {}, Style(false)), HasSubstr("nothing to complain of"));
}

TEST(DoctorTest, NodesAreAwayDisagreeOrAreOfOtherReleases) {
  ClusterFacts facts = Healthy();
  facts.nodes[1] = {};
  facts.nodes[1].address = "n2:7402";
  facts.nodes[1].name = "n2";
  facts.nodes[1].problem = "refused";
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical node_down n2"));
  facts = Healthy();
  StatusOf(facts.nodes[1]).set_epoch(8);
  StatusOf(facts.nodes[1]).set_version("0.2.0");
  EXPECT_THAT(Found(facts), UnorderedElementsAre("warning epochs us", "warning versions cluster"));
  facts = Healthy();
  facts.own_version = "0.3.0";
  EXPECT_THAT(Found(facts), UnorderedElementsAre("info versions meridianctl"));
}

TEST(DoctorTest, ClocksThatAreOffAreTold) {
  ClusterFacts facts = Healthy();
  facts.nodes.push_back(Node("n3"));
  const auto ahead = [&](absl::Duration by) {
    facts.nodes[2].figures.set_at_unix_ms(static_cast<uint64_t>(absl::ToUnixMillis(kNow + by)));
    return Found(facts);
  };
  EXPECT_THAT(ahead(absl::Milliseconds(900)), IsEmpty());
  EXPECT_THAT(ahead(absl::Seconds(5)), UnorderedElementsAre("warning clock n3"));
  EXPECT_THAT(ahead(-absl::Seconds(31)), UnorderedElementsAre("critical clock n3"));
  // A slow answer says less about a clock.
  facts.nodes[2].took = absl::Seconds(20);
  EXPECT_THAT(ahead(absl::Seconds(15)), IsEmpty());
  // All of them against this machine.
  facts = Healthy();
  for (NodeFacts& node : facts.nodes) node.asked += absl::Minutes(5);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("info clock meridianctl"));
}

TEST(DoctorTest, WithoutACoordinatorNothingReacts) {
  ClusterFacts facts = Healthy();
  facts.coordinators[0].problem = "refused";
  facts.coordinators[1].problem = "refused";
  for (NodeFacts& node : facts.nodes) {
    StatusOf(node).clear_coordinator();
    StatusOf(node).add_warnings("no coordinator answers, the last topology stays: refused");
  }
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical coordinator_unheard us"));
  facts = Healthy();
  facts.coordinators[0].status.set_leader(false);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical no_leader us"));
  facts = Healthy();
  facts.coordinators.pop_back();
  EXPECT_THAT(Found(facts), UnorderedElementsAre("info single_coordinator us"));
  facts.coordinators[0].listed = false;
  EXPECT_THAT(Found(facts), IsEmpty()) << "the one that nodes follow: of others nothing is known";
  facts.coordinators.clear();
  for (NodeFacts& node : facts.nodes) StatusOf(node).clear_coordinator();
  EXPECT_THAT(Found(facts), UnorderedElementsAre("info static_peers us"));
}

TEST(DoctorTest, OneDeadCoordinatorOfSeveralIsNamed) {
  ClusterFacts facts = Healthy();
  facts.coordinators[1].status = {};
  facts.coordinators[1].problem = "refused";
  ASSERT_THAT(Found(facts), UnorderedElementsAre("warning coordinator_down us"));
  EXPECT_THAT(Examine(facts)[0].summary, AllOf(HasSubstr("c2:7410"), HasSubstr("refused")));
  facts.coordinators[1].region = "eu";
  EXPECT_THAT(Found(facts), UnorderedElementsAre("info single_coordinator us"))
      << "it is of another region";
}

TEST(DoctorTest, WhatIsWrongWithRedisIsTold) {
  ClusterFacts facts = Healthy();
  admin::v1::L2Status& l2 = *StatusOf(facts.nodes[0]).mutable_l2(0);
  l2.set_breaker("open");
  EXPECT_THAT(Found(facts), UnorderedElementsAre("warning redis_circuit n1"));
  l2.set_connected(false);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical redis_away n1"));
  l2.set_connected(true);
  l2.set_breaker("closed");
  l2.set_problem("maxmemory-policy is allkeys-lru, which evicts changelogs and cursors");
  EXPECT_THAT(Found(facts), UnorderedElementsAre("warning redis_settings n1"));
  l2.clear_problem();
  l2.add_endpoints()->set_connected(true);
  l2.mutable_endpoints(0)->set_address("redis:6379");
  l2.mutable_endpoints(0)->set_breaker("closed");
  l2.add_endpoints()->set_breaker("open");
  l2.mutable_endpoints(1)->set_address("redis-2:6379");
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical redis_server n1"));
  StatusOf(facts.nodes[0]).clear_l2();
  EXPECT_THAT(Found(facts), UnorderedElementsAre("info redis_none n1"));
}

void AddServers(std::vector<std::string> addresses, admin::v1::L2Status* l2) {
  for (const std::string& address : addresses) {
    admin::v1::L2Endpoint& server = *l2->add_endpoints();
    server.set_address(address);
    server.set_connected(true);
    server.set_breaker("closed");
  }
}

TEST(DoctorTest, NodesOfARegionThatDoNotUseTheSameRedis) {
  ClusterFacts facts = Healthy();
  StatusOf(facts.nodes[1]).mutable_l2(0)->set_address("other:6379");
  ASSERT_THAT(Found(facts), UnorderedElementsAre("critical redis_differs us"));
  EXPECT_THAT(Examine(facts)[0].summary, HasSubstr("(n1: redis:6379; n2: other:6379)"));
  facts.nodes.push_back(Node("n3"));
  EXPECT_THAT(Examine(facts)[0].summary, HasSubstr("(n1, n3: redis:6379; n2: other:6379)"));
  StatusOf(facts.nodes[1]).mutable_l2(0)->clear_address();
  StatusOf(facts.nodes[1]).mutable_l2(0)->set_connected(false);
  EXPECT_THAT(Found(facts),
              UnorderedElementsAre("critical redis_differs us", "info redis_none n2"));
  // Those of two regions are not compared.
  facts = Healthy();
  StatusOf(facts.nodes[1]).set_region("eu");
  StatusOf(facts.nodes[1]).mutable_l2(0)->set_region("eu");
  StatusOf(facts.nodes[1]).mutable_l2(0)->set_address("other:6379");
  EXPECT_THAT(Found(facts), Not(Contains(HasSubstr("differ"))));
}

TEST(DoctorTest, OneRedisMayHaveSeveralServersAndNamesOfThisMachine) {
  ClusterFacts facts = Healthy();
  const auto servers = [&](std::vector<std::string> first, std::vector<std::string> second) {
    for (NodeFacts& node : facts.nodes) StatusOf(node).mutable_l2(0)->clear_endpoints();
    AddServers(std::move(first), StatusOf(facts.nodes[0]).mutable_l2(0));
    AddServers(std::move(second), StatusOf(facts.nodes[1]).mutable_l2(0));
    return Found(facts);
  };
  EXPECT_THAT(servers({"r1:1", "r2:1"}, {"r2:1", "r1:1"}), IsEmpty());
  EXPECT_THAT(servers({"r1:1", "r2:1"}, {"r2:1", "r3:1"}), IsEmpty()) << "one was just replaced";
  EXPECT_THAT(servers({"localhost:1"}, {"127.0.0.1:1"}), IsEmpty());
  EXPECT_THAT(servers({"r1:1", "r2:1"}, {"r3:1", "r4:1"}),
              UnorderedElementsAre("critical redis_differs us"));
  EXPECT_THAT(servers({"localhost:1"}, {"127.0.0.1:2"}),
              UnorderedElementsAre("critical redis_differs us"));
}

TEST(DoctorTest, NodesOfARegionThatDoNotReplicateToTheSameRegions) {
  ClusterFacts facts = Healthy();
  const auto add = [&](size_t node, const std::string& region, const std::string& address) {
    admin::v1::L2Status& l2 = *StatusOf(facts.nodes[node]).add_l2();
    l2.set_region(region);
    l2.set_address(address);
    l2.set_connected(true);
    l2.set_breaker("closed");
  };
  add(0, "eu", "eu-redis:6379");
  ASSERT_THAT(Found(facts), UnorderedElementsAre("critical regions_differ us"));
  EXPECT_THAT(Examine(facts)[0].summary, HasSubstr("(n1: eu; n2: none)"));
  add(1, "asia", "asia-redis:6379");
  add(0, "asia", "asia-redis:6379");
  add(1, "eu", "eu-redis:6379");
  EXPECT_THAT(Found(facts), IsEmpty()) << "in another order";
  StatusOf(facts.nodes[1]).mutable_l2(2)->set_address("asia-redis:6379");
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical regions_differ us -> eu"));
}

TEST(DoctorTest, NodesOfARegionThatHaveDifferentPolicies) {
  ClusterFacts facts = Healthy();
  const auto set = [](const std::string& task, const std::string& others, NodeFacts* node) {
    node->policies.clear_policies();
    const auto add = [&](const char* name, const std::string& yaml) {
      if (yaml.empty()) return;
      admin::v1::Policy& policy = *node->policies.add_policies();
      policy.set_namespace_(name);
      policy.set_yaml(yaml);
    };
    add("task", task);
    add("*", others);
    node->policies.set_file("/etc/" + node->status().node());
    node->policies.set_loaded_unix_ms(
        static_cast<uint64_t>(absl::ToUnixMillis(kNow - absl::Seconds(10))));
    node->figures.mutable_status()->set_uptime_seconds(10);
  };
  set("ttl: 1h", "ttl: 5m", &facts.nodes[0]);
  EXPECT_THAT(Found(facts), IsEmpty()) << "the other one did not tell";
  set("ttl: 1h", "ttl: 5m", &facts.nodes[1]);
  EXPECT_THAT(Found(facts), IsEmpty());
  set("ttl: 1s", "ttl: 5m", &facts.nodes[1]);
  ASSERT_THAT(Found(facts), UnorderedElementsAre("warning policies_differ us"));
  EXPECT_THAT(Examine(facts)[0].summary,
              AllOf(HasSubstr("for task ("), HasSubstr("n1: /etc/n1; n2: /etc/n2")));
  StatusOf(facts.nodes[1]).set_uptime_seconds(60);
  EXPECT_THAT(Found(facts), IsEmpty()) << "its file was changed 10 s ago";
  facts.now += absl::Seconds(6);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("warning policies_differ us"));
  set("", "ttl: 1h", &facts.nodes[1]);
  ASSERT_THAT(Found(facts), UnorderedElementsAre("warning policies_differ us"));
  EXPECT_THAT(Examine(facts)[0].summary, HasSubstr("for all others ("))
      << "task has the same as all others there";
}

TEST(DoctorTest, MemoryThatDoesNotFitTheWeights) {
  ClusterFacts facts = Healthy();
  StatusOf(facts.nodes[0]).set_l1_limit_bytes(64 << 20);
  StatusOf(facts.nodes[1]).set_l1_limit_bytes(32 << 20);
  EXPECT_THAT(Found(facts), IsEmpty());
  StatusOf(facts.nodes[1]).set_l1_limit_bytes(4 << 20);
  ASSERT_THAT(Found(facts), UnorderedElementsAre("warning l1_differs us"));
  EXPECT_THAT(Examine(facts)[0].summary, HasSubstr("(n1: 64 MiB; n2: 4 MiB)"));
  const auto weigh = [&](uint32_t weight) {
    facts.nodes[0].ring.mutable_members(0)->mutable_member()->set_weight(weight);
    return Found(facts);
  };
  EXPECT_THAT(weigh(16), IsEmpty());
  EXPECT_THAT(weigh(64), UnorderedElementsAre("warning l1_differs us"));
}

// ADR 0020: volatile-lfu is wanted, which leaves what has no TTL.
TEST(DoctorTest, AnEvictionPolicyThatLosesDeletesIsToldOnceOfARegion) {
  ClusterFacts facts = Healthy();
  const auto with = [&](const std::string& policy, const std::string& problem) {
    for (NodeFacts& node : facts.nodes) {
      node.figures.set_l2_eviction_policy(policy);
      StatusOf(node).mutable_l2(0)->set_problem(problem);
    }
    return Found(facts);
  };
  EXPECT_THAT(with("volatile-lfu", ""), IsEmpty());
  EXPECT_THAT(with("volatile-ttl", ""), IsEmpty());
  EXPECT_THAT(with("volatile-lfu", "maxmemory-policy is unknown (CONFIG GET was refused)"),
              IsEmpty())
      << "INFO tells it";
  EXPECT_THAT(with("allkeys-lru", "maxmemory-policy is allkeys-lru, which evicts changelogs"),
              UnorderedElementsAre("warning redis_eviction us"));
  EXPECT_THAT(Examine(facts)[0].summary, AllOf(HasSubstr("allkeys-lru"), HasSubstr("delete")));
  EXPECT_THAT(with("noeviction,volatile-lfu", ""),
              UnorderedElementsAre("warning redis_eviction us"));
  for (NodeFacts& node : facts.nodes) node.figures.set_l2_limit_bytes(0);
  EXPECT_THAT(with("noeviction", ""), UnorderedElementsAre("info redis_maxmemory us"))
      << "Redis' own default is never reached";
}

TEST(DoctorTest, WhatNodesKnowOfRedisIsToldWithItsAge) {
  ClusterFacts facts = Healthy();
  for (NodeFacts& node : facts.nodes) node.figures.set_l2_eviction_policy("allkeys-lru");
  facts.nodes[0].figures.set_l2_told_ago_ms(9'400);
  facts.nodes[1].figures.set_l2_told_ago_ms(7'900);
  ASSERT_THAT(Found(facts), UnorderedElementsAre("warning redis_eviction us"));
  EXPECT_THAT(Examine(facts)[0].summary, HasSubstr("(as it was 7s ago)"));
  facts.nodes[1].figures.set_l2_told_ago_ms(300);
  facts.nodes[1].figures.set_l2_eviction_policy("volatile-lfu");
  EXPECT_THAT(Found(facts), IsEmpty()) << "n1 does not know yet that it was mended";
  facts.nodes[1].figures.clear_l2_told_ago_ms();  // It has just started, and knows nothing.
  facts.nodes[1].figures.clear_l2_eviction_policy();
  facts.nodes[1].figures.clear_l2_persistence();
  facts.nodes[1].figures.clear_l2_used_bytes();
  ASSERT_THAT(Found(facts), UnorderedElementsAre("warning redis_eviction us"));
  EXPECT_THAT(Examine(facts)[0].summary, HasSubstr("(as it was 9s ago)"));
}

TEST(DoctorTest, AnOriginThatIsAwayIsToldOnceWithItsNodes) {
  ClusterFacts facts = Healthy();
  for (NodeFacts& node : facts.nodes) {
    admin::v1::OriginFigures* origin = node.figures.add_origins();
    origin->set_namespace_("task");
    origin->set_address("origin:50051");
    origin->set_breaker("closed");
  }
  EXPECT_THAT(Found(facts), IsEmpty());
  facts.nodes[0].figures.mutable_origins(0)->set_breaker("open");
  facts.nodes[1].figures.mutable_origins(0)->set_breaker("half_open");
  StatusOf(facts.nodes[0]).add_warnings("namespace task: its origin at origin:50051 does not …");
  coordinator::v1::Alert& alert = facts.alerts.emplace_back();
  alert.set_name("MeridianOriginBreakerOpen");
  alert.set_state("firing");
  (*alert.mutable_labels())["namespace"] = "task";
  ASSERT_THAT(Found(facts), UnorderedElementsAre("warning origin_away us/task"));
  EXPECT_THAT(Examine(facts)[0].summary,
              AllOf(HasSubstr("n1 (breaker open), n2 (breaker half_open)"),
                    HasSubstr("its origin at origin:50051")));
  (*alert.mutable_labels())["namespace"] = "session";
  EXPECT_EQ(Found(facts).size(), 2u) << "the alert is about another one";
}

TEST(DoctorTest, ARedisThatKeepsNothingOverARestartIsNoted) {
  ClusterFacts facts = Healthy();
  for (const char* kept : {"", "rdb", "aof", "rdb+aof"}) {
    facts.nodes[1].figures.set_l2_persistence(kept);
    EXPECT_THAT(Found(facts), IsEmpty()) << kept;
  }
  facts.nodes[1].figures.set_l2_persistence("none");
  EXPECT_THAT(Found(facts), UnorderedElementsAre("info redis_persistence us"));
  EXPECT_THAT(Examine(facts), Contains(testing::Field(&Finding::summary, HasSubstr("deletes"))));
  StatusOf(facts.nodes[0]).mutable_l2(0)->set_connected(false);
  EXPECT_THAT(Found(facts),
              UnorderedElementsAre("critical redis_away n1", "info redis_persistence us"))
      << "the other one still sees it";
  StatusOf(facts.nodes[1]).mutable_l2(0)->set_connected(false);
  EXPECT_THAT(Found(facts),
              UnorderedElementsAre("critical redis_away n1", "critical redis_away n2"))
      << "nobody does";
}

TEST(DoctorTest, ARedisThatCannotSaveIsAWarning) {
  ClusterFacts facts = Healthy();
  for (NodeFacts& node : facts.nodes) {
    StatusOf(node).add_warnings(
        "Redis of us cannot write to its disk: what it has is lost if it restarts");
  }
  EXPECT_THAT(Found(facts), UnorderedElementsAre("warning redis_disk us"));
}

TEST(DoctorTest, MemoryNearFullIsToldAndOfL1NoReasonToWakeAnybody) {
  ClusterFacts facts = Healthy();
  StatusOf(facts.nodes[1]).set_l1_bytes(91);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("info l1_full n2"));
  facts = Healthy();
  facts.nodes[1].figures.set_l2_used_bytes(95);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("warning redis_memory us"));
  facts = Healthy();
  for (NodeFacts& node : facts.nodes) node.figures.set_l2_limit_bytes(0);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("info redis_maxmemory us"));
}

TEST(DoctorTest, SlotsWithoutAnOwnerAndNodesOnTheirOwn) {
  ClusterFacts facts = Healthy();
  facts.nodes[0].ring.mutable_members(0)->set_slots(500);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical slots us"));
  facts = Healthy();
  facts.nodes[0].ring.mutable_members(1)->mutable_member()->set_state(
      cache::v1::MEMBER_STATE_DRAINING);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("info member_state n2"));
  facts = Healthy();
  facts.nodes.pop_back();
  facts.nodes[0].ring.clear_members();
  EXPECT_THAT(Found(facts), UnorderedElementsAre("info single_node us"));
}

TEST(DoctorTest, PlaintextIsANoteOnOneMachineAndAWarningBeyond) {
  ClusterFacts facts = Healthy();
  ASSERT_THAT(AllFound(facts), UnorderedElementsAre("info plaintext cluster"));
  EXPECT_THAT(Examine(facts)[0].summary, HasSubstr("(n1, n2)"));
  StatusOf(facts.nodes[0])
      .add_warnings("plaintext without authentication is reachable beyond this machine");
  EXPECT_THAT(AllFound(facts), UnorderedElementsAre("warning plaintext cluster"));
}

TEST(DoctorTest, NothingIsPlaintextThatWasAskedByTls) {
  ClusterFacts facts = Healthy();
  facts.tls = true;
  EXPECT_THAT(AllFound(facts), IsEmpty());
}

TEST(DoctorTest, ACertificateForRedisProtectsNoListener) {
  ClusterFacts facts = Healthy();
  for (NodeFacts& node : facts.nodes) {
    node.figures.set_certificate_expires_unix_ms(
        static_cast<uint64_t>(absl::ToUnixMillis(kNow + absl::Hours(24 * 90))));
  }
  ASSERT_THAT(AllFound(facts), UnorderedElementsAre("info plaintext cluster"));
  EXPECT_THAT(Examine(facts)[0].summary, HasSubstr("(n1, n2)"));
}

TEST(DoctorTest, CertificatesAreToldBeforeTheyExpire) {
  ClusterFacts facts = Healthy();
  const auto left = [&](absl::Duration time) {
    facts.nodes[0].figures.set_certificate_expires_unix_ms(
        static_cast<uint64_t>(absl::ToUnixMillis(kNow + time)));
    return Found(facts);
  };
  EXPECT_THAT(left(absl::Hours(24 * 15)), IsEmpty());
  EXPECT_THAT(left(absl::Hours(24 * 13)), UnorderedElementsAre("warning certificate n1"));
  EXPECT_THAT(left(absl::Hours(48)), UnorderedElementsAre("critical certificate n1"));
  EXPECT_THAT(left(-absl::Hours(1)), UnorderedElementsAre("critical certificate n1"));
  EXPECT_THAT(Examine(facts)[0].summary, AllOf(HasSubstr("has expired"), HasSubstr("Redis")));
}

TEST(DoctorTest, TheCertificateOfACoordinatorIsNotTakenForThatOfANode) {
  ClusterFacts facts = Healthy();
  facts.nodes[0].figures.set_certificate_expires_unix_ms(
      static_cast<uint64_t>(absl::ToUnixMillis(kNow + absl::Hours(48))));
  coordinator::v1::Alert& alert = facts.alerts.emplace_back();
  alert.set_name("MeridianCertificateExpires");
  alert.set_state("firing");
  alert.set_severity("critical");
  (*alert.mutable_labels())["region"] = "us";
  (*alert.mutable_labels())["coordinator"] = "c2";
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical certificate n1", "critical alert us"));
}

TEST(DoctorTest, ReplicationThatIsLateCutOrLost) {
  ClusterFacts facts = Healthy();
  admin::v1::ReplicationLink& link = *facts.nodes[1].figures.add_links();
  link.set_from("us");
  link.set_to("eu");
  link.set_state("streaming");
  *facts.nodes[0].figures.add_links() = link;  // The other node is well.
  EXPECT_THAT(Found(facts), IsEmpty());
  link.set_lag_ms(5'000);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("warning replication_lag us -> eu"));
  link.set_lag_ms(61'000);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical replication_lag us -> eu"));
  link.set_state("disconnected");
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical replication_lost us -> eu"));
  link.set_state("cut");
  link.set_repairing_slots(3);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("warning replication_cut us -> eu",
                                                 "warning suspect_slots us -> eu"));
}

TEST(DoctorTest, AlertsFireUnlessTheSameWasFound) {
  ClusterFacts facts = Healthy();
  coordinator::v1::Alert alert;
  alert.set_name("MeridianRedisAway");
  alert.set_severity("critical");
  alert.set_state("firing");
  (*alert.mutable_labels())["node"] = "n1";
  (*alert.mutable_labels())["region"] = "us";
  facts.alerts = {alert};
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical alert us"));
  EXPECT_THAT(Examine(facts)[0].advice, HasSubstr("docs/runbooks/MeridianRedisAway.md"));
  StatusOf(facts.nodes[0]).mutable_l2(0)->set_connected(false);
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical redis_away n1"));
  (*facts.alerts[0].mutable_labels())["node"] = "n2";
  EXPECT_THAT(Found(facts), UnorderedElementsAre("critical redis_away n1", "critical alert us"));
  facts = Healthy();
  alert.set_state("pending");
  facts.alerts = {alert};
  EXPECT_THAT(Found(facts), IsEmpty());
}

TEST(DoctorTest, WhatANodeWarnsOfItselfIsPassedOn) {
  ClusterFacts facts = Healthy();
  StatusOf(facts.nodes[0]).add_warnings("not ready: it waits for its hot keys");
  EXPECT_THAT(Found(facts), UnorderedElementsAre("warning node_warning n1"));
}

TEST(DoctorTest, TheWorstDecidesTheExitCodeAndComesFirst) {
  ClusterFacts facts = Healthy();
  facts.own_version = "9";
  EXPECT_EQ(ExitCodeOf(Examine(facts)), kExitOk) << "a note";
  StatusOf(facts.nodes[0]).add_warnings("not ready: it waits for its hot keys");
  EXPECT_EQ(ExitCodeOf(Examine(facts)), kExitWarning);
  StatusOf(facts.nodes[1]).mutable_l2(0)->set_connected(false);
  const std::vector<Finding> findings = Examine(facts);
  EXPECT_EQ(ExitCodeOf(findings), kExitCritical);
  EXPECT_EQ(findings.front().check, "redis_away");
  EXPECT_EQ(findings.back().severity, FindingSeverity::kInfo);
  EXPECT_THAT(FindingsText(facts, findings, Style(false)),
              AllOf(HasSubstr("1 critical, 1 warnings, 2 notes"), HasSubstr("do: "),
                    Not(HasSubstr("\033"))));
  EXPECT_THAT(FindingsText(facts, findings, Style(true)), HasSubstr("\033[31mcritical"));
  const auto json = FindingsJson(facts, findings);
  EXPECT_EQ(json["worst"], "critical");
  EXPECT_EQ(json["findings"].size(), 4u);
}

}  // namespace
}  // namespace meridian::cli
