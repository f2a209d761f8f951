// The example's origin in Python, with Debian's python3-grpcio, and a real node that loads from it.

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

TEST(PythonOriginTest, AnyLanguageCanBeTheOrigin) {
  const char* source = std::getenv("MERIDIAN_SOURCE_DIR");
  ASSERT_NE(source, nullptr) << "run by ctest";
  // Debian's, which has the modules; another one first in PATH may not.
  const std::string python = "/usr/bin/python3";
  if (RunCommand({python, "-c", "import grpc, google.protobuf"}).exit_code != 0) {
    GTEST_SKIP() << "there is no python3-grpcio; scripts/setup installs it";
  }
  const TempDir dir;
  const std::string data = dir / "values.json";
  WriteFile(data, R"({"task": {"a": "from Python", "b": "grüße"}})");
  ChildOptions options;
  options.words = {python,     absl::StrCat(source, "/examples/origin_python/origin.py"),
                   "--data",   data,
                   "--listen", "127.0.0.1:0"};
  options.stdout_path = dir / "out";
  options.stderr_path = dir / "err";
  absl::StatusOr<std::unique_ptr<ChildProcess>> process = ChildProcess::Start(options);
  ASSERT_TRUE(process.ok()) << process.status();
  std::string said;
  ASSERT_TRUE(WaitUntil(
      [&] {
        said = ReadFile(dir / "out");
        return absl::EndsWith(said, "\n");
      },
      absl::Seconds(20)))
      << ReadFile(dir / "err");
  const std::string address = said.substr(said.rfind(' ') + 1, said.size() - said.rfind(' ') - 2);
  WriteFile(dir / "policies.yaml",
            absl::StrCat("namespaces: {task: {origin: {address: \"", address, "\"}}}\n"));
  const auto node = TestNode::Start("n0", {"--policies", dir / "policies.yaml"});
  ASSERT_TRUE(node.ok()) << node.status();
  const auto client = Client::Create({.targets = {(*node)->data()}});
  ASSERT_TRUE(client.ok()) << client.status();
  GetOptions unhurried;
  unhurried.timeout = absl::Seconds(10);
  const std::vector<GetResult> results =
      (*client)->BatchGet("task", std::vector<std::string_view>{"a", "b", "c"}, unhurried);
  EXPECT_EQ(results[0].value, "from Python");
  EXPECT_EQ(results[1].value, "grüße");
  EXPECT_EQ(results[2].status, ResultStatus::kMiss);
  EXPECT_EQ(results[2].source, ResultSource::kOrigin);
  EXPECT_EQ((*client)->Get("task", "a", unhurried).source, ResultSource::kL1);
}

}  // namespace
}  // namespace meridian
