// docs/config.md says what the tables of options say.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "server/app/coordinator_config.h"
#include "server/policy/node_config.h"
#include "server/policy/policy_fields.h"

namespace meridian {
namespace {

std::string ConfigDocument() {
  std::ifstream stream(std::string(std::getenv("MERIDIAN_SOURCE_DIR")) + "/docs/config.md");
  return std::string((std::istreambuf_iterator<char>(stream)), {});
}

TEST(ConfigDocsTest, TheTableOfTheNodeIsTheRealOne) {
  EXPECT_THAT(ConfigDocument(), testing::HasSubstr(NodeConfig::MarkdownTable()));
}

TEST(ConfigDocsTest, TheTableOfThePolicyFieldsIsTheRealOne) {
  EXPECT_THAT(ConfigDocument(), testing::HasSubstr(PolicyMarkdownTable()));
}

TEST(ConfigDocsTest, TheTableOfTheCoordinatorIsTheRealOne) {
  EXPECT_THAT(ConfigDocument(), testing::HasSubstr(CoordinatorConfig::MarkdownTable()));
}

}  // namespace
}  // namespace meridian
