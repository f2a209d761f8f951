#include "common/base/buffer.h"

#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace meridian {
namespace {

TEST(BufferTest, HoldsACopyOfAnyBytes) {
  std::string bytes("a\0\xff\n", 4);
  const Buffer buffer = Buffer::CopyOf(bytes);
  bytes[0] = 'z';
  EXPECT_EQ(buffer.view(), std::string_view("a\0\xff\n", 4));
  EXPECT_EQ(buffer.size(), 4u);
}

TEST(BufferTest, TheEmptyBufferIsNothing) {
  EXPECT_TRUE(Buffer().empty());
  EXPECT_EQ(Buffer().view(), "");
  EXPECT_TRUE(Buffer::CopyOf("").empty());
  char* data = reinterpret_cast<char*>(1);
  EXPECT_TRUE(Buffer::Uninitialized(0, &data).empty());
  EXPECT_EQ(data, nullptr);
  EXPECT_EQ(Buffer().Leak(), nullptr);
  Buffer::Unleak(nullptr);
}

TEST(BufferTest, CopiesShareTheBytesAndOutliveTheFirst) {
  Buffer copy;
  const char* bytes;
  {
    const Buffer buffer = Buffer::CopyOf("value");
    bytes = buffer.view().data();
    copy = buffer;
  }
  EXPECT_EQ(copy.view(), "value");
  EXPECT_EQ(copy.view().data(), bytes);
  Buffer& same = copy;
  copy = same;  // Assigning itself changes nothing.
  EXPECT_EQ(copy.view(), "value");
}

TEST(BufferTest, AMovedFromBufferIsEmpty) {
  Buffer from = Buffer::CopyOf("value");
  const Buffer to = std::move(from);
  EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move): that is the promise.
  EXPECT_EQ(to.view(), "value");
}

TEST(BufferTest, IsFilledThroughThePointerThatUninitializedGives) {
  char* data;
  const Buffer buffer = Buffer::Uninitialized(3, &data);
  std::memcpy(data, "abc", 3);
  EXPECT_EQ(buffer.view(), "abc");
}

TEST(BufferTest, ALeakedReferenceKeepsTheBytesUntilItIsReturned) {
  Buffer buffer = Buffer::CopyOf("value");
  const std::string_view view = buffer.view();
  Buffer copy = buffer;
  void* leaked = std::move(copy).Leak();
  buffer = Buffer();
  EXPECT_EQ(view, "value");  // The sanitizers watch.
  Buffer::Unleak(leaked);
}

TEST(BufferTest, ThreadsMayCopyAndDropTheirOwnReferences) {
  const Buffer shared = Buffer::CopyOf(std::string(1000, 'x'));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([mine = shared] {
      for (int i = 0; i < 5000; ++i) {
        const Buffer copy = mine;
        EXPECT_EQ(copy.size(), 1000u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared.view(), std::string(1000, 'x'));
}

}  // namespace
}  // namespace meridian
