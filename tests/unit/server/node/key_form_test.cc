// How keys are formed (3-09), and which are not cached at all (4-04).

#include "server/node/key_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace meridian {
namespace {

constexpr KeyPolicy kAll = {.trim = true, .lowercase = true, .collapse_spaces = true};

std::string Form(const KeyPolicy& policy, std::string_view key) {
  std::string storage;
  return std::string(FormKey(policy, key, &storage));
}

TEST(KeyFormTest, WithoutAPolicyKeysStayAsTheyAre) {
  EXPECT_FALSE(FormsKeys(NamespacePolicy()));
  EXPECT_EQ(Form({}, "  A  b?c=D "), "  A  b?c=D ");
}

TEST(KeyFormTest, NormalisesSpacesAndLetters) {
  EXPECT_EQ(Form(kAll, "  How  ARE\tyou? \n"), "how are you?");
  EXPECT_EQ(Form({.trim = true}, "  A  b "), "A  b");
  EXPECT_EQ(Form({.lowercase = true}, " A  B"), " a  b");
  EXPECT_EQ(Form({.collapse_spaces = true}, "  A   B "), " A B ");
  EXPECT_EQ(Form(kAll, "   "), "");
  EXPECT_EQ(Form(kAll, "\xC3\x84\xFF\x01"), "\xC3\x84\xFF\x01") << "only ASCII letters have a case";
}

TEST(KeyFormTest, APrefixHasTheFormOfItsKeysAndEndsBeforeWhatIsHashed) {
  const auto form = [](const KeyPolicy& policy, std::string_view prefix) -> std::string {
    std::string storage;
    return std::string(FormPrefix(policy, prefix, &storage).value_or("none"));
  };
  EXPECT_EQ(form({}, "Chat: A?b:"), "Chat: A?b:");
  EXPECT_EQ(form(kAll, " Chat:User:7:"), "chat:user:7:");
  KeyPolicy hashes = kAll;
  hashes.hash = KeyHash::kMd5;
  EXPECT_EQ(form(hashes, "Chat:User:7:"), "chat:user:7:");
  EXPECT_EQ(Form(hashes, "Chat:User:7:how are you: well?").substr(0, 12), "chat:user:7:");
  EXPECT_EQ(form(hashes, "Chat:how are you:"), "none");
  EXPECT_EQ(form(hashes, "chat?a:"), "none");
}

TEST(KeyFormTest, Line3_09QuestionsThatDifferInSpellingAreOneKey) {
  KeyPolicy policy = kAll;
  policy.hash = KeyHash::kMd5;
  const std::string key = Form(policy, "context:How are you?");
  EXPECT_EQ(key, "context:35179a54ea587953021400eb0cd23201");
  EXPECT_EQ(Form(policy, " context:how ARE  you?  "), key);
  EXPECT_EQ(Form(policy, "context: \tHow are you?"), key);
  EXPECT_NE(Form(policy, "context:how are you"), key);
}

TEST(KeyFormTest, SpacesInFrontOfTheTextAreTrimmed) {
  EXPECT_EQ(Form({.trim = true}, "context: what is x"), "context:what is x");
  EXPECT_EQ(Form({.trim = true}, " a: b:\n c: d "), "a:b:c:d");
  EXPECT_EQ(Form({.trim = true}, "a:what now: this"), "a:what now: this") << "within the text";
  EXPECT_EQ(Form({.trim = true}, "a:why?b: c"), "a:why?b: c");
  EXPECT_EQ(Form({.collapse_spaces = true}, "a:  b"), "a: b") << "nobody asked to trim";
  for (const char* key : {" a: b: c: d", "a:  : b", "a ?: b", "::  x"}) {
    EXPECT_EQ(Form(kAll, Form(kAll, key)), Form(kAll, key)) << "a form is its own form";
  }
}

TEST(KeyFormTest, TheHashesAreTheStandardOnes) {
  EXPECT_EQ(Form({.hash = KeyHash::kMd5}, "context:hello world"),
            "context:5eb63bbbe01eeed093cb22bb8f5acdc3");
  EXPECT_EQ(Form({.hash = KeyHash::kXxh3}, "context:hello world"),
            "context:df8d09e93f874900a99b8775cc15b6c7");
}

TEST(KeyFormTest, ThePrefixEndsAtTheLastColonBeforeTheText) {
  const KeyPolicy policy = {.hash = KeyHash::kMd5};
  EXPECT_EQ(Form(policy, "a:b:c d:e").substr(0, 4), "a:b:");
  EXPECT_EQ(Form(policy, "a:b:c?d:e").substr(0, 4), "a:b:");
  EXPECT_EQ(Form(policy, "hello world"), "5eb63bbbe01eeed093cb22bb8f5acdc3");
}

TEST(KeyFormTest, ShortKeysAreNotHashed) {
  const KeyPolicy policy = {.hash = KeyHash::kXxh3, .hash_above = 64};
  EXPECT_EQ(Form(policy, std::string(64, 'k')), std::string(64, 'k'));
  EXPECT_EQ(Form(policy, "p:" + std::string(5000, 'k')).size(), 34);
}

TEST(KeyFormTest, WhetherAFormedKeyKeepsItsForm) {
  const std::vector<std::string> keys = {"k",
                                         "ctx:",
                                         "q: What is it? ",
                                         "Q: x: Y  z?a=B",
                                         std::string(40, 'k'),
                                         "p:q:r " + std::string(100, 'K'),
                                         std::string(60, ':')};
  for (const KeyHash hash : {KeyHash::kNone, KeyHash::kMd5, KeyHash::kXxh3}) {
    for (const uint32_t above : {0, 31, 32, 34, 64, 1024}) {
      for (const bool normalize : {false, true}) {
        KeyPolicy policy = normalize ? kAll : KeyPolicy();
        policy.hash = hash;
        policy.hash_above = above;
        for (const std::string& key : keys) {
          const std::string formed = Form(policy, key);
          EXPECT_EQ(KeepsForm(policy, formed), Form(policy, formed) == formed)
              << key << " above " << above;
        }
      }
    }
  }
}

TEST(KeyFormTest, Line4_04AKeyWithABypassParameterIsNotCached) {
  NamespacePolicy policy;
  policy.bypass_parameters = {"agent_filter", "confidence_min", "category_filter"};
  EXPECT_TRUE(FormsKeys(policy));
  EXPECT_FALSE(IsBypassed(policy, "recommendations:7:list"));
  EXPECT_FALSE(IsBypassed(policy, "recommendations:7:list?page=2&sort=agent_filter"));
  EXPECT_FALSE(IsBypassed(policy, "agent_filter=1&agent_filter"));
  EXPECT_TRUE(IsBypassed(policy, "recommendations:7:list?agent_filter=x"));
  EXPECT_TRUE(IsBypassed(policy, "recommendations:7:list?page=2&confidence_min"));
  EXPECT_TRUE(IsBypassed(policy, "?&category_filter="));
  EXPECT_FALSE(IsBypassed(policy, "k?"));
}

TEST(KeyFormTest, Line4_04AParameterIsFoundInEverySpelling) {
  NamespacePolicy policy;
  policy.bypass_parameters = {"agent_filter", "Min"};
  EXPECT_TRUE(IsBypassed(policy, "k?agent%5Ffilter=x"));
  EXPECT_TRUE(IsBypassed(policy, "k?a=1&%61gent%5ffilter"));
  EXPECT_FALSE(IsBypassed(policy, "k?agent%5Ffilter2=x"));
  EXPECT_FALSE(IsBypassed(policy, "k?agent%5"));
  EXPECT_FALSE(IsBypassed(policy, "k?agent%zzfilter"));
  EXPECT_FALSE(IsBypassed(policy, "k?Agent_Filter=x")) << "its keys differ by case";
  EXPECT_FALSE(IsBypassed(policy, "k? agent_filter=x"));
  policy.key.lowercase = true;
  EXPECT_TRUE(IsBypassed(policy, "k?Agent_Filter=x"));
  EXPECT_TRUE(IsBypassed(policy, "k?AGENT%5FFILTER=x"));
  EXPECT_TRUE(IsBypassed(policy, "k?%4dIN"));
  policy.key.trim = true;
  EXPECT_TRUE(IsBypassed(policy, "k? agent_filter =x"));
  policy.bypass_parameters = {"100%", "a%5Fb"};
  EXPECT_TRUE(IsBypassed(policy, "k?100%=1"));
  EXPECT_TRUE(IsBypassed(policy, "k?a%5Fb=1")) << "as the policy has it";
}

}  // namespace
}  // namespace meridian
