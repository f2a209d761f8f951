// meridianctl as people and scripts use it: what it prints where, and its exit codes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_node.h"

namespace meridian {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// The exit codes that --help promises.
constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kNotFound = 3;
constexpr int kNotReachable = 5;

class CliTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = StartTestCluster({.regions = {"us"}, .node_flags = {}});
  }
  static void TearDownTestSuite() { cluster_.reset(); }
  void SetUp() override { ASSERT_NE(cluster_, nullptr); }

  static CommandResult Ctl(std::vector<std::string> words, const std::string& input = "") {
    words.insert(words.begin(), ProgramPath("meridianctl"));
    words.insert(words.end(), {"--target", cluster_->Address("us-node-1", "data")});
    return RunCommand(words, absl::Seconds(30), input);
  }
  static nlohmann::json JsonOf(const CommandResult& result) {
    nlohmann::json json = nlohmann::json::parse(result.out, nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(json.is_discarded()) << result.out << result.err;
    return json;
  }
  static void ExpectSilentSuccess(const CommandResult& result) {
    EXPECT_EQ(result.exit_code, kOk) << result.err;
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, IsEmpty());
  }

  static inline std::unique_ptr<TestCluster> cluster_;
};

TEST_F(CliTest, AValueIsStoredPrintedAndInvalidated) {
  ExpectSilentSuccess(Ctl({"set", "task", "k", "hello", "--ttl", "5m", "--tag", "a"}));
  const CommandResult got = Ctl({"get", "task", "k"});
  EXPECT_EQ(got.exit_code, kOk);
  EXPECT_EQ(got.out, "hello") << "the value alone";
  EXPECT_THAT(got.err, IsEmpty());
  const CommandResult verbose = Ctl({"get", "-v", "task", "k"});
  EXPECT_EQ(verbose.out, "hello");
  EXPECT_THAT(verbose.err, AllOf(HasSubstr("source L"), HasSubstr("version")));

  ExpectSilentSuccess(Ctl({"invalidate", "task", "k"}));
  const CommandResult gone = Ctl({"get", "task", "k"});
  EXPECT_EQ(gone.exit_code, kNotFound);
  EXPECT_THAT(gone.out, IsEmpty());
  EXPECT_THAT(gone.err, HasSubstr("no 'k' in task"));
  ExpectSilentSuccess(Ctl({"invalidate", "task", "never was"}));
}

TEST_F(CliTest, ValuesComeFromFilesAndStandardInput) {
  const TempDir dir;
  const std::string bytes("line 1\nline\0 2\xff", 15);
  WriteFile(dir / "value", bytes);
  ExpectSilentSuccess(Ctl({"set", "file", "k", absl::StrCat("@", dir / "value")}));
  EXPECT_EQ(Ctl({"get", "file", "k"}).out, bytes);
  ExpectSilentSuccess(Ctl({"set", "file", "k", "-"}, bytes));
  EXPECT_EQ(Ctl({"get", "file", "k"}).out, bytes);
  ExpectSilentSuccess(Ctl({"set", "file", "k", "@@home"}));
  EXPECT_EQ(Ctl({"get", "file", "k"}).out, "@home");
  const CommandResult missing = Ctl({"set", "file", "k", "@/no/such/file"});
  EXPECT_NE(missing.exit_code, kOk);
  EXPECT_THAT(missing.err, HasSubstr("/no/such/file"));
}

TEST_F(CliTest, JsonHasTheFieldNamesOfTheProtos) {
  ExpectSilentSuccess(Ctl({"set", "task", "json", "v"}));
  const nlohmann::json got = JsonOf(Ctl({"get", "task", "json", "--json"}));
  EXPECT_EQ(got["status"], "OK");
  EXPECT_EQ(got["value"], "v");
  EXPECT_THAT(got["source"].get<std::string>(), testing::AnyOf("L1", "L2"));
  EXPECT_EQ(got["version"].get<std::string>().size(), 20u);
  EXPECT_GT(got["ttl_ms"], 0);
  const CommandResult missed = Ctl({"get", "task", "nobody", "--json"});
  EXPECT_EQ(missed.exit_code, kNotFound);
  EXPECT_EQ(JsonOf(missed)["status"], "MISS");
}

TEST_F(CliTest, ConditionsThatDoNotHoldFailAndSayWhatIsStored) {
  ExpectSilentSuccess(Ctl({"set", "cas", "k", "1", "--if-absent"}));
  const std::string version = JsonOf(Ctl({"get", "cas", "k", "--json"}))["version"];
  const CommandResult conflict = Ctl({"set", "cas", "k", "2", "--if-absent"});
  EXPECT_EQ(conflict.exit_code, kFailed);
  EXPECT_THAT(conflict.err, AllOf(HasSubstr("conflict"), HasSubstr(version)));
  ExpectSilentSuccess(Ctl({"set", "cas", "k", "2", "--expected-version", version}));
  EXPECT_EQ(Ctl({"set", "cas", "k", "3", "--expected-version", version}).exit_code, kFailed);
  EXPECT_EQ(Ctl({"get", "cas", "k"}).out, "2");
}

TEST_F(CliTest, ManyKeysAreWrittenReadAndInvalidatedAtOnce) {
  ExpectSilentSuccess(Ctl({"mset", "many", "a=1", "b=two words", "c="}));
  const CommandResult all = Ctl({"mget", "many", "c", "b", "a"});
  EXPECT_EQ(all.exit_code, kOk) << all.err;
  EXPECT_EQ(all.out, "c\tOK\t\nb\tOK\ttwo words\na\tOK\t1\n");
  const CommandResult some = Ctl({"mget", "many", "a", "nobody"});
  EXPECT_EQ(some.exit_code, kNotFound);
  EXPECT_EQ(some.out, "a\tOK\t1\nnobody\tMISS\t\n");

  const CommandResult lines = Ctl({"mset", "many", "--file", "-"},
                                  "{\"key\":\"d\",\"value\":\"4\",\"ttl\":\"1m\"}\n"
                                  "{\"key\":\"e\",\"value_base64\":\"AP8=\"}\n");
  ExpectSilentSuccess(lines);
  EXPECT_EQ(Ctl({"get", "many", "e"}).out, std::string("\0\xff", 2));
  EXPECT_EQ(Ctl({"mset", "many", "--file", "-"}, "{\"key\":\"f\"").exit_code, kUsage);
  ExpectSilentSuccess(Ctl({"invalidate", "many", "a", "b"}));
  EXPECT_EQ(Ctl({"mget", "many", "-"}, "a\nb\nc\n").out, "a\tMISS\t\nb\tMISS\t\nc\tOK\t\n");
}

TEST_F(CliTest, ATouchGivesANewLifeOrSaysThatThereIsNothing) {
  ExpectSilentSuccess(Ctl({"set", "touch", "k", "v", "--ttl", "1m"}));
  ExpectSilentSuccess(Ctl({"touch", "touch", "k", "--ttl", "2h"}));
  EXPECT_GT(JsonOf(Ctl({"get", "touch", "k", "--json"}))["ttl_ms"], 3'600'000);
  EXPECT_EQ(Ctl({"touch", "touch", "nobody", "--ttl", "1m"}).exit_code, kNotFound);
}

TEST_F(CliTest, ExplainSaysWhereAKeyLivesAndWhatTheTiersHold) {
  ExpectSilentSuccess(Ctl({"set", "explain", "k", "value", "--tag", "red"}));
  const CommandResult text = Ctl({"explain", "explain", "k"});
  EXPECT_EQ(text.exit_code, kOk) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("slot"), HasSubstr("us-node-"), HasSubstr("L1"),
                              HasSubstr("L2"), HasSubstr("red"), HasSubstr("m:{")));
  const nlohmann::json json = JsonOf(Ctl({"explain", "explain", "k", "--json"}));
  EXPECT_LT(json["slot"], 1024);
  EXPECT_EQ(json["region"], "us");
  ASSERT_EQ(json["tiers"].size(), 2u);
  for (const nlohmann::json& tier : json["tiers"]) EXPECT_EQ(tier["state"], "value") << tier;
  EXPECT_EQ(json["l2_key"], absl::StrCat("m:{", json["slot"].get<int>(), "}:e:explain:k"));
  const nlohmann::json absent = JsonOf(Ctl({"explain", "explain", "nobody", "--json"}));
  for (const nlohmann::json& tier : absent["tiers"]) EXPECT_EQ(tier["state"], "absent") << tier;
}

TEST_F(CliTest, RingAndStatusShowEveryNode) {
  const nlohmann::json ring = JsonOf(Ctl({"ring", "--json"}));
  ASSERT_EQ(ring["members"].size(), 2u);
  int slots = 0;
  for (const nlohmann::json& member : ring["members"]) slots += member["slots"].get<int>();
  EXPECT_EQ(slots, 1024);
  const CommandResult table = Ctl({"ring"});
  EXPECT_THAT(table.out, AllOf(HasSubstr("us-node-1"), HasSubstr("us-node-2"), HasSubstr("serving"),
                               HasSubstr("epoch")));
  // By the cluster file, without an address.
  const CommandResult status =
      RunCommand({ProgramPath("meridianctl"), "status", "--cluster", cluster_->file()});
  EXPECT_EQ(status.exit_code, kOk) << status.err;
  EXPECT_THAT(status.out, AllOf(HasSubstr("us-node-1"), HasSubstr("us-node-2"), HasSubstr("up")));
  const CommandResult region = RunCommand(
      {ProgramPath("meridianctl"), "ring", "--cluster", cluster_->file(), "--region", "us"});
  EXPECT_EQ(region.exit_code, kOk) << region.err;
  const CommandResult nowhere = RunCommand(
      {ProgramPath("meridianctl"), "ring", "--cluster", cluster_->file(), "--region", "mars"});
  EXPECT_EQ(nowhere.exit_code, kUsage);
  EXPECT_THAT(nowhere.err, AllOf(HasSubstr("mars"), HasSubstr("us")));
}

TEST_F(CliTest, TheAdminAddressIsUnderstoodAndAWrongPortIsExplained) {
  const std::string admin = cluster_->Address("us-node-1", "admin");
  const CommandResult status =
      RunCommand({ProgramPath("meridianctl"), "status", "--target", admin});
  EXPECT_EQ(status.exit_code, kOk) << status.err;
  EXPECT_THAT(status.out, HasSubstr("us-node-1"));
  EXPECT_EQ(
      RunCommand({ProgramPath("meridianctl"), "region", "status", "--target", admin}).exit_code,
      kOk);
  // Data is not to be had there.
  const CommandResult get =
      RunCommand({ProgramPath("meridianctl"), "get", "task", "k", "--target", admin});
  EXPECT_EQ(get.exit_code, kFailed);
  EXPECT_THAT(get.err, AllOf(HasSubstr("--target"), HasSubstr("--admin")));
  // The other way round.
  const std::string data = cluster_->Address("us-node-1", "data");
  const CommandResult wrong = RunCommand({ProgramPath("meridianctl"), "status", "--admin", data});
  EXPECT_EQ(wrong.exit_code, kFailed);
  EXPECT_THAT(wrong.err, AllOf(HasSubstr("--target"), HasSubstr("--admin")));
}

TEST_F(CliTest, WrongUsageIsCode2AndSaysWhatWouldBeRight) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {},
           {"get", "task"},
           {"set", "task", "k", "v", "--ttl", "soon"},
           {"set", "task", "k", "v", "--expected-version", "7"},
           {"get", "task", "k", "--no-such-flag"},
           {"get", "task", "k", "--timeout", "never"},
           {"what-if", "task", "--max-entries=-1"},
           {"what-if", "task", "--max-entries=0"},
           {"what-if", "task", "--max-entries", "010"},
           {"what-if", "task", "--max-bytes=-1"},
           {"what-if", "task", "--max-bytes=99999999999999999999"},
           {"what-if", "task", "--max-bytes", "2XiB"},
           {"replay", "--seed=-1"},
           {"replay", "--requests=99999999999999999999"},
           {"replay", "--batch=-1"},
           {"replay", "--concurrency=0x10"},
           {"invalidate", "task"},
           {"invalidate", "task", "k", "--all"},
           {"mset", "task", "no pair"}}) {
    const CommandResult result = Ctl(words);
    EXPECT_EQ(result.exit_code, kUsage) << testing::PrintToString(words);
    EXPECT_THAT(result.out, IsEmpty());
    EXPECT_THAT(result.err, Not(IsEmpty()));
  }
  EXPECT_THAT(Ctl({"what-if", "task", "--max-bytes", "2XiB"}).err,
              HasSubstr("such as 4096, 64MiB"));
  EXPECT_THAT(Ctl({"what-if", "nobody", "--max-bytes", "64MiB"}).err, HasSubstr("NO_TRAFFIC"))
      << "it is understood";
  EXPECT_THAT(Ctl({"gte", "task", "k"}).err, HasSubstr("get"));
  EXPECT_EQ(Ctl({"gte", "task", "k"}).exit_code, kUsage);
}

TEST_F(CliTest, AnErrorOfTheServerIsShownWithItsReason) {
  const CommandResult space = Ctl({"get", "No Space", "k"});
  EXPECT_EQ(space.exit_code, kFailed);
  EXPECT_THAT(space.err, AllOf(StartsWith("error: "), HasSubstr("NAMESPACE_INVALID")));
  const CommandResult prefix = Ctl({"invalidate", "task", "--prefix", "no colon"});
  EXPECT_EQ(prefix.exit_code, kFailed);
  EXPECT_THAT(prefix.err, HasSubstr("PREFIX_INVALID"));
}

TEST_F(CliTest, ManyKeysAreInvalidatedAtOnce) {
  const auto get = [this](const char* key) { return Ctl({"get", "fenced", key}).exit_code; };
  for (const char* key : {"user:1:a", "user:1:b", "user:2:a"}) {
    ASSERT_EQ(Ctl({"set", "fenced", key, "v", "--tag", "team:1"}).exit_code, kOk);
  }
  ASSERT_EQ(Ctl({"set", "fenced", "other", "v"}).exit_code, kOk);
  // What is, most likely, all of it wants to be meant; nobody can be asked here.
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"invalidate", "fenced", "--prefix", "user:"},
           {"invalidate", "fenced", "--prefix", "user:of:"},
           {"invalidate", "fenced", "--prefix", "oauth2:"},
           {"invalidate", "fenced", "--prefix", "user:v2:"},
           {"invalidate", "fenced", "--all"}}) {
    const CommandResult asked = Ctl(words);
    EXPECT_EQ(asked.exit_code, kUsage);
    EXPECT_THAT(asked.err, AllOf(HasSubstr("every entry of fenced"), HasSubstr("--yes")));
    EXPECT_EQ(get("user:1:a"), kOk) << "nothing was done";
  }
  EXPECT_EQ(Ctl({"invalidate", "fenced", "--prefix", "user:1:"}).exit_code, kOk);
  EXPECT_EQ(get("user:1:a"), kNotFound);
  EXPECT_EQ(get("user:1:b"), kNotFound);
  EXPECT_EQ(get("user:2:a"), kOk);
  EXPECT_EQ(Ctl({"invalidate", "fenced", "--tag", "team:1"}).exit_code, kOk);
  EXPECT_EQ(get("user:2:a"), kNotFound);
  EXPECT_EQ(get("other"), kOk);
  ASSERT_EQ(Ctl({"set", "fenced", "user:3:a", "v"}).exit_code, kOk);
  EXPECT_EQ(Ctl({"invalidate", "fenced", "--prefix", "user:", "--yes"}).exit_code, kOk);
  EXPECT_EQ(get("user:3:a"), kNotFound);
  EXPECT_EQ(get("other"), kOk);
  EXPECT_EQ(Ctl({"invalidate", "fenced", "--all", "--yes"}).exit_code, kOk);
  EXPECT_EQ(get("other"), kNotFound);
  ASSERT_EQ(Ctl({"set", "fenced", "user:1:a", "new"}).exit_code, kOk);
  EXPECT_EQ(get("user:1:a"), kOk);
}

TEST_F(CliTest, ANodeThatIsNotThereIsCode5AndNamesTheAddress) {
  const std::string nobody = FreeAddress();
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"get", "task", "k"},
                                             {"set", "task", "k", "v"},
                                             {"invalidate", "task", "k"},
                                             {"ring"},
                                             {"status"},
                                             {"explain", "task", "k"}}) {
    std::vector<std::string> words = {ProgramPath("meridianctl")};
    words.insert(words.end(), command.begin(), command.end());
    words.insert(words.end(), {"--target", nobody, "--timeout", "2s"});
    const CommandResult result = RunCommand(words, absl::Seconds(20));
    EXPECT_EQ(result.exit_code, kNotReachable) << command[0] << ": " << result.err;
    EXPECT_THAT(result.err, HasSubstr(nobody)) << command[0];
    EXPECT_THAT(result.out, IsEmpty()) << command[0];
  }
}

TEST_F(CliTest, HelpAndVersionSucceedOnStandardOutput) {
  const CommandResult help = RunCommand({ProgramPath("meridianctl"), "--help"});
  EXPECT_EQ(help.exit_code, kOk);
  EXPECT_THAT(help.out, AllOf(HasSubstr("invalidate"), HasSubstr("Exit codes")));
  const CommandResult command = RunCommand({ProgramPath("meridianctl"), "set", "--help"});
  EXPECT_EQ(command.exit_code, kOk);
  EXPECT_THAT(command.out, HasSubstr("Examples:"));
  const CommandResult version = RunCommand({ProgramPath("meridianctl"), "version"});
  EXPECT_EQ(version.exit_code, kOk);
  EXPECT_THAT(version.out, StartsWith("meridianctl "));
}

}  // namespace
}  // namespace meridian
