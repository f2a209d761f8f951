#include "common/base/version_before.h"

#include <gtest/gtest.h>

#include <vector>

namespace meridian {
namespace {

// Few different clocks and regions, the ends of both among them, so that ties and borrows happen.
std::vector<Version> SomeVersions() {
  std::vector<Version> versions;
  for (const uint64_t hlc : {uint64_t{1}, uint64_t{2}, uint64_t{0x10000}, ~uint64_t{0} - 1}) {
    for (const int region : {0, 1, 2, 7, 0xfffe, 0xffff}) {
      versions.push_back({hlc, static_cast<uint16_t>(region)});
    }
  }
  return versions;
}

TEST(VersionBeforeTest, NothingComesBetweenAVersionAndWhatIsJustBeforeIt) {
  EXPECT_EQ(JustBefore({5, 3}), (Version{5, 2}));
  EXPECT_EQ(JustBefore({5, 0}), (Version{4, 0xffff}));
  for (const Version version : SomeVersions()) {
    const Version before = JustBefore(version);
    EXPECT_LT(before, version);
    for (const Version other : SomeVersions()) {
      EXPECT_FALSE(before < other && other < version) << version.ToText() << other.ToText();
    }
  }
}

TEST(VersionBeforeTest, BeforeEverythingThereIsNothing) {
  EXPECT_FALSE(JustBefore({0, 0}).is_set());
  EXPECT_FALSE(JustBefore({0, 9}).is_set()) << "not the end of all time";
  EXPECT_FALSE(NewestBefore({0, 3}, 9).is_set());
}

TEST(VersionBeforeTest, TheNewestOfARegionIsItsLastOneBefore) {
  for (const Version version : SomeVersions()) {
    for (const int region : {1, 2, 7, 0xffff}) {
      const Version before = NewestBefore(version, static_cast<uint16_t>(region));
      EXPECT_LT(before, version);
      EXPECT_GE((Version{before.hlc + 1, before.region}), version);
      EXPECT_TRUE(before.region == region || !before.is_set());
    }
  }
}

TEST(VersionBeforeTest, WhatStandsJustBeforeAChangeIsAChangeOfItsRegion) {
  const Version version{5, 3};
  EXPECT_TRUE(IsChangeOf(version, 3));
  EXPECT_TRUE(IsChangeOf(JustBefore(version), 3));
  EXPECT_FALSE(IsChangeOf(version, 2));
  EXPECT_FALSE(IsChangeOf(JustBefore(JustBefore(version)), 3));
}

// Of its own region only when that is newer than what is to go: within a millisecond it may be that
// very version, and a drop that is not newer drops nothing.
TEST(VersionBeforeTest, ADropIsBetweenWhatGoesAndWhatMadeItOld) {
  EXPECT_EQ(DropBetween({90, 9}, {100, 3}, 9), (Version{99, 9}));
  EXPECT_EQ(DropBetween({90, 2}, {100, 3}, 2), (Version{100, 2}));
  EXPECT_EQ(DropBetween({99, 9}, {100, 3}, 9), (Version{100, 2}));
}

}  // namespace
}  // namespace meridian
