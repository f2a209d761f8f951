// RegionHotKeys: one list out of what several nodes see.

#include "server/coordinator/region_hot_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// "namespace/key rate".
std::vector<std::string> Texts(const std::vector<HotKey>& keys) {
  std::vector<std::string> texts;
  for (const HotKey& key : keys) {
    texts.push_back(absl::StrCat(key.name_space, "/", key.key, " ", key.per_second));
  }
  return texts;
}

class RegionHotKeysTest : public testing::Test {
 protected:
  std::vector<std::string> Top(size_t limit = 100, std::string_view name_space = {}) {
    return Texts(region_.Top(name_space, limit, now_));
  }
  RegionHotKeys region_;
  absl::Duration now_ = absl::Hours(1);
};

TEST_F(RegionHotKeysTest, AKeyHasTheSumOfTheRatesOfAllNodes) {
  region_.Report("n1", {{"task", "a", 10}, {"task", "b", 4}}, now_);
  region_.Report("n2", {{"user", "a", 7}, {"task", "b", 8}}, now_);
  EXPECT_THAT(Top(), ElementsAre("task/b 12", "task/a 10", "user/a 7"));
  EXPECT_THAT(Top(2), ElementsAre("task/b 12", "task/a 10"));
  EXPECT_THAT(Top(2, "user"), ElementsAre("user/a 7"));
  EXPECT_THAT(Top(2, "other"), IsEmpty());
}

TEST_F(RegionHotKeysTest, ALaterReportTakesThePlaceOfTheOneBefore) {
  region_.Report("n1", {{"task", "a", 10}}, now_);
  region_.Report("n1", {{"task", "b", 4}}, now_);
  EXPECT_THAT(Top(), ElementsAre("task/b 4"));
  region_.Report("n1", {}, now_);
  EXPECT_THAT(Top(), IsEmpty());
}

TEST_F(RegionHotKeysTest, ANodeThatIsSilentNoLongerCounts) {
  region_.Report("n1", {{"task", "a", 10}}, now_);
  now_ += RegionHotKeys::kKept;
  region_.Report("n2", {{"task", "a", 1}}, now_);
  EXPECT_THAT(Top(), ElementsAre("task/a 11"));
  now_ += absl::Nanoseconds(1);
  EXPECT_THAT(Top(), ElementsAre("task/a 1"));
}

TEST_F(RegionHotKeysTest, ANodeIsHeardOfSoManyKeysOnly) {
  std::vector<HotKey> keys;
  for (int i = 0; i < 2000; ++i) keys.push_back({"task", absl::StrCat(i), 2000.0 - i});
  region_.Report("n1", std::move(keys), now_);
  EXPECT_THAT(Top(5000), SizeIs(kMaxReportedHotKeys));
  region_.Clear();
  EXPECT_THAT(Top(), IsEmpty());
}

}  // namespace
}  // namespace meridian
