#include "bench/sim/trace.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

#include "tests/support/temp_dir.h"

namespace meridian::sim {
namespace {

class TraceTest : public testing::Test {
 protected:
  absl::StatusOr<Trace> Read(const std::string& text) {
    const std::string file = dir_.path() + "/some_trace.csv.gz";
    gzFile output = gzopen(file.c_str(), "wb");
    EXPECT_EQ(gzwrite(output, text.data(), static_cast<unsigned>(text.size())),
              static_cast<int>(text.size()));
    gzclose(output);
    return ReadTrace(file);
  }

  void ExpectRefused(const std::string& text, const std::string& said) {
    const absl::StatusOr<Trace> trace = Read(text);
    ASSERT_FALSE(trace.ok()) << text;
    EXPECT_NE(std::string(trace.status().message()).find(said), std::string::npos)
        << trace.status();
  }

  TempDir dir_;
};

TEST_F(TraceTest, EveryLineIsARequest) {
  const absl::StatusOr<Trace> trace =
      Read("0.5,18446744073709551615,100,1.5,g\n2,7,0,0,s\n3,7,9,0,g");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->name, "some_trace");
  ASSERT_EQ(trace->requests.size(), 3u);
  EXPECT_EQ(trace->requests[0].key, 18446744073709551615u);
  EXPECT_EQ(trace->requests[0].time_ns, 500'000'000);
  EXPECT_EQ(trace->requests[0].ttl_ns, 1'500'000'000);
  EXPECT_EQ(trace->requests[0].size, 100u);
  EXPECT_EQ(trace->requests[1].size, 1u) << "an unknown size counts as 1";
  EXPECT_EQ(trace->unique_keys, 2u);
  EXPECT_EQ(trace->footprint_bytes, 109u) << "the largest size of each key";
}

TEST_F(TraceTest, WithoutTimesEveryRequestIsATick) {
  const absl::StatusOr<Trace> trace = Read("0,1,0,0,g\n0,2,0,0,g\n");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->requests[1].time_ns - trace->requests[0].time_ns, 1'000'000);
}

TEST_F(TraceTest, WhatIsNoTraceIsRefusedWithFileAndLine) {
  ExpectRefused("", "some_trace.csv.gz: empty");
  ExpectRefused("0,1,0,0,g\nhello\n", "some_trace.csv.gz:2:");
  ExpectRefused("0,-1,0,0,g\n", ":1:");
  ExpectRefused("-1,1,0,0,g\n", ":1:");
  ExpectRefused("nan,1,0,0,g\n", ":1:");
  ExpectRefused("inf,1,0,0,g\n", ":1:");
  ExpectRefused("0,1,0,1e300,g\n", ":1:");
  ExpectRefused("0,1,0,0,x\n", ":1:");
  ExpectRefused("0,1,0,0\n", ":1:");
  ExpectRefused("0,1,0,0,g,\n", ":1:");
  ExpectRefused("0,1," + std::string(1000, '1') + ",0,g\n", ":1:");
  EXPECT_FALSE(ReadTrace(dir_.path() + "/none.csv.gz").ok());
}

}  // namespace
}  // namespace meridian::sim
