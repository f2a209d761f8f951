#include "server/origin/answer_shape.h"

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "meridian/origin/v1/origin_service.pb.h"

namespace meridian {
namespace {

using origin::v1::BatchLoadResponse;
using origin::v1::LoadResult;

// In pieces of `piece` bytes, as the network gives them.
absl::StatusCode Check(std::string_view bytes, int piece = 7) {
  google::protobuf::io::ArrayInputStream in(bytes.data(), static_cast<int>(bytes.size()), piece);
  return CheckAnswerShape(in).code();
}

std::string Repeat(std::string_view bytes, size_t times) {
  std::string all;
  all.reserve(bytes.size() * times);
  for (size_t i = 0; i < times; ++i) all.append(bytes);
  return all;
}

// A field of a result that holds `content`.
std::string ResultOf(std::string_view content) {
  BatchLoadResponse response;
  EXPECT_TRUE(
      response.add_results()->ParseFromArray(content.data(), static_cast<int>(content.size())));
  return response.SerializeAsString();
}

TEST(AnswerShapeTest, TheLargestAnswerThatIsAllowedPasses) {
  BatchLoadResponse response;
  for (int i = 0; i < 1000; ++i) {
    LoadResult* result = response.add_results();
    result->set_key(absl::StrCat("key ", i));
    result->set_status(origin::v1::LOAD_STATUS_FOUND);
    result->set_value(std::string(static_cast<size_t>(i), 'v'));
    result->set_ttl_ms(1 << 30);
    result->set_cost(1.5);
    result->set_error("none");
    for (int tag = 0; tag < 32; ++tag) {
      result->add_tags(absl::StrCat("tag", tag));
      result->add_depends_on("");
    }
  }
  EXPECT_EQ(Check(response.SerializeAsString(), 4096), absl::StatusCode::kOk);
  EXPECT_EQ(Check(""), absl::StatusCode::kOk);
}

TEST(AnswerShapeTest, WhatBecomesMuchMoreInMemoryIsRefusedWhereverItIs) {
  const struct {
    const char* what;
    std::string field;
    bool in_result;
  } kFaults[] = {
      {"empty results", std::string("\x0a\x00", 2), false},
      {"empty tags", std::string("\x2a\x00", 2), true},
      {"empty dependencies", std::string("\x32\x00", 2), true},
      {"unknown numbers", std::string("\x78\x01", 2), false},
      {"unknown numbers of a result", std::string("\x78\x01", 2), true},
      {"unknown strings", std::string("\x7a\x00", 2), true},
      {"unknown groups", std::string("\x7b\x7c", 2), false},
      {"unknown groups of a result", std::string("\x7b\x7c", 2), true},
      {"groups in groups", std::string("\x7b\x7b\x7c\x7c", 4), false},
      {"fixed32", std::string("\x7d\x00\x00\x00\x00", 5), false},
      {"fixed64", std::string("\x79\x00\x00\x00\x00\x00\x00\x00\x00", 9), true},
  };
  for (const auto& fault : kFaults) {
    const auto wrapped = [&](size_t times) {
      const std::string fields = Repeat(fault.field, times);
      return fault.in_result ? ResultOf(fields) : fields;
    };
    EXPECT_EQ(Check(wrapped(1000), 61), absl::StatusCode::kOk) << fault.what;
    EXPECT_EQ(Check(wrapped(kMaxAnswerFields + 1), 4096), absl::StatusCode::kOutOfRange)
        << fault.what;
  }
  // Spread over many results.
  EXPECT_EQ(Check(Repeat(ResultOf(Repeat(std::string("\x2a\x00", 2), 99)), 1400), 4096),
            absl::StatusCode::kOutOfRange);
}

TEST(AnswerShapeTest, WhatIsNoMessageIsRefused) {
  for (const std::string_view bytes :
       {"\x0a", "\x0a\x7f", "\x0a\x02\x2a", "\x07", "\x0e\x01", "\x0a\xff\xff\xff\x7f garbage",
        "\x78", "\x79 1234", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}) {
    BatchLoadResponse response;
    EXPECT_FALSE(response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    const absl::StatusCode code = Check(bytes);
    EXPECT_NE(code, absl::StatusCode::kOutOfRange);
  }
  EXPECT_EQ(Check("\x0a\xff\xff\xff\x7f garbage"), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace meridian
