// What a person meets when starting a program: help, a checked configuration, or a message that says
// what to mend and where.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"

namespace meridian {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

CommandResult RunNode(std::vector<std::string> flags) {
  flags.insert(flags.begin(), ProgramPath("meridian-node"));
  return RunCommand(flags, absl::Seconds(20));
}

class ConfigFileTest : public testing::Test {
 protected:
  CommandResult Check(const std::string& yaml) {
    WriteFile(path_, yaml);
    return RunNode({"--config", path_, "--check-config"});
  }
  void ExpectRefused(const std::string& yaml, int line, const std::vector<std::string>& words) {
    const CommandResult result = Check(yaml);
    EXPECT_EQ(result.exit_code, 2) << yaml;
    EXPECT_THAT(result.err, HasSubstr(absl::StrCat(path_, ":", line, ":"))) << yaml;
    for (const std::string& word : words) EXPECT_THAT(result.err, HasSubstr(word)) << yaml;
    EXPECT_THAT(result.out, IsEmpty());
  }

  const TempDir dir_;
  const std::string path_ = dir_ / "node.yaml";
};

TEST_F(ConfigFileTest, AWholeGoodFileIsFine) {
  const CommandResult result = Check(
      "node:\n  id: us-1\n  region: us\nlisten:\n  data: 127.0.0.1:0\nredis:\n"
      "  url: redis://127.0.0.1:6379\nregions:\n  eu: redis://127.0.0.1:6380\n"
      "l1:\n  max_bytes: 64MiB\nnamespaces:\n  task:\n    ttl: 5m\n    replication: local\n"
      "  \"*\":\n    ttl: 1h\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(ConfigFileTest, AMistakeIsNamedWithItsFileAndLine) {
  ExpectRefused("node:\n  id: us-1\nlisten:\n  dota: 127.0.0.1:0\n", 4,
                {"listen.dota", "did you mean listen.data"});
  ExpectRefused("l1:\n  max_bytes: 64XB\n", 2, {"l1.max_bytes", "64XB"});
  ExpectRefused("l1:\n  max_bytes: 0\n", 2, {"l1.max_bytes"});
  ExpectRefused("redis:\n  url: redis://host:99999\n", 2, {"redis.url", "port"});
  ExpectRefused("node:\n  weight: 0\n", 2, {"node.weight"});
  ExpectRefused("redis:\n  timeout: soon\n", 2, {"redis.timeout", "soon"});
  ExpectRefused("listen:\n  data: nowhere\n", 2, {"listen.data", "nowhere"});
  ExpectRefused("node:\n  id: a\n  id: b\n", 3, {"node.id", "twice"});
  ExpectRefused("node: us-1\n", 1, {"node", "must be a map"});
  ExpectRefused("log:\n  level: loud\n", 2, {"log.level", "loud", "debug"});
  ExpectRefused("node:\n  id: [\n", 3, {});  // No YAML at all.
  ExpectRefused("namespaces:\n  task:\n    ttl: 5m\n    colour: blue\n", 4,
                {"namespaces.task.colour", "replication"});
  ExpectRefused("namespaces:\n  task:\n    ttl: 400d\n", 3, {"namespaces.task.ttl"});
  ExpectRefused("namespaces:\n  task:\n    replication: sometimes\n", 3,
                {"namespaces.task.replication", "async"});
  ExpectRefused("namespaces:\n  Task:\n    ttl: 5m\n", 2, {"Task"});
  ExpectRefused("namespaces:\n  a:\n    ttl: 5m\n  a:\n    ttl: 6m\n", 4, {"a", "twice"});
  ExpectRefused("namespaces:\n  \"*\":\n    ttl: 5m\n  \"*\":\n    ttl: 6m\n", 4, {"twice"});
  ExpectRefused("namespaces:\n  a:\n    ttl: 5m\n    ttl: 6m\n", 4, {"namespaces.a.ttl", "twice"});
}

TEST_F(ConfigFileTest, AFileThatIsNotThereIsNamed) {
  const CommandResult result = RunNode({"--config", dir_ / "none.yaml"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("none.yaml"));
}

TEST_F(ConfigFileTest, AFolderIsNoConfiguration) {
  const CommandResult result = RunNode({"--config", ".", "--check-config"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("is a directory"));
}

TEST_F(ConfigFileTest, PrintConfigShowsEverySettingWithItsOriginAndNoPassword) {
  WriteFile(path_, "node:\n  region: eu\nredis:\n  url: redis://user:hush@127.0.0.1:6379\n");
  const CommandResult result =
      RunNode({"--config", path_, "--id", "eu-7", "--print-config"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("node.id: eu-7  # --id"),
                                HasSubstr(absl::StrCat("node.region: eu  # ", path_, ":2")),
                                HasSubstr("redis.url: ***"), HasSubstr("# default")));
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("hush")));
}

TEST(StartUpTest, HelpAndVersionAnswerOnStandardOutput) {
  for (const char* program : {"meridian-node", "meridian-coordinator"}) {
    const CommandResult help = RunCommand({ProgramPath(program), "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, AllOf(HasSubstr("--config"), HasSubstr("--check-config"),
                                HasSubstr("--redis"), HasSubstr(program)));
    const CommandResult version = RunCommand({ProgramPath(program), "--version"});
    EXPECT_EQ(version.exit_code, 0);
    EXPECT_THAT(version.out, StartsWith(absl::StrCat(program, " ")));
    const CommandResult unknown = RunCommand({ProgramPath(program), "--no-such-flag"});
    EXPECT_EQ(unknown.exit_code, 2);
    EXPECT_THAT(unknown.err, AllOf(HasSubstr("no-such-flag"), HasSubstr("--help")));
  }
}

TEST(StartUpTest, FlagsThatContradictEachOtherAreRefused) {
  const CommandResult both = RunNode({"--coordinators", "127.0.0.1:1", "--peers",
                                      "node-1=127.0.0.1:1/127.0.0.1:2"});
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_THAT(both.err, AllOf(HasSubstr("--coordinators"), HasSubstr("--peers")));
  const CommandResult open = RunNode({"--data-address", "0.0.0.0:0"});
  EXPECT_EQ(open.exit_code, 2);
  EXPECT_THAT(open.err, HasSubstr("--insecure"));
  const CommandResult lonely = RunNode({"--region-redis", "eu=redis://127.0.0.1:1"});
  EXPECT_EQ(lonely.exit_code, 2);
  EXPECT_THAT(lonely.err, HasSubstr("--redis"));
}

TEST(StartUpTest, ARedisUrlThatCannotWorkIsAMistakeInTheSettings) {
  for (const char* program : {"meridian-node", "meridian-coordinator"}) {
    const CommandResult result = RunCommand({ProgramPath(program), "--redis", "nonsense"});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr("--redis: redis.url: Redis URL: no scheme"));
  }
}

TEST(StartUpTest, AUsedPortIsNamedAndTheProgramEnds) {
  absl::StatusOr<std::unique_ptr<TestNode>> first = TestNode::Start("first");
  ASSERT_TRUE(first.ok()) << std::string(first.status().message());
  const std::vector<std::pair<std::string, std::string>> used = {
      {"--data-address", (*first)->data()},
      {"--peer-address", (*first)->peer()},
      {"--admin-address", (*first)->admin()},
      {"--http-address", (*first)->http()}};
  for (const auto& [flag, address] : used) {
    std::vector<std::string> flags = {"--id", "second"};
    for (const char* listener : {"--data-address", "--peer-address", "--admin-address",
                                 "--http-address"}) {
      flags.push_back(listener);
      flags.push_back(listener == flag ? address : "127.0.0.1:0");
    }
    const CommandResult second = RunNode(flags);
    EXPECT_EQ(second.exit_code, 1) << flag;
    EXPECT_THAT(second.err, HasSubstr(address)) << flag;
  }
  const CommandResult coordinator =
      RunCommand({ProgramPath("meridian-coordinator"), "--grpc-address", (*first)->data(),
                  "--http-address", "127.0.0.1:0"},
                 absl::Seconds(20));
  EXPECT_EQ(coordinator.exit_code, 1);
  EXPECT_THAT(coordinator.err, HasSubstr((*first)->data()));
}

TEST(StartUpTest, ATermSignalEndsANodeInGoodOrder) {
  absl::StatusOr<std::unique_ptr<TestNode>> node = TestNode::Start("brief");
  ASSERT_TRUE(node.ok()) << std::string(node.status().message());
  (*node)->process().Signal(SIGTERM);
  ASSERT_TRUE((*node)->process().WaitForExit(absl::Seconds(15)));
  EXPECT_EQ((*node)->process().exit_code(), 0) << (*node)->Log();
}

}  // namespace
}  // namespace meridian
