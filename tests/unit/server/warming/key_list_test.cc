#include "server/warming/key_list.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> All(const std::vector<std::string>& texts, const KeyParts& parts = {}) {
  const absl::StatusOr<KeyList> keys = KeyList::Parse(texts, parts);
  EXPECT_TRUE(keys.ok()) << keys.status();
  std::vector<std::string> all;
  if (!keys.ok()) return all;
  for (uint64_t i = 0; i < keys->size(); ++i) all.push_back(keys->At(i));
  return all;
}

std::string ErrorOf(const std::vector<std::string>& texts, const KeyParts& parts = {}) {
  const absl::StatusOr<KeyList> keys = KeyList::Parse(texts, parts);
  EXPECT_EQ(keys.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(keys.status().message());
}

TEST(KeyListTest, PlainKeysRangesAndLists) {
  EXPECT_THAT(All({"a", "user:{9..11}", "x"}),
              ElementsAre("a", "user:9", "user:10", "user:11", "x"));
  EXPECT_THAT(All({"{008..010}"}), ElementsAre("008", "009", "010"));
  EXPECT_THAT(All({"{calm,brisk}-{1..2}"}), ElementsAre("calm-1", "calm-2", "brisk-1", "brisk-2"));
}

// 0-07, 1-04: templates such as {tone}-{pace}-{intent}.
TEST(KeyListTest, NamedPartsAreGivenBesides) {
  EXPECT_THAT(All({"{tone}-{pace}"}, {{"tone", "calm, frustrated"}, {"pace", "1..2"}}),
              ElementsAre("calm-1", "calm-2", "frustrated-1", "frustrated-2"));
}

TEST(KeyListTest, BracesAroundAnythingElseStay) {
  EXPECT_THAT(All({"user:{42}:profile", "{}", "{a{b}c}"}),
              ElementsAre("user:{42}:profile", "{}", "{a{b}c}"));
  EXPECT_THAT(All({"user:{{1..2}}:profile"}), ElementsAre("user:{1}:profile", "user:{2}:profile"));
}

TEST(KeyListTest, ABraceWithoutItsOtherIsATypingError) {
  for (const char* text : {"user:{1..500", "a:{b", "{", "a{{1..2}"}) {
    EXPECT_THAT(ErrorOf({"x", text}), AllOf(HasSubstr("keys[1]"), HasSubstr("no } closes")));
  }
  for (const char* text : {"user:1..500}", "}{", "a{1..2}}"}) {
    EXPECT_THAT(ErrorOf({text}), AllOf(HasSubstr("keys[0]"), HasSubstr("no { opens")));
  }
  EXPECT_EQ(KeyList::OfKeys({"a:{b"})->At(0), "a:{b") << "as it is";
}

TEST(KeyListTest, AMillionKeysAreATextOfTwentyBytes) {
  const absl::StatusOr<KeyList> keys = KeyList::Parse({"a", "key:{0..999999}"});
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(keys->size(), 1'000'001u);
  EXPECT_EQ(keys->At(0), "a");
  EXPECT_EQ(keys->At(1), "key:0");
  EXPECT_EQ(keys->At(1'000'000), "key:999999");
}

TEST(KeyListTest, ErrorsNameTheTextOrThePart) {
  EXPECT_THAT(ErrorOf({}), HasSubstr("keys: there is none"));
  EXPECT_THAT(ErrorOf({"a", ""}), AllOf(HasSubstr("keys[1]"), HasSubstr("is empty")));
  EXPECT_THAT(ErrorOf({"{5..1}"}), AllOf(HasSubstr("keys[0]"), HasSubstr("backwards")));
  EXPECT_THAT(ErrorOf({"{a,,b}"}), AllOf(HasSubstr("keys[0]"), HasSubstr("empty member")));
  EXPECT_THAT(ErrorOf({std::string(1025, 'k')}), HasSubstr("more than 1024 bytes"));
  EXPECT_THAT(ErrorOf({std::string(1020, 'k') + "{1..99999}"}), HasSubstr("more than 1024 bytes"));
  EXPECT_THAT(ErrorOf({"{1..10000}{1..10000}"}), HasSubstr("more than 10000000 keys"));
  EXPECT_THAT(ErrorOf({"{1..999999999999999999}"}), HasSubstr("more than 10000000 keys"));
  // Not a key that happens to have dots.
  EXPECT_THAT(ErrorOf({"{1..99999999999999999999}"}), HasSubstr("more than 18 digits"));
  EXPECT_THAT(ErrorOf({"a{1..9000000}", "b{1..9000000}"}), HasSubstr("together more than"));
  EXPECT_THAT(ErrorOf(std::vector<std::string>(300, std::string(1000, 'k'))),
              HasSubstr("bytes of text"));
  EXPECT_THAT(ErrorOf({"{a}"}, {{"a", "1..2"}, {"b", "1..2"}}), HasSubstr("parts.b: no key has"));
  EXPECT_THAT(ErrorOf({"{a}"}, {{"a", "2..1"}}), HasSubstr("parts.a"));
}

}  // namespace
}  // namespace meridian
