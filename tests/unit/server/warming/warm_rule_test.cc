#include "server/warming/warm_rule.h"

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/policy/text.h"
#include "server/warming/warm_settings.h"

namespace meridian {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

using ByNamespace = std::map<std::string, std::vector<std::string>>;

// The rule r with these lines; fails the test rather than return an error.
WarmRule Rule(const std::string& lines) {
  WarmSettings settings;
  const absl::Status status =
      settings.ReadFile("f.yaml", absl::StrCat("rules: {r: {", lines, "}}"));
  EXPECT_TRUE(status.ok()) << status;
  return status.ok() ? settings.rules.at("r") : WarmRule();
}

std::string ErrorOf(const std::string& lines) {
  WarmSettings settings;
  const absl::Status status =
      settings.ReadFile("f.yaml", absl::StrCat("rules:\n  r:\n    ", lines, "\n"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << lines;
  return std::string(status.message());
}

std::optional<std::vector<std::string>> Match(const std::string& pattern, const std::string& key) {
  const absl::StatusOr<KeyPattern> parsed = KeyPattern::Parse(pattern);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed->Match(key);
}

TEST(KeyPatternTest, PartsEndWhereTheTextAfterThemBegins) {
  EXPECT_THAT(*Match("task:{id}", "task:7"), ElementsAre("7"));
  EXPECT_THAT(*Match("{tone}-{pace}-{intent}", "calm-flowing-seek-advice"),
              ElementsAre("calm", "flowing", "seek-advice"));
  EXPECT_THAT(*Match("{{id}}:x", "{7}:x"), ElementsAre("7"));
  EXPECT_THAT(*Match("a{x}b", "abbb"), ElementsAre("bb"));
  EXPECT_THAT(*Match("", "anything"), IsEmpty());
  EXPECT_THAT(*Match("only", "only"), IsEmpty());
}

TEST(KeyPatternTest, AKeyOfAnotherFormDoesNotMatch) {
  EXPECT_FALSE(Match("task:{id}", "task:"));
  EXPECT_FALSE(Match("task:{id}", "tas"));
  EXPECT_FALSE(Match("task:{id}", "user:7"));
  EXPECT_FALSE(Match("{a}-{b}", "-b"));
  EXPECT_FALSE(Match("{a}-{b}", "a-"));
  EXPECT_FALSE(Match("a{x}b", "ab"));
  EXPECT_FALSE(Match("only", "only one"));
}

TEST(WarmRuleTest, KeysAreMadeOfPartsOfTheKeyOfFieldsAndOfLists) {
  const WarmRule rule = Rule(R"(on: access, of: task, key: "task:{id}", fields: [project, who],
      parts: {tone: [calm, brisk]},
      warm: {project: ["project:{project}"], user: ["user:{who}"],
             note: ["{id}-{tone}-{1..2}", "{{id}}"]})");
  const auto keys =
      rule.Expand({"access", "task", "task:7", {{"project", "p1"}, {"who", "ann, bob,,"}}});
  ASSERT_TRUE(keys.has_value());
  EXPECT_THAT(keys->by_namespace,
              UnorderedElementsAre(Pair("project", ElementsAre("project:p1")),
                                   Pair("user", ElementsAre("user:ann", "user:bob")),
                                   Pair("note", ElementsAre("7-calm-1", "7-calm-2", "7-brisk-1",
                                                            "7-brisk-2", "{7}"))));
  EXPECT_EQ(keys->unbound + keys->cut + keys->invalid, 0u);
}

TEST(WarmRuleTest, OnlyEventsOfItsKindNamespaceAndForm) {
  const WarmRule rule = Rule(R"(on: access, of: task, key: "task:{id}", warm: {x: ["{id}"]})");
  EXPECT_TRUE(rule.Expand({"access", "task", "task:7", {}}));
  EXPECT_FALSE(rule.Expand({"update", "task", "task:7", {}}));
  EXPECT_FALSE(rule.Expand({"access", "user", "task:7", {}}));
  EXPECT_FALSE(rule.Expand({"access", "task", "user:7", {}}));
}

TEST(WarmRuleTest, ATemplateWhosePartIsMissingMakesNoKeyAndTheOthersDo) {
  const WarmRule rule = Rule(R"(on: login, fields: [a, b], warm: {x: ["{a}"], y: ["{a}-{b}"]})");
  const auto keys = rule.Expand({"login", "", "", {{"a", "1"}, {"b", " ,"}}});
  ASSERT_TRUE(keys.has_value());
  EXPECT_THAT(keys->by_namespace, ElementsAre(Pair("x", ElementsAre("1"))));
  EXPECT_EQ(keys->unbound, 1u);
}

TEST(WarmRuleTest, WhatAnEventHoldsStaysAValue) {
  const WarmRule rule = Rule(R"(on: login, key: "{k}", fields: [a], warm: {x: ["{a}", "{k}"]})");
  const auto keys = rule.Expand({"login", "", "{1..9},{a}", {{"a", "{1..1000000}"}}});
  ASSERT_TRUE(keys.has_value());
  EXPECT_THAT(keys->by_namespace,
              ElementsAre(Pair("x", ElementsAre("{1..1000000}", "{1..9},{a}"))));
}

TEST(WarmRuleTest, FanOutIsBounded) {
  const WarmRule rule =
      Rule(R"(on: login, fields: [a, b, c], max_keys: 5, warm: {x: ["{a}{b}{c}", "{a}"]})");
  std::string many;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&many, i, ",");
  const auto keys = rule.Expand({"login", "", "", {{"a", many}, {"b", many}, {"c", many}}});
  ASSERT_TRUE(keys.has_value());
  EXPECT_THAT(keys->by_namespace.at("x"), SizeIs(5));
  EXPECT_GE(keys->cut, 1'000'000u);
}

TEST(WarmRuleTest, WhatCannotBeAKeyIsLeftOut) {
  const WarmRule rule = Rule(R"(on: login, fields: [a], warm: {x: ["k:{a}"]})");
  const auto keys = rule.Expand({"login", "", "", {{"a", std::string(1023, 'x') + ",b,b"}}});
  ASSERT_TRUE(keys.has_value());
  EXPECT_THAT(keys->by_namespace.at("x"), ElementsAre("k:b"));
  EXPECT_EQ(keys->invalid, 1u);
}

TEST(WarmRuleTest, ErrorsNameFileLineFieldAndReason) {
  EXPECT_THAT(ErrorOf("{on: a, warm: {t: ['{nothing}']}}"),
              AllOf(StartsWith("f.yaml:3: rules.r.warm.t[0]: {nothing} is no part of key"),
                    HasSubstr("known are none")));
  EXPECT_THAT(ErrorOf("{on: a, fields: [projct], warm: {t: ['x', '{project}']}}"),
              AllOf(HasSubstr("rules.r.warm.t[1]"), HasSubstr("known are projct")));
  EXPECT_THAT(ErrorOf("{warm: {t: [x]}}"), HasSubstr("rules.r: on is missing"));
  EXPECT_THAT(ErrorOf("{on: a, warm: {_meridian: [x]}}"),
              HasSubstr("rules.r.warm._meridian: NAMESPACE_RESERVED: "));
  EXPECT_THAT(ErrorOf("{on: a, of: _meridian.x, warm: {t: [x]}}"),
              HasSubstr("rules.r.of: NAMESPACE_RESERVED: "));
  EXPECT_THAT(ErrorOf("{on: a}"), HasSubstr("warm is missing"));
  EXPECT_THAT(ErrorOf("{on: a, warm: {}}"), HasSubstr("rules.r.warm: names no namespace"));
  EXPECT_THAT(ErrorOf("{on: a, warm: {T: [x]}}"), HasSubstr("rules.r.warm.T: 'T' is not [a-z0-9"));
  EXPECT_THAT(ErrorOf("{on: a, warm: {t: ['']}}"), HasSubstr("rules.r.warm.t[0]: is empty"));
  EXPECT_THAT(ErrorOf("{on: 'A b', warm: {t: [x]}}"), HasSubstr("rules.r.on: 'A b' is not"));
  EXPECT_THAT(ErrorOf("{on: a, key: '{x}{y}', warm: {t: [x]}}"),
              HasSubstr("rules.r.key: '{x}{y}' has two parts with nothing between them"));
  EXPECT_THAT(ErrorOf("{on: a, key: '{x}-{x}', warm: {t: [x]}}"), HasSubstr("names x twice"));
  EXPECT_THAT(ErrorOf("{on: a, key: '{x}', fields: [x], warm: {t: ['{x}']}}"),
              HasSubstr("x is more than one of"));
  EXPECT_THAT(ErrorOf("{on: a, parts: {p: '1..2000'}, warm: {t: ['{p}']}}"),
              HasSubstr("rules.r.parts.p: has 2000 values; max_keys is 100"));
  EXPECT_THAT(ErrorOf("{on: a, warm: {t: ['{1..2000}']}}"),
              HasSubstr("stands for more than 100 keys"));
  EXPECT_THAT(ErrorOf("{on: a, max_keys: 1001, warm: {t: [x]}}"), HasSubstr("rules.r.max_keys: "));
  EXPECT_THAT(ErrorOf("{on: a, not_again_for: 2h, warm: {t: [x]}}"),
              HasSubstr("rules.r.not_again_for: '2h' is not from 0 to 1h"));
  EXPECT_THAT(ErrorOf("{on: a, were: x, warm: {t: [x]}}"), HasSubstr("did you mean warm?"));
}

// The rules that are shipped.
class ShippedRulesTest : public ::testing::Test {
 protected:
  void SetUp() override { Load("warming.yaml"); }
  void Load(const std::string& name) {
    settings_ = {};
    const std::string file = std::string(std::getenv("MERIDIAN_SOURCE_DIR")) + "/config/" + name;
    const absl::StatusOr<std::string> text = ReadSmallFile(file);
    ASSERT_TRUE(text.ok()) << text.status();
    const absl::Status status = settings_.ReadFile(file, *text);
    ASSERT_TRUE(status.ok()) << status;
  }
  // The keys of all rules together.
  ByNamespace KeysOf(const WarmEvent& event) const {
    ByNamespace all;
    for (const auto& [name, rule] : settings_.rules) {
      const auto keys = rule.Expand(event);
      if (!keys.has_value()) continue;
      for (const auto& [name_space, made] : keys->by_namespace) {
        all[name_space].insert(all[name_space].end(), made.begin(), made.end());
      }
    }
    return all;
  }

  WarmSettings settings_;
};

TEST_F(ShippedRulesTest, Requirement0_12_APersonaPrefetchesItsOtherIntentAndAnotherPersona) {
  ASSERT_NO_FATAL_FAILURE(Load("warming-persona.yaml"));
  EXPECT_THAT(
      KeysOf({"access", "persona-warm", "calm-burst-seek_advice", {}}),
      UnorderedElementsAre(Pair(
          "persona-warm", ElementsAre("calm-burst-learning", "analytical-burst-seek_advice"))));
  EXPECT_THAT(KeysOf({"access", "persona", "calm-burst-seek_advice", {}}), IsEmpty());
}

// As a rule: a context that is accessed warms what its key binds.
TEST_F(ShippedRulesTest, Requirement2_11_OnContextAccess) {
  settings_ = {};
  const absl::Status status = settings_.ReadFile("contexts.yaml", R"(
rules:
  on_context_access:
    on: access
    of: context
    key: "context:{level}:{id}"
    warm: {context: ["context:project:{id}"], task: ["task:{id}"]}
)");
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(KeysOf({"access", "context", "context:branch:7", {}}),
              UnorderedElementsAre(Pair("context", ElementsAre("context:project:7")),
                                   Pair("task", ElementsAre("task:7"))));
  EXPECT_THAT(KeysOf({"update", "context", "context:branch:7", {}}), IsEmpty());
}

TEST_F(ShippedRulesTest, Requirement2_07_TaskProjectLoginAndCheckout) {
  EXPECT_THAT(KeysOf({"access",
                      "task",
                      "task:7",
                      {{"project", "p"}, {"git_branch", "b"}, {"assignees", "ann,bob"}}}),
              UnorderedElementsAre(Pair("project", ElementsAre("project:p")),
                                   Pair("git_branch", ElementsAre("git_branch:b")),
                                   Pair("user", ElementsAre("user:ann", "user:bob"))));
  EXPECT_THAT(
      KeysOf({"access",
              "project",
              "project:p",
              {{"git_branches", "b1,b2"}, {"team_members", "ann"}, {"recent_tasks", "1,2"}}}),
      UnorderedElementsAre(Pair("git_branch", ElementsAre("git_branch:b1", "git_branch:b2")),
                           Pair("user", ElementsAre("user:ann")),
                           Pair("task", ElementsAre("task:1", "task:2"))));
  EXPECT_THAT(KeysOf({"login",
                      "",
                      "",
                      {{"user", "ann"},
                       {"active_projects", "p"},
                       {"assigned_tasks", "1"},
                       {"recent_contexts", "c"}}}),
              UnorderedElementsAre(
                  Pair("user", ElementsAre("user:ann")), Pair("project", ElementsAre("project:p")),
                  Pair("task", ElementsAre("task:1")), Pair("context", ElementsAre("context:c"))));
  EXPECT_THAT(KeysOf({"git_branch_checkout",
                      "git_branch",
                      "git_branch:b",
                      {{"project", "p"}, {"related_tasks", "1,2"}, {"team_contexts", "c"}}}),
              UnorderedElementsAre(Pair("project", ElementsAre("project:p")),
                                   Pair("task", ElementsAre("task:1", "task:2")),
                                   Pair("context", ElementsAre("context:c"))));
}

TEST_F(ShippedRulesTest, Requirement2_09_AnUpdatedProjectWarmsItsBranchesAndActiveTasks) {
  EXPECT_THAT(
      KeysOf(
          {"update", "project", "project:p", {{"git_branches", "b1,b2"}, {"active_tasks", "1"}}}),
      UnorderedElementsAre(Pair("project", ElementsAre("project:p")),
                           Pair("git_branch", ElementsAre("git_branch:b1", "git_branch:b2")),
                           Pair("task", ElementsAre("task:1"))));
}

}  // namespace
}  // namespace meridian
