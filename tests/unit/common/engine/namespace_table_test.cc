#include "common/engine/namespace_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace meridian {
namespace {

using ::testing::ElementsAre;

TEST(NamespaceTableTest, NumbersNamesFromOneInTheOrderOfTheirFirstUse) {
  NamespaceTable table(3);
  EXPECT_EQ(table.Intern("task"), 1);
  EXPECT_EQ(table.Intern("session"), 2);
  EXPECT_EQ(table.Intern("task"), 1);
  EXPECT_THAT(table.Names(), ElementsAre("task", "session"));
}

TEST(NamespaceTableTest, AFullTableKnowsItsNamesAndNoOther) {
  NamespaceTable table(2);
  table.Intern("a");
  table.Intern("b");
  EXPECT_EQ(table.Intern("c"), std::nullopt);
  EXPECT_EQ(table.Intern("b"), 2);
  EXPECT_THAT(table.Names(), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace meridian
