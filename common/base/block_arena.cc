#include "common/base/block_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define MERIDIAN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MERIDIAN_ASAN 1
#endif
#endif
#ifdef MERIDIAN_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace meridian {
namespace {

void Forbid([[maybe_unused]] void* memory, [[maybe_unused]] size_t size) {
#ifdef MERIDIAN_ASAN
  ASAN_POISON_MEMORY_REGION(memory, size);
#endif
}

void Permit([[maybe_unused]] void* memory, [[maybe_unused]] size_t size) {
#ifdef MERIDIAN_ASAN
  ASAN_UNPOISON_MEMORY_REGION(memory, size);
#endif
}

// How many pages of a class are looked at for the emptiest.
constexpr int kSparseLooks = 32;

}  // namespace

// Classes: 64, 72 .. 256, then 16 a doubling: 272 .. 512, 544 .. 1024, 1088 .. 1664.
size_t BlockArena::ClassOf(size_t size) {
  assert(size <= kMaxBlock);
  if (size <= kMinBlock) return 0;
  if (size <= 256) return (size - kMinBlock + 7) / 8;
  if (size <= 512) return 24 + (size - 256 + 15) / 16;
  if (size <= 1024) return 40 + (size - 512 + 31) / 32;
  return 56 + (size - 1024 + 63) / 64;
}

size_t BlockArena::SizeOfClass(size_t size_class) {
  if (size_class <= 24) return kMinBlock + 8 * size_class;
  if (size_class <= 40) return 256 + 16 * (size_class - 24);
  if (size_class <= 56) return 512 + 32 * (size_class - 40);
  return 1024 + 64 * (size_class - 56);
}

BlockArena::Page& BlockArena::PageInfo(uint32_t page) {
  // Zeroed address space: only what belongs to pages that were handed out takes memory.
  static Page* const table = [] {
    void* memory = mmap(nullptr, PageRegion::kMaxPages * sizeof(Page), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return static_cast<Page*>(memory);
  }();
  return table[page];
}

bool BlockArena::AddPage(size_t size_class) {
  char* memory = PageRegion::Allocate();
  if (memory == nullptr) return false;
  Forbid(memory, PageRegion::kPageBytes);
  const auto page = static_cast<uint32_t>(PageRegion::PageOf(memory));
  Page& info = PageInfo(page);
  info = Page();
  info.arena = this;
  info.size_class = static_cast<uint16_t>(size_class);
  const size_t blocks = BlocksOfClass(size_class);
  for (size_t i = 0; i < blocks; ++i) info.free[i / 64] |= uint64_t{1} << (i % 64);
  ++pages_;
  List(page);
  return true;
}

void BlockArena::List(uint32_t page) {
  Page& info = PageInfo(page);
  SizeClass& size_class = classes_[info.size_class];
  info.prev = kNoPage;
  info.next = size_class.with_room;
  if (info.next != kNoPage) PageInfo(info.next).prev = page;
  size_class.with_room = page;
  size_class.free_blocks += BlocksOfClass(info.size_class) - info.taken;
  info.listed = true;
}

void BlockArena::Unlist(uint32_t page) {
  Page& info = PageInfo(page);
  SizeClass& size_class = classes_[info.size_class];
  if (info.prev != kNoPage) PageInfo(info.prev).next = info.next;
  if (info.next != kNoPage) PageInfo(info.next).prev = info.prev;
  if (size_class.with_room == page) size_class.with_room = info.next;
  size_class.free_blocks -= BlocksOfClass(info.size_class) - info.taken;
  info.listed = false;
}

void* BlockArena::Allocate(size_t size, bool* grew) {
  const size_t class_index = ClassOf(size);
  absl::MutexLock lock(&mu_);
  SizeClass& size_class = classes_[class_index];
  if (size_class.with_room == kNoPage) {
    if (!AddPage(class_index)) return nullptr;
    if (grew != nullptr) *grew = true;
  }
  const uint32_t page = size_class.with_room;
  Page& info = PageInfo(page);
  size_t word = 0;
  while (info.free[word] == 0) ++word;
  const size_t index = word * 64 + static_cast<size_t>(std::countr_zero(info.free[word]));
  info.free[word] &= info.free[word] - 1;
  ++info.taken;
  --size_class.free_blocks;
  if (info.taken == BlocksOfClass(class_index)) Unlist(page);
  ++taken_blocks_;
  taken_bytes_ += SizeOfClass(class_index);
  void* block = PageRegion::PageAt(page) + index * SizeOfClass(class_index);
  Permit(block, size);
  return block;
}

void BlockArena::Free(void* inside) {
  const auto page = static_cast<uint32_t>(PageRegion::PageOf(inside));
  // The block keeps the arena, and the page its arena.
  BlockArena* arena = PageInfo(page).arena;
  arena->mu_.Lock();
  const bool last = arena->FreeLocked(page, inside);
  arena->mu_.Unlock();
  if (last) delete arena;
}

bool BlockArena::FreeLocked(uint32_t page, void* inside) {
  Page& info = PageInfo(page);
  char* const start = PageRegion::PageAt(page);
  const size_t size = SizeOfClass(info.size_class);
  const size_t index = static_cast<size_t>(static_cast<char*>(inside) - start) / size;
  assert((info.free[index / 64] >> (index % 64) & 1) == 0 && "a block is freed twice");
  info.free[index / 64] |= uint64_t{1} << (index % 64);
  Forbid(start + index * size, size);
  --taken_blocks_;
  taken_bytes_ -= size;
  if (info.listed) ++classes_[info.size_class].free_blocks;
  --info.taken;
  if (info.taken == 0) {
    if (info.listed) Unlist(page);
    if (page == closed_page_) closed_page_ = kNoPage;
    --pages_;
    Permit(start, PageRegion::kPageBytes);
    PageRegion::Free(start);
  } else if (!info.listed && page != closed_page_) {
    List(page);
  }
  return !owned_ && taken_blocks_ == 0;
}

void BlockArena::OwnerLeft() {
  mu_.Lock();
  owned_ = false;
  const bool last = taken_blocks_ == 0;
  mu_.Unlock();
  if (last) delete this;
}

void BlockArena::ReopenPage() {
  absl::MutexLock lock(&mu_);
  if (closed_page_ == kNoPage) return;
  List(closed_page_);
  closed_page_ = kNoPage;
}

uint32_t BlockArena::FindSparsePage() {
  size_t most_bytes = 0;
  size_t found = kClasses;
  for (size_t i = 0; i < kClasses; ++i) {
    const size_t free_blocks = classes_[i].free_blocks;
    if (free_blocks < 2 * BlocksOfClass(i)) continue;
    if (free_blocks * SizeOfClass(i) > most_bytes) {
      most_bytes = free_blocks * SizeOfClass(i);
      found = i;
    }
  }
  if (found == kClasses) return kNoPage;
  uint32_t emptiest = classes_[found].with_room;
  int looks = kSparseLooks;
  for (uint32_t page = emptiest; page != kNoPage && looks-- > 0; page = PageInfo(page).next) {
    if (PageInfo(page).taken < PageInfo(emptiest).taken) emptiest = page;
  }
  return emptiest;
}

BlockArena::Use BlockArena::use() const {
  absl::MutexLock lock(&mu_);
  return {pages_ * PageRegion::kPageBytes, taken_bytes_};
}

}  // namespace meridian
