// BlockArena hands out small blocks of memory that a 32-bit handle names (PageRegion), with no
// header of its own: blocks of one size class share pages, and a bit a block says which are taken.
//
// Promise: a block stays where it is until Free; blocks may outlive their owner's interest in the
//   arena, which is deleted with the last one.
// Cost: Allocate and Free are O(1) under one lock that is nearly always free. A block takes its
//   size rounded up to a class (8 bytes apart up to 256, then 3 to 6 %), and 0.4 % of page table.
// Fragmentation: pages that became sparse are named by TakeSparsePage, and the owner moves what is
//   in them. An owner that does so whenever Allocate grew holds at most two pages too many a
//   class.
// AddressSanitizer sees the use of a free block and of the bytes behind a block.
// Thread safety: all methods may be called concurrently, but see TakeSparsePage.

#ifndef MERIDIAN_COMMON_BASE_BLOCK_ARENA_H_
#define MERIDIAN_COMMON_BASE_BLOCK_ARENA_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/page_region.h"

namespace meridian {

class BlockArena {
 public:
  static constexpr size_t kMinBlock = 64;
  static constexpr size_t kMaxBlock = 1664;
  static constexpr size_t kMaxBlocksPerPage = PageRegion::kPageBytes / kMinBlock;

  struct Abandon {
    void operator()(BlockArena* arena) const { arena->OwnerLeft(); }
  };
  using Owner = std::unique_ptr<BlockArena, Abandon>;
  static Owner Create() { return Owner(new BlockArena); }

  // A block of `size` bytes, not zeroed; nullptr when PageRegion is used up. `*grew` becomes true
  // when it took a new page for it. REQUIRES: size <= kMaxBlock.
  void* Allocate(size_t size, bool* grew = nullptr) ABSL_LOCKS_EXCLUDED(mu_);

  // Returns the block that `inside` points into to its arena.
  static void Free(void* inside);

  // When blocks that are free would fill two pages of a size class: takes the emptiest of its pages
  // out of use, so that nothing is allocated in it, and calls `visit` with each block that is
  // taken, under the arena's lock. The page goes when they are free, or serves again after
  // ReopenPage. Returns false when no class has so many. REQUIRES: the page taken before was
  // reopened.
  template <typename Visit>
  bool TakeSparsePage(Visit visit) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    const uint32_t page = FindSparsePage();
    if (page == kNoPage) return false;
    Unlist(page);
    closed_page_ = page;
    ForEachBlock(page, visit);
    return true;
  }
  void ReopenPage() ABSL_LOCKS_EXCLUDED(mu_);

  // What a block of `size` bytes takes.
  static size_t BlockSize(size_t size) { return SizeOfClass(ClassOf(size)); }

  // Bytes of the pages that are held, and of the blocks in them that are taken.
  struct Use {
    size_t page_bytes = 0;
    size_t block_bytes = 0;
  };
  Use use() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  static constexpr size_t kClasses = 25 + 16 + 16 + 10;
  static constexpr size_t kBitWords = kMaxBlocksPerPage / 64;
  static constexpr uint32_t kNoPage = 0;  // Page 0 is never handed out.

  struct Page {
    BlockArena* arena = nullptr;
    uint32_t next = kNoPage;  // In the list of the class's pages that have room.
    uint32_t prev = kNoPage;
    uint16_t size_class = 0;
    uint16_t taken = 0;
    bool listed = false;
    std::array<uint64_t, kBitWords> free = {};  // Bit set: the block is free.
  };
  struct SizeClass {
    uint32_t with_room = kNoPage;  // The first of the list.
    uint32_t free_blocks = 0;      // In listed pages.
  };

  BlockArena() = default;
  ~BlockArena() = default;

  static size_t ClassOf(size_t size);
  static size_t SizeOfClass(size_t size_class);
  static size_t BlocksOfClass(size_t size_class) {
    return PageRegion::kPageBytes / SizeOfClass(size_class);
  }
  static Page& PageInfo(uint32_t page);

  void OwnerLeft() ABSL_LOCKS_EXCLUDED(mu_);
  bool AddPage(size_t size_class) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void List(uint32_t page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Unlist(uint32_t page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint32_t FindSparsePage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Returns true when nothing keeps the arena any more.
  bool FreeLocked(uint32_t page, void* inside) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  template <typename Visit>
  void ForEachBlock(uint32_t page, Visit visit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const Page& info = PageInfo(page);
    const size_t size = SizeOfClass(info.size_class);
    for (size_t i = 0; i < BlocksOfClass(info.size_class); ++i) {
      if ((info.free[i / 64] >> (i % 64) & 1) == 0) visit(PageRegion::PageAt(page) + i * size);
    }
  }

  mutable absl::Mutex mu_;
  std::array<SizeClass, kClasses> classes_ ABSL_GUARDED_BY(mu_);
  size_t pages_ ABSL_GUARDED_BY(mu_) = 0;
  size_t taken_blocks_ ABSL_GUARDED_BY(mu_) = 0;
  size_t taken_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t closed_page_ ABSL_GUARDED_BY(mu_) = kNoPage;  // What TakeSparsePage took, until it goes.
  bool owned_ ABSL_GUARDED_BY(mu_) = true;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_BLOCK_ARENA_H_
