// meridianctl as a process against FakeNode: what it prints, where, and its exit codes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/contract/client_fake_node.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

class ClientCliContractTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("MERIDIAN_BIN_DIR");
    ASSERT_NE(folder, nullptr) << "run this through ctest";
    binary_ = absl::StrCat(folder, "/meridianctl");
    Topology topology = *Topology::Create(1, "us", {node_.member()});
    store_.Publish(topology);
  }

  // Standard output and exit code of a line of shell.
  Outcome Shell(const std::string& command) {
    Outcome outcome;
    FILE* pipe = popen(command.c_str(), "r");
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) outcome.out.append(buffer, n);
    outcome.exit_code = WEXITSTATUS(pclose(pipe));
    return outcome;
  }
  // Runs `meridianctl WORDS` in a shell, after `before |` when it is given.
  Outcome Run(const std::string& words, const std::string& before = "") {
    const std::string err_file =
        ::testing::TempDir() + "/meridianctl_err_" + std::to_string(getpid());
    const std::string command = absl::StrCat(before.empty() ? "" : before + " | ",
                                             "env -u MERIDIAN_TARGET -u MERIDIAN_CLUSTER ", binary_,
                                             " ", words, " 2>", err_file);
    Outcome outcome = Shell(command);
    std::ostringstream err;
    err << std::ifstream(err_file).rdbuf();
    outcome.err = err.str();
    std::remove(err_file.c_str());
    return outcome;
  }
  // The same with --target and time for a slow machine.
  Outcome Ctl(const std::string& words, const std::string& before = "") {
    return Run(absl::StrCat(words, " --timeout 30s --target ", node_.address()), before);
  }

  FakeStore store_;
  FakeNode node_{"node-a", store_};
  std::string binary_;
};

TEST_F(ClientCliContractTest, GetPrintsTheValueAloneAndMetadataOnlyWithV) {
  EXPECT_EQ(Ctl("set task 42 hello --ttl 5m").exit_code, 0);
  const Outcome got = Ctl("get task 42");
  EXPECT_EQ(got.exit_code, 0);
  EXPECT_EQ(got.out, "hello");
  EXPECT_THAT(got.err, IsEmpty());
  const Outcome verbose = Ctl("get -v task 42");
  EXPECT_EQ(verbose.out, "hello");
  EXPECT_THAT(verbose.err, HasSubstr("source L1, version "));
}

TEST_F(ClientCliContractTest, AMissPrintsNothingAndEndsWithThree) {
  const Outcome got = Ctl("get task nothing");
  EXPECT_EQ(got.exit_code, 3);
  EXPECT_THAT(got.out, IsEmpty());
  EXPECT_THAT(got.err, HasSubstr("nothing"));
}

TEST_F(ClientCliContractTest, JsonHasTheFieldNamesOfTheProtos) {
  const Outcome set = Ctl("set task 42 hello --json");
  EXPECT_EQ(set.exit_code, 0);
  const auto written = nlohmann::json::parse(set.out);
  const auto got = nlohmann::json::parse(Ctl("get task 42 --json").out);
  EXPECT_EQ(got["status"], "OK");
  EXPECT_EQ(got["value"], "hello");
  EXPECT_EQ(got["value_base64"], "aGVsbG8=");
  EXPECT_EQ(got["source"], "L1");
  EXPECT_EQ(got["version"], written["version"]);
  EXPECT_EQ(got["version"].get<std::string>().size(), 20u);
}

TEST_F(ClientCliContractTest, ValuesComeFromTheArgumentAFileOrStandardInput) {
  const std::string file = ::testing::TempDir() + "/meridianctl_value_" + std::to_string(getpid());
  std::ofstream(file) << "from a file";
  EXPECT_EQ(Ctl("set task file @" + file).exit_code, 0);
  EXPECT_EQ(Ctl("get task file").out, "from a file");
  EXPECT_EQ(Ctl("set task pipe -", "printf 'two\\nlines'").exit_code, 0);
  EXPECT_EQ(Ctl("get task pipe").out, "two\nlines");
  EXPECT_EQ(Ctl("set task at @@home").exit_code, 0);
  EXPECT_EQ(Ctl("get task at").out, "@home");
  std::remove(file.c_str());
}

TEST_F(ClientCliContractTest, ConditionsAndInvalidationDoWhatTheySay) {
  EXPECT_EQ(Ctl("set task k one --if-absent").exit_code, 0);
  const Outcome conflict = Ctl("set task k two --if-absent");
  EXPECT_EQ(conflict.exit_code, 1);
  EXPECT_THAT(conflict.err, HasSubstr("conflict"));
  EXPECT_EQ(Ctl("touch task k --ttl 1h").exit_code, 0);
  EXPECT_EQ(Ctl("invalidate task k").exit_code, 0);
  EXPECT_EQ(Ctl("get task k").exit_code, 3);
  EXPECT_EQ(Ctl("touch task k --ttl 1h").exit_code, 3);
  EXPECT_EQ(Ctl("invalidate task").exit_code, 2) << "nothing was named";
  EXPECT_EQ(Ctl("invalidate task k --all").exit_code, 2) << "two ways at once";
}

TEST_F(ClientCliContractTest, BatchesPrintOneLineAKey) {
  EXPECT_EQ(Ctl("mset task a=1 b=x=y").exit_code, 0);
  const Outcome got = Ctl("mget task a b c");
  EXPECT_EQ(got.out, "a\tOK\t1\nb\tOK\tx=y\nc\tMISS\t\n");
  EXPECT_EQ(got.exit_code, 3);
  const Outcome lines =
      Ctl("mset task --file -", R"(printf '{"key":"j","value":"v","ttl":"5m"}\n')");
  EXPECT_EQ(lines.exit_code, 0) << lines.err;
  EXPECT_EQ(Ctl("mget task -", "printf 'j\\na\\n'").out, "j\tOK\tv\na\tOK\t1\n");
  const Outcome bad = Ctl("mset task --file -", R"(printf '{"key":"j","valeu":"v"}\n')");
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, HasSubstr("unknown field \"valeu\""));
  const Outcome number = Ctl("mset task --file -", R"(printf '{"key":"j","valeu":7}\n')");
  EXPECT_EQ(number.exit_code, 2);
  EXPECT_THAT(number.err, HasSubstr("unknown field \"valeu\""));
}

TEST_F(ClientCliContractTest, NumbersOfAReplayOutOfRangeAreWrongUsage) {
  for (const char* words :
       {"--requests -5", "--requests 0", "--requests 99999999999999999999", "--requests 1e3x",
        "--seed -1", "--concurrency -1", "--concurrency 0", "--concurrency 5000000000",
        "--batch -3", "--batch 1001", "--verify-propagation -1", "--verify-propagation x"}) {
    const Outcome refused = Ctl(absl::StrCat("replay ", words));
    EXPECT_EQ(refused.exit_code, 2) << words;
    EXPECT_THAT(refused.out, IsEmpty()) << words;
  }
}

TEST_F(ClientCliContractTest, AddressesThatCanBeNoneAreWrongUsage) {
  for (const char* words :
       {"--target nonsense", "--target ''", "--target h:99999", "--target h:0", "--target :1",
        "--target h:", "--admin nonsense", "--admin h:65536", "--region ''"}) {
    const Outcome refused = Run(absl::StrCat("get task 42 ", words));
    EXPECT_EQ(refused.exit_code, 2) << words;
    EXPECT_THAT(refused.err, Not(IsEmpty())) << words;
  }
  const std::string file = ::testing::TempDir() + "/cluster_" + std::to_string(getpid());
  std::ofstream(file) << R"({"regions": {"us": {"nodes": [{"data": "h:1"}]}}})";
  const Outcome mars = Run("get task 42 --region mars --cluster " + file);
  EXPECT_EQ(mars.exit_code, 2);
  EXPECT_THAT(mars.err, HasSubstr("mars"));
  EXPECT_EQ(Run("replay --requests 1 --regions us,mars --cluster " + file).exit_code, 2);
  std::ofstream(file) << R"({"regions": {"us": {"nodes": [{"data": "h:99999"}]}}})";
  const Outcome bad = Run("get task 42 --region us --cluster " + file);
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, HasSubstr(file)) << "which file is wrong";
  std::remove(file.c_str());
}

TEST_F(ClientCliContractTest, DurationsAndVersionsThatAreEmptyAreWrongUsage) {
  EXPECT_EQ(Ctl("set task k v --ttl ''").exit_code, 2);
  EXPECT_EQ(Ctl("set task k v --ttl 0").exit_code, 2);
  EXPECT_EQ(Ctl("set task k v --expected-version ''").exit_code, 2);
  EXPECT_EQ(Ctl("touch task k --ttl ''").exit_code, 2);
  EXPECT_EQ(Ctl("mset task k=v --ttl ''").exit_code, 2);
  EXPECT_EQ(Ctl("get task k --max-stale ''").exit_code, 2);
  EXPECT_EQ(Ctl("invalidate task k --tag ''").exit_code, 2);
  EXPECT_EQ(Ctl("get task k").exit_code, 3) << "nothing was stored";
}

TEST_F(ClientCliContractTest, TextsThatAreNotUtf8AreRefusedByName) {
  const auto refused = [&](const std::string& words, const std::string& reason) {
    const Outcome outcome = Ctl(words, "printf '\\377'");
    EXPECT_EQ(outcome.exit_code, 1) << words;
    EXPECT_THAT(outcome.err, HasSubstr("error: " + reason)) << words;
    EXPECT_THAT(outcome.err, Not(HasSubstr("libprotobuf"))) << words;
  };
  const std::string bad = "\"$(printf '\\377')\"";
  refused("get " + bad + " k", "NAMESPACE_INVALID");
  refused("explain " + bad + " k", "NAMESPACE_INVALID");
  refused("invalidate " + bad + " --all --yes", "NAMESPACE_INVALID");
  refused("set task k v --tag " + bad, "TAG_INVALID");
  refused("invalidate task --tag " + bad, "TAG_INVALID");
  refused("set task k v --state-hint " + bad, "FIELD_INVALID");
}

TEST_F(ClientCliContractTest, MistakesAreExplained) {
  const Outcome typo = Run("gte task 42");
  EXPECT_EQ(typo.exit_code, 2);
  EXPECT_THAT(typo.err, HasSubstr("did you mean get?"));
  EXPECT_EQ(Run("get task").exit_code, 2) << "no key";
  const Outcome nothing = Run("");
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_THAT(nothing.err, HasSubstr("name a command of meridianctl: get, set"));
  const Outcome nested = Run("region");
  EXPECT_EQ(nested.exit_code, 2);
  EXPECT_THAT(nested.err, HasSubstr("name a command of meridianctl region: status"));
  EXPECT_THAT(Run("help").err, HasSubstr("meridianctl --help"));
  const Outcome version = Run("--version");
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, HasSubstr("meridianctl "));
  const Outcome what = Run("what-if task");
  EXPECT_EQ(what.exit_code, 2);
  EXPECT_THAT(what.err, HasSubstr("--max-entries"));
  EXPECT_EQ(Ctl("set task k v --ttl 5parsecs").exit_code, 2);
  const Outcome nobody = Run("get task 42 --target 127.0.0.1:1");
  EXPECT_EQ(nobody.exit_code, 5);
  EXPECT_THAT(nobody.err, HasSubstr("cannot reach 127.0.0.1:1"));
  EXPECT_THAT(nobody.err, HasSubstr("scripts/local-cluster status"));
  EXPECT_THAT(nobody.err, Not(HasSubstr("\033["))) << "no colours into a file";
}

TEST_F(ClientCliContractTest, ACoordinatorThatIsAwayIsNamedAndNotTheNodes) {
  for (const char* words :
       {"warm list", "warm run task k", "alerts", "hotkeys", "policy history"}) {
    const Outcome nobody = Ctl(absl::StrCat(words, " --coordinator 127.0.0.1:1"));
    EXPECT_EQ(nobody.exit_code, 5) << words;
    EXPECT_THAT(nobody.err, HasSubstr("cannot reach coordinator 127.0.0.1:1")) << words;
    EXPECT_THAT(nobody.err, HasSubstr("--coordinator HOST:PORT")) << words;
    EXPECT_THAT(nobody.err, Not(HasSubstr("--target"))) << words;
  }
}

TEST_F(ClientCliContractTest, AnOriginThatIsLateIsNotTakenForANode) {
  store_.set_origin_is_late();
  const Outcome late = Ctl("get task 42");
  EXPECT_EQ(late.exit_code, 5);
  EXPECT_THAT(late.err, HasSubstr("ORIGIN_TIMEOUT"));
  EXPECT_THAT(late.err, HasSubstr("--max-stale"));
  EXPECT_THAT(late.err, Not(HasSubstr("did not answer within"))) << "the node has answered";
}

TEST_F(ClientCliContractTest, EveryCommandHasHelpWithExamples) {
  for (const char* command : {"get", "set", "invalidate", "mget", "mset", "touch", "explain",
                              "ring", "status", "replay"}) {
    const Outcome help = Run(absl::StrCat(command, " --help"));
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_THAT(help.out, HasSubstr(absl::StrCat("meridianctl ", command))) << command;
  }
}

TEST_F(ClientCliContractTest, AReplayVerifiesEveryAnswer) {
  const Outcome good = Ctl("replay --requests 3000 --concurrency 2 --json");
  ASSERT_EQ(good.exit_code, 0) << good.out << good.err;
  const auto report = nlohmann::json::parse(good.out);
  EXPECT_EQ(report["requests"], 3000);
  EXPECT_EQ(report["mismatches"], 0);
  EXPECT_EQ(report["errors"], 0);
  EXPECT_GT(report["l1_rate"], 0.1);
}

TEST_F(ClientCliContractTest, AReplayThatIsInterruptedPrintsItsReportSoFar) {
  // The signal comes once the first line of progress was printed, long before the end.
  const std::string err = ::testing::TempDir() + "/replay_err_" + std::to_string(getpid());
  const Outcome ended =
      Shell(absl::StrCat(binary_, " replay --requests 2000000000 --json --target ", node_.address(),
                         " 2>", err, " & p=$!; n=0; while [ $n -lt 300 ] && ! grep -q requests ",
                         err, "; do sleep 0.1; n=$((n+1)); done; kill -TERM $p; wait $p"));
  std::remove(err.c_str());
  EXPECT_EQ(ended.exit_code, 143);
  const auto report = nlohmann::json::parse(ended.out);
  EXPECT_GT(report["requests"], 0);
  EXPECT_EQ(report["interrupted"], true);
}

TEST_F(ClientCliContractTest, AReplayFindsAValueThatChanged) {
  store_.set_corrupt_every(20);
  const Outcome bad = Ctl("replay --requests 3000 --concurrency 2 --json");
  EXPECT_EQ(bad.exit_code, 1);
  const auto report = nlohmann::json::parse(bad.out);
  EXPECT_GT(report["mismatches"], 0);
  EXPECT_EQ(report["errors"], 0);
}

}  // namespace
}  // namespace meridian
