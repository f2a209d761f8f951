// The contexts file: what is in it, what is wrong with it, and how it is changed.

#include "client/cli/contexts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <string>
#include <utility>
#include <vector>

#include "client/cli/session.h"
#include "tests/support/temp_dir.h"

namespace meridian::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kFile[] = R"(# Ours.
current: us  # for now
contexts:
  us:
    targets: [a:7400, "b:7400"]
    timeout: 10s
  dev: {cluster: dev.json, region: eu}
  far: {cluster: /srv/c.json, admin: h:7402, tls_ca: ca.crt, tls_key: /k, tls_server_name: n}
)";

TEST(ContextsTest, EveryFieldIsRead) {
  const auto file = ParseContexts("/etc/m/contexts.yaml", kFile);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->current, "us");
  ASSERT_EQ(file->contexts.size(), 3u);
  const Context us = *file->Find("us");
  EXPECT_THAT(us.targets, ElementsAre("a:7400", "b:7400"));
  EXPECT_EQ(us.timeout, "10s");
  EXPECT_EQ(file->Find("dev")->cluster, "/etc/m/dev.json") << "beside the file";
  EXPECT_EQ(file->Find("dev")->region, "eu");
  EXPECT_EQ(file->Find("far")->cluster, "/srv/c.json");
  EXPECT_EQ(file->Find("far")->tls.authorities, "/etc/m/ca.crt");
  EXPECT_EQ(file->Find("far")->tls.key, "/k");
  EXPECT_EQ(file->Find("far")->tls.server_name, "n");
  EXPECT_EQ(file->Find("far")->admin, "h:7402");
  EXPECT_THAT(std::string(file->Find("mars").status().message()), HasSubstr("us, dev, far"));
  EXPECT_TRUE(ParseContexts("f", "").ok());
}

TEST(ContextsTest, WhatIsWrongIsSaidWithItsLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"[]", "f:1: is not a map"},
      {"contexts: []", "f:1: \"contexts\" is not a map"},
      {"context: {}", "f:1: \"context\" is not known"},
      {"current: [us]", "\"current\" is not a text"},
      {"contexts:\n  us: 7", "f:2: context \"us\" is not a map"},
      {"contexts:\n  us: {}", "names no targets"},
      {"contexts:\n  us: {region: eu}", "names no targets"},
      {"contexts:\n  us:\n    target: [a:1]", "f:3: context \"us\" has \"target\""},
      {"contexts:\n  us:\n    target: [a:1]", "did you mean targets?"},
      {"contexts:\n  us: {targets: a:1}", "is not a list"},
      {"contexts:\n  us: {targets: []}", "is not a list"},
      {"contexts:\n  us: {targets: [a]}", "\"a\", not host:port"},
      {"contexts:\n  us: {admin: a, targets: [a:1]}", "\"admin\" has \"a\""},
      {"contexts:\n  us: {targets: [a:1], timeout: soon}", "\"timeout\""},
      {"contexts:\n  us: {targets: [a:1], timeout: 0s}", "\"timeout\""},
      {"contexts:\n  us: {targets: [a:1]}\n  us: {targets: [a:1]}", "f:3: \"us\" is there twice"},
      {"contexts:\n  us: {targets: [a:1], targets: [b:1]}", "is there twice"},
      {"contexts: {}\n---\ncontexts: {}", "second document"},
      {"contexts: {us: {targets: [a:1]}", "f:"},
      {"\tcontexts:", "f:1"}};
  for (const auto& [text, said] : cases) {
    const auto file = ParseContexts("f", text);
    ASSERT_FALSE(file.ok()) << text;
    EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(file.status().message()), HasSubstr(said)) << text;
  }
}

TEST(ContextsTest, UseChangesTheCurrentOneAndNothingElse) {
  const TempDir dir;
  const std::string path = dir / "contexts.yaml";
  WriteFile(path, kFile);
  chmod(path.c_str(), 0600);
  ASSERT_TRUE(UseContext(path, "dev").ok());
  EXPECT_EQ(LoadContexts(path)->current, "dev");
  std::string expected = kFile;
  expected.replace(expected.find("current: us"), 11, "current: \"dev\"");
  EXPECT_EQ(ReadFile(path), expected) << "comments stay";
  struct stat mode = {};
  ASSERT_EQ(stat(path.c_str(), &mode), 0);
  EXPECT_EQ(mode.st_mode & 0777, 0600u);
  EXPECT_EQ(UseContext(path, "mars").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadFile(path), expected);
  WriteFile(path, "contexts:\n  a: {targets: [a:1]}\n");
  ASSERT_TRUE(UseContext(path, "a").ok());
  EXPECT_EQ(LoadContexts(path)->current, "a");
  EXPECT_EQ(UseContext(dir / "none.yaml", "a").code(), absl::StatusCode::kNotFound);
}

TEST(ContextsTest, ACurrentOneThatThereIsNotIsMendedByUse) {
  const TempDir dir;
  const std::string path = dir / "contexts.yaml";
  WriteFile(path, "current: gone\ncontexts:\n  us: {targets: [a:1]}\n");
  const auto file = LoadContexts(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(std::string(file->Current().status().message()),
              AllOf(HasSubstr("no context \"gone\""), HasSubstr("there are us"),
                    HasSubstr("meridianctl context use")));
  ASSERT_TRUE(UseContext(path, "us").ok());
  EXPECT_EQ(LoadContexts(path)->Current()->name, "us");
}

TEST(ContextsTest, UseRefusesAFileInWhichALineOfItsOwnWouldBeWrong) {
  const TempDir dir;
  const std::string path = dir / "contexts.yaml";
  const std::string flow = "{current: a, contexts: {a: {targets: [a:1]}, b: {targets: [b:1]}}}\n";
  WriteFile(path, flow);
  EXPECT_FALSE(UseContext(path, "b").ok());
  EXPECT_EQ(ReadFile(path), flow);
}

// What a session asks, by its options, its environment and the contexts file.
class ContextOrderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"MERIDIAN_TARGET", "MERIDIAN_CLUSTER", "MERIDIAN_CONTEXT"}) {
      unsetenv(name);
    }
    WriteFile(dir_ / "c.yaml", kFile);
    setenv("MERIDIAN_CONTEXTS", (dir_ / "c.yaml").c_str(), 1);
  }
  void TearDown() override {
    for (const char* name :
         {"MERIDIAN_TARGET", "MERIDIAN_CLUSTER", "MERIDIAN_CONTEXT", "MERIDIAN_CONTEXTS"}) {
      unsetenv(name);
    }
  }

  const TempDir dir_;
  Session session_;
};

TEST_F(ContextOrderTest, TheCurrentOneIsAskedUnlessAnotherIsNamed) {
  ASSERT_TRUE(session_.ApplyContext(false).ok());
  EXPECT_THAT(session_.options().targets, ElementsAre("a:7400", "b:7400"));
  EXPECT_EQ(session_.options().timeout, "10s");
  Session named;
  named.options().context = "dev";
  ASSERT_TRUE(named.ApplyContext(false).ok());
  EXPECT_THAT(named.options().cluster, HasSubstr("/dev.json"));
  EXPECT_EQ(named.options().region, "eu");
  EXPECT_EQ(named.options().timeout, "5s");
  setenv("MERIDIAN_CONTEXT", "far", 1);
  Session by_environment;
  ASSERT_TRUE(by_environment.ApplyContext(false).ok());
  EXPECT_EQ(by_environment.options().admin, "h:7402");
}

TEST_F(ContextOrderTest, ACurrentOneThatThereIsNotIsAnErrorWhereItIsAsked) {
  WriteFile(dir_ / "c.yaml", "current: gone\ncontexts:\n  us: {targets: [a:1]}\n");
  EXPECT_THAT(std::string(session_.ApplyContext(false).message()),
              HasSubstr("\"current\": no context \"gone\""));
  Session named;
  named.options().context = "us";
  ASSERT_TRUE(named.ApplyContext(false).ok());
  EXPECT_THAT(named.options().targets, ElementsAre("a:1"));
}

TEST_F(ContextOrderTest, OptionsOverruleAndAddressesOfTwoClustersDoNotMix) {
  session_.options().context = "far";
  session_.options().targets = {"x:1"};
  session_.options().timeout = "1s";
  ASSERT_TRUE(session_.ApplyContext(/*timeout_given=*/true).ok());
  EXPECT_THAT(session_.options().targets, ElementsAre("x:1"));
  EXPECT_THAT(session_.options().admin, IsEmpty());
  EXPECT_THAT(session_.options().cluster, IsEmpty());
  EXPECT_EQ(session_.options().timeout, "1s");
  Session region;
  region.options().context = "dev";
  region.options().region = "asia";
  ASSERT_TRUE(region.ApplyContext(false).ok());
  EXPECT_EQ(region.options().region, "asia");
  EXPECT_THAT(region.options().cluster, HasSubstr("dev.json"));
}

TEST_F(ContextOrderTest, TheEnvironmentOverrulesTheCurrentOneButNotANamedOne) {
  setenv("MERIDIAN_TARGET", "e:1", 1);
  ASSERT_TRUE(session_.ApplyContext(false).ok());
  EXPECT_THAT(session_.options().targets, IsEmpty());
  EXPECT_THAT(*session_.Targets(), ElementsAre("e:1"));
  Session named;
  named.options().context = "us";
  ASSERT_TRUE(named.ApplyContext(false).ok());
  EXPECT_THAT(*named.Targets(), ElementsAre("a:7400", "b:7400"));
}

TEST_F(ContextOrderTest, AClusterFileOfAContextSaysWhereDataIs) {
  WriteFile(dir_ / "dev.json", R"({"regions": {"eu": {"nodes": [{"data": "h:5"}]}}})");
  WriteFile(dir_ / "c.yaml", "current: dev\ncontexts:\n  dev: {cluster: dev.json}\n");
  ASSERT_TRUE(session_.ApplyContext(false).ok());
  EXPECT_THAT(*session_.Targets(), ElementsAre("h:5"));
  EXPECT_THAT(session_.options().region, IsEmpty()) << "commands of whole clusters see all of it";
}

TEST_F(ContextOrderTest, ARegionIsOfTheClusterFileOfTheContextOrOfNone) {
  WriteFile(dir_ / "c.yaml",
            "contexts:\n  a: {admin: h:7402}\n  t: {targets: [h:7400]}\n"
            "  f: {admin: h:7402, cluster: f.json}\n");
  for (const char* name : {"a", "t"}) {
    Session session;
    session.options().context = name;
    session.options().region = "eu";
    EXPECT_THAT(std::string(session.ApplyContext(false).message()),
                AllOf(HasSubstr("no cluster file"), HasSubstr("--region eu")))
        << name;
  }
  session_.options().context = "f";
  session_.options().region = "eu";
  ASSERT_TRUE(session_.ApplyContext(false).ok());
  EXPECT_THAT(session_.options().admin, IsEmpty()) << "the region's nodes, not another's";
}

TEST_F(ContextOrderTest, AnAdminAddressAloneIsNoDataAddress) {
  WriteFile(dir_ / "c.yaml", "current: a\ncontexts:\n  a: {admin: h:7402}\n");
  ASSERT_TRUE(session_.ApplyContext(false).ok());
  EXPECT_TRUE(session_.Prepare().ok()) << "commands that look at a node have what they need";
  EXPECT_THAT(std::string(session_.Targets().status().message()), HasSubstr("--target"));
  // Named, the environment does not put another cluster beside it.
  setenv("MERIDIAN_TARGET", "e:1", 1);
  Session named;
  named.options().context = "a";
  ASSERT_TRUE(named.ApplyContext(false).ok());
  EXPECT_FALSE(named.Targets().ok());
  // A person who says both means one cluster.
  Session both;
  both.options().admin = "h:7402";
  EXPECT_THAT(*both.Targets(), ElementsAre("e:1"));
}

TEST_F(ContextOrderTest, TheClusterFileThatIsNamedIsTheOneThatIsAsked) {
  WriteFile(dir_ / "a.json", R"({"regions": {"us": {"nodes": [{"data": "a:5"}]}}})");
  WriteFile(dir_ / "b.json", R"({"regions": {"us": {"nodes": [{"data": "b:5"}]}}})");
  setenv("MERIDIAN_CONTEXTS", (dir_ / "none.yaml").c_str(), 1);
  session_.options().cluster = dir_ / "a.json";
  EXPECT_THAT(*session_.Targets(), ElementsAre("a:5"));
  session_.options().cluster = dir_ / "none.json";
  EXPECT_THAT(std::string(session_.Prepare().message()), HasSubstr("none.json"));
  setenv("MERIDIAN_CLUSTER", (dir_ / "b.json").c_str(), 1);
  Session environment;
  ASSERT_TRUE(environment.Prepare().ok());
  EXPECT_THAT(*environment.Targets(), ElementsAre("b:5"));
  setenv("MERIDIAN_TARGET", "e:1", 1);
  EXPECT_THAT(*environment.Targets(), ElementsAre("e:1"));
  Session other;
  ASSERT_TRUE(other.Prepare().ok());
  EXPECT_THAT(other.options().targets, ElementsAre("e:1")) << "the file is of another cluster";
  setenv("MERIDIAN_TARGET", "b:5", 1);
  Session same;
  ASSERT_TRUE(same.Prepare().ok());
  EXPECT_THAT(same.options().targets, ElementsAre()) << "the file knows all of it";
  setenv("MERIDIAN_TARGET", "e:1", 1);
  unsetenv("MERIDIAN_CLUSTER");
  Session targets;
  ASSERT_TRUE(targets.Prepare().ok());
  EXPECT_THAT(targets.options().targets, ElementsAre("e:1")) << "of whole clusters, too";
}

TEST_F(ContextOrderTest, AFileThatCannotBeReadIsAnError) {
  setenv("MERIDIAN_CONTEXTS", dir_.path().c_str(), 1);  // A folder: root reads any file.
  EXPECT_THAT(std::string(session_.ApplyContext(false).message()),
              AllOf(HasSubstr("cannot read"), HasSubstr("Is a directory")));
}

TEST_F(ContextOrderTest, NoFileIsFineUnlessAContextIsNamedAndABadOneNever) {
  setenv("MERIDIAN_CONTEXTS", (dir_ / "none.yaml").c_str(), 1);
  EXPECT_TRUE(session_.ApplyContext(false).ok());
  session_.options().context = "us";
  EXPECT_THAT(std::string(session_.ApplyContext(false).message()), HasSubstr("none.yaml"));
  WriteFile(dir_ / "none.yaml", "contexts: 7");
  session_.options().context = "";
  EXPECT_FALSE(session_.ApplyContext(false).ok());
}

}  // namespace
}  // namespace meridian::cli
