// Of several files together; PolicyStoreTest has what is true of each.

#include "server/policy/file_follower.h"

#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/temp_dir.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(FileFollowerTest, OneOfSeveralFilesChangesAndAllAreRead) {
  const TempDir dir;
  FakeClock clock;
  FakeExecutor executor(clock);
  WriteFile(dir / "a", "a: 1");
  WriteFile(dir / "b", "# nothing");
  std::vector<std::vector<std::string>> applied;
  absl::Status answer;
  FileFollower follower(
      {.files = {dir / "a", dir / "b"},
       .texts = {"a: 1", "# nothing"},
       .nothing = {"write {} to a", "write {} to b"},
       .poll = absl::Seconds(5)},
      executor, clock,
      [&](const std::vector<std::string>& texts) {
        applied.push_back(texts);
        return answer;
      },
      [](const FileFollowerStatus&) {});
  follower.Start();
  executor.RunFor(absl::Seconds(6));
  EXPECT_THAT(applied, IsEmpty());
  WriteFile(dir / "b", "b: 1");
  executor.RunFor(absl::Seconds(6));
  EXPECT_THAT(applied, ElementsAre(ElementsAre("a: 1", "b: 1")));

  answer = absl::InvalidArgumentError("b:1: by the test");
  WriteFile(dir / "b", "b: 2");
  executor.RunFor(absl::Seconds(20));
  EXPECT_EQ(applied.size(), 2u) << "a text that was refused is tried again and again";
  EXPECT_EQ(follower.Status().problem, "b:1: by the test");
  EXPECT_EQ(follower.Status().failed_reloads, 1u);

  answer = absl::OkStatus();
  WriteFile(dir / "b", "");  // It has said something since.
  executor.RunFor(absl::Seconds(6));
  EXPECT_THAT(follower.Status().problem, HasSubstr("write {} to b"));
  std::filesystem::remove(dir / "a");
  executor.RunFor(absl::Seconds(6));
  EXPECT_THAT(follower.Status().problem, HasSubstr("cannot be read"));
  EXPECT_EQ(applied.size(), 2u);
  WriteFile(dir / "a", "a: 2");
  WriteFile(dir / "b", "b: 1");
  executor.RunFor(absl::Seconds(6));
  EXPECT_EQ(follower.Status().problem, "");
  EXPECT_THAT(applied.back(), ElementsAre("a: 2", "b: 1"));
}

}  // namespace
}  // namespace meridian
