// 4-01, 4-14: a service whose cache is an optional dependency works without one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/cpp/read_through.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Values = std::vector<std::optional<std::string>>;

// What an endpoint of the service does, whether or not it was given a cache.
Values Details(Client* cache, const std::vector<std::string_view>& keys,
               std::vector<std::string>* asked) {
  return ReadThrough(cache, "assessment", keys, [asked](std::span<const std::string_view> missing) {
    Values values;
    for (const std::string_view key : missing) {
      asked->emplace_back(key);
      values.push_back(key == "gone" ? std::nullopt : std::optional("made of " + std::string(key)));
    }
    return values;
  });
}

TEST(WithoutCacheTest, Requirement4_14_WithoutACacheEverythingIsComputedEachKeyOnce) {
  std::vector<std::string> asked;
  EXPECT_THAT(Details(nullptr, {"b", "a", "b", "gone"}, &asked),
              ElementsAre("made of b", "made of a", "made of b", std::nullopt));
  EXPECT_THAT(asked, ElementsAre("b", "a", "gone"));
  EXPECT_THAT(Details(nullptr, {"a"}, &asked), ElementsAre("made of a"));
  EXPECT_THAT(asked, ElementsAre("b", "a", "gone", "a")) << "nothing is kept";
}

TEST(WithoutCacheTest, NothingIsAskedOfNobody) {
  std::vector<std::string> asked;
  EXPECT_THAT(Details(nullptr, {}, &asked), IsEmpty());
  EXPECT_THAT(asked, IsEmpty());
}

TEST(WithoutCacheTest, AResultOfAnotherLengthAnswersNothingAsWithACache) {
  const std::vector<std::string_view> keys = {"a", "b"};
  EXPECT_THAT(ReadThrough(static_cast<Client*>(nullptr), "assessment", keys,
                          [](std::span<const std::string_view>) { return Values{"one"}; }),
              ElementsAre(std::nullopt, std::nullopt));
}

}  // namespace
}  // namespace meridian
