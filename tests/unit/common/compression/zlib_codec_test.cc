#include "common/compression/zlib_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

constexpr size_t kLimit = size_t{8} << 20;

std::string Json(size_t size) {
  std::string text = "[";
  for (int i = 0; text.size() < size; ++i) {
    absl::StrAppend(&text, R"({"id":)", i, R"(,"name":"user )", i * 7919 % 1000,
                    R"(","roles":["reader","editor"],"active":true},)");
  }
  text.resize(size);
  return text;
}

std::string Noise(size_t size, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

std::string Deflated(std::string_view value) {
  const std::optional<Buffer> deflated = Deflate(value, {});
  EXPECT_TRUE(deflated.has_value());
  return deflated ? std::string(deflated->view()) : std::string();
}

std::string Refusal(std::string_view bytes, size_t raw_size, size_t limit = kLimit) {
  const absl::StatusOr<Buffer> inflated = Inflate(bytes, raw_size, limit);
  if (inflated.ok()) return "accepted";
  EXPECT_EQ(inflated.status().code(), absl::StatusCode::kDataLoss);
  return std::string(inflated.status().message());
}

TEST(ZlibCodecTest, WhatWasDeflatedIsInflatedToTheSame) {
  for (const size_t size : {1024, 4095, 32 << 10, 100'000, 8 << 20}) {
    for (const int level : {1, 6, 9}) {
      const std::string value = Json(size);
      const std::optional<Buffer> deflated = Deflate(value, {.level = level});
      ASSERT_TRUE(deflated.has_value()) << size;
      EXPECT_LE(deflated->size(), size * 9 / 10);
      const absl::StatusOr<Buffer> inflated = Inflate(deflated->view(), size, kLimit);
      ASSERT_TRUE(inflated.ok()) << inflated.status();
      EXPECT_TRUE(inflated->view() == value);
    }
  }
}

TEST(ZlibCodecTest, WhatSavesTooLittleStaysAsItIs) {
  for (const size_t size : {1024, 20'000, 1 << 20}) {
    EXPECT_FALSE(Deflate(Noise(size), {}).has_value()) << size;
  }
  // Two thirds noise: saves about a third.
  const std::string mixed = Noise(20'000) + std::string(10'000, 'x');
  EXPECT_TRUE(Deflate(mixed, {.min_saving = 0.3}).has_value());
  EXPECT_FALSE(Deflate(mixed, {.min_saving = 0.4}).has_value());
  EXPECT_FALSE(Deflate("", {}).has_value());
  EXPECT_FALSE(Deflate("x", {}).has_value());
}

TEST(ZlibCodecTest, AnAnnouncedSizeThatIsNotTheTrueOneIsDataLoss) {
  const std::string value = Json(5000);
  const std::string bytes = Deflated(value);
  EXPECT_EQ(Refusal(bytes, 4999), "malformed zlib data: more than the announced 4999 bytes");
  EXPECT_EQ(Refusal(bytes, 5001), "malformed zlib data: 5000 bytes inflated, 5001 announced");
  EXPECT_EQ(Refusal(bytes, 0), "malformed zlib data: more than the announced 0 bytes");
}

TEST(ZlibCodecTest, EveryTruncationAndWhatFollowsTheEndIsDataLoss) {
  const std::string value = Json(3000);
  const std::string bytes = Deflated(value);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(Refusal(bytes.substr(0, size), value.size()), testing::HasSubstr("malformed"))
        << size;
  }
  EXPECT_EQ(Refusal(bytes + "x", value.size()), "malformed zlib data: 1 bytes behind its end");
  EXPECT_EQ(Refusal(bytes + bytes, value.size()),
            absl::StrCat("malformed zlib data: ", bytes.size(), " bytes behind its end"));
}

TEST(ZlibCodecTest, EveryFlippedBitIsNoticed) {
  const std::string value = Json(2000);
  const std::string bytes = Deflated(value);
  // The two header bytes hold hints (level, window) whose change leaves the data as it is.
  for (size_t bit = 16; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    const absl::StatusOr<Buffer> inflated = Inflate(flipped, value.size(), kLimit);
    EXPECT_TRUE(!inflated.ok() || inflated->view() == value) << bit;
  }
}

TEST(ZlibCodecTest, ABombIsRefusedByItsAnnouncementOrAtItsAnnouncedSize) {
  const std::string bomb = Deflated(std::string(16 << 20, '\0'));
  EXPECT_LT(bomb.size(), 128 << 10);
  EXPECT_EQ(Refusal(bomb, 16 << 20),
            "malformed zlib data: 16777216 bytes announced, at most 8388608 are allowed");
  EXPECT_EQ(Refusal(bomb, 1000), "malformed zlib data: more than the announced 1000 bytes");
  EXPECT_EQ(Refusal("tiny", 1 << 20), "malformed zlib data: 1048576 bytes announced by 4");
}

TEST(ZlibCodecTest, AfterARefusalTheThreadGoesOn) {
  const std::string value = Json(3000);
  const std::string bytes = Deflated(value);
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(Refusal(Noise(500, static_cast<uint32_t>(i)), 1000), "accepted");
    EXPECT_FALSE(Deflate(Noise(2000), {.level = i + 1}).has_value());
    EXPECT_EQ(Deflated(value), bytes);
    EXPECT_EQ(Inflate(bytes, value.size(), kLimit)->view(), value);
  }
}

TEST(ZlibCodecTest, ThreadsDoNotDisturbEachOther) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 50; ++i) {
        const std::string value = Json(static_cast<size_t>(1000 + 100 * t + i));
        EXPECT_EQ(Inflate(Deflated(value), value.size(), kLimit)->view(), value);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace meridian
