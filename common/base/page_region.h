// PageRegion is one stretch of address space from which the process takes pages for small blocks,
// so that a block is named by 32 bits: a handle.
//
// Cost: 32 GiB of address space, no memory before it is used; At and HandleOf are an add and a
// shift.
//   Pages come back to the system when more than kKeptPages are free.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_BASE_PAGE_REGION_H_
#define MERIDIAN_COMMON_BASE_PAGE_REGION_H_

#include <cstddef>
#include <cstdint>

namespace meridian {

class PageRegion {
 public:
  static constexpr size_t kPageBytes = 16 << 10;
  static constexpr size_t kUnitBytes = 8;  // Blocks begin at multiples of this.
  // Handles below this name nothing, and are free for other uses; 0 is "none".
  static constexpr uint32_t kFirstHandle = kPageBytes / kUnitBytes;

  // A page of its own, not zeroed; nullptr when the region or the memory is used up.
  static char* Allocate();
  // REQUIRES: `page` came from Allocate and is used no more.
  static void Free(char* page);

  // Pages handed out and not returned.
  static size_t pages_in_use();

  // REQUIRES: a page was allocated before; the address or the handle is inside one.
  static void* At(uint32_t handle) { return base_ + size_t{handle} * kUnitBytes; }
  static uint32_t HandleOf(const void* address) {
    return static_cast<uint32_t>((static_cast<const char*>(address) - base_) / kUnitBytes);
  }
  // The number of the page that `address` is in.
  static size_t PageOf(const void* address) {
    return static_cast<size_t>(static_cast<const char*>(address) - base_) / kPageBytes;
  }
  static char* PageAt(size_t page) { return base_ + page * kPageBytes; }
  static constexpr size_t kMaxPages = (size_t{1} << 32) * kUnitBytes / kPageBytes;

 private:
  static constexpr size_t kKeptPages = 256;

  struct State;
  static State& GetState();

  static char* base_;  // Written once, before the first page is handed out.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_PAGE_REGION_H_
