#include "common/base/block_arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace meridian {
namespace {

TEST(BlockArenaTest, BlocksOfAllSizesAreApartAndKeepTheirBytes) {
  struct Block {
    char* at;
    size_t size;
    char fill;
  };
  BlockArena::Owner arena = BlockArena::Create();
  std::mt19937 rng(5);
  std::vector<Block> blocks;
  size_t bytes = 0;
  for (int i = 0; i < 50'000; ++i) {
    if (blocks.size() > 3000 || (!blocks.empty() && rng() % 3 == 0)) {
      std::swap(blocks[rng() % blocks.size()], blocks.back());
      const Block& block = blocks.back();
      for (size_t at = 0; at < block.size; ++at) ASSERT_EQ(block.at[at], block.fill);
      bytes -= BlockArena::BlockSize(block.size);
      BlockArena::Free(block.at + rng() % block.size);
      blocks.pop_back();
    } else {
      const size_t size = 1 + rng() % BlockArena::kMaxBlock;
      auto* at = static_cast<char*>(arena->Allocate(size));
      ASSERT_EQ(PageRegion::At(PageRegion::HandleOf(at)), at);
      ASSERT_GE(PageRegion::HandleOf(at), PageRegion::kFirstHandle);
      std::memset(at, i, size);
      blocks.push_back({at, size, static_cast<char>(i)});
      bytes += BlockArena::BlockSize(size);
    }
    ASSERT_EQ(arena->use().block_bytes, bytes);
  }
  for (const Block& block : blocks) BlockArena::Free(block.at);
  EXPECT_EQ(arena->use().page_bytes, 0);
}

TEST(BlockArenaTest, ABlockIsLittleLargerThanItWasAskedFor) {
  for (size_t size = 1; size <= BlockArena::kMaxBlock; ++size) {
    const size_t taken = BlockArena::BlockSize(size);
    ASSERT_GE(taken, size);
    ASSERT_LE(taken - size, std::max(size / 16, size < BlockArena::kMinBlock ? 63 : size_t{7}));
    ASSERT_EQ(taken % PageRegion::kUnitBytes, 0);
  }
}

TEST(BlockArenaTest, ASparsePageIsEmptiedIntoTheOthers) {
  BlockArena::Owner arena = BlockArena::Create();
  std::vector<void*> blocks;
  for (int i = 0; i < 160; ++i) blocks.push_back(arena->Allocate(1024));  // 16 a page.
  std::set<void*> live;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 4 != 0) {
      BlockArena::Free(blocks[i]);
    } else {
      live.insert(blocks[i]);
    }
  }
  EXPECT_EQ(arena->use().page_bytes, 10 * PageRegion::kPageBytes);
  size_t rounds = 0;
  for (std::vector<void*> taken; arena->TakeSparsePage([&](void* b) { taken.push_back(b); });) {
    for (void* block : taken) {
      void* moved = arena->Allocate(1024);
      ASSERT_NE(PageRegion::PageOf(moved), PageRegion::PageOf(block));
      live.insert(moved);
      live.erase(block);
      BlockArena::Free(block);
    }
    arena->ReopenPage();
    taken.clear();
    ASSERT_LT(++rounds, 20);
  }
  EXPECT_EQ(arena->use().block_bytes, 40 * 1024);
  EXPECT_LE(arena->use().page_bytes, 5 * PageRegion::kPageBytes);
  for (void* block : live) BlockArena::Free(block);
  EXPECT_EQ(arena->use().block_bytes, 0u);
}

TEST(BlockArenaTest, BlocksOutliveTheOwnerAndComeBackFromAnyThread) {
  const size_t before = PageRegion::pages_in_use();
  std::vector<void*> blocks;
  {
    BlockArena::Owner arena = BlockArena::Create();
    for (int i = 0; i < 4000; ++i) blocks.push_back(arena->Allocate(100));
  }
  for (void* block : blocks) std::memset(block, 1, 100);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = t; i < blocks.size(); i += 4) BlockArena::Free(blocks[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(PageRegion::pages_in_use(), before);
}

}  // namespace
}  // namespace meridian
