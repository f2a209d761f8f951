// Answers as they come over the wire and as the client's callers see them.

#include "client/cpp/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/compression/zlib_codec.h"

namespace meridian {
namespace {

const std::string kValue(5000, 'x');

cache::v1::Entry Compressed(std::string bytes, uint64_t raw_size) {
  cache::v1::Entry entry;
  entry.set_status(cache::v1::ENTRY_STATUS_OK);
  entry.set_source(cache::v1::SOURCE_L1);
  entry.set_value(std::move(bytes));
  entry.set_encoding(cache::v1::ENCODING_ZLIB);
  entry.set_raw_size(raw_size);
  return entry;
}

GetResult Converted(cache::v1::Entry entry) {
  GetResult result;
  FromProto(&entry, &result);
  return result;
}

TEST(ConvertTest, ACompressedValueIsInflatedForTheCaller) {
  const std::string bytes(Deflate(kValue, {})->view());
  const GetResult result = Converted(Compressed(bytes, kValue.size()));
  EXPECT_EQ(result.status, ResultStatus::kOk);
  EXPECT_EQ(result.value, kValue);
  EXPECT_EQ(result.source, ResultSource::kL1);
}

TEST(ConvertTest, ACompressedValueThatIsDamagedIsAnErrorAndNeverAValue) {
  const std::string bytes(Deflate(kValue, {})->view());
  for (const cache::v1::Entry& entry :
       {Compressed(bytes.substr(1), kValue.size()), Compressed(bytes, kValue.size() + 1),
        Compressed("", kValue.size()), Compressed(bytes, uint64_t{1} << 40)}) {
    const GetResult result = Converted(entry);
    ASSERT_EQ(result.status, ResultStatus::kError);
    EXPECT_EQ(result.error->code, absl::StatusCode::kDataLoss);
    EXPECT_EQ(result.error->reason, "CORRUPT_RECORD");
    EXPECT_EQ(result.value, "");
  }
}

TEST(ConvertTest, TheNodeIsAskedToLeaveValuesCompressedUnlessTheyAreLeftOut) {
  EXPECT_TRUE(ToProto(GetOptions())->accept_encoded());
  GetOptions options;
  options.omit_value = true;
  EXPECT_FALSE(ToProto(options)->accept_encoded());
}

}  // namespace
}  // namespace meridian
