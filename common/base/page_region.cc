#include "common/base/page_region.h"

#include <sys/mman.h>

#include <algorithm>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace meridian {
namespace {

// Access is opened in steps: what is open counts against a limit of committed memory.
constexpr size_t kStepBytes = size_t{2} << 20;
constexpr size_t kLargestReserve = PageRegion::kMaxPages * PageRegion::kPageBytes;
constexpr size_t kSmallestReserve = size_t{1} << 30;

}  // namespace

char* PageRegion::base_ = nullptr;

struct PageRegion::State {
  absl::Mutex mu;
  size_t reserved ABSL_GUARDED_BY(mu) = 0;
  size_t open ABSL_GUARDED_BY(mu) = 0;              // Bytes from the base on that may be used.
  size_t fresh ABSL_GUARDED_BY(mu) = kPageBytes;    // Bytes from the base on that were handed out.
  size_t in_use ABSL_GUARDED_BY(mu) = 0;            // Pages.
  std::vector<char*> resident ABSL_GUARDED_BY(mu);  // Free ones that still have memory.
  std::vector<char*> unbacked ABSL_GUARDED_BY(mu);  // Free ones without.
};

PageRegion::State& PageRegion::GetState() {
  static State& state = *[] {
    auto* created = new State;
    absl::MutexLock lock(&created->mu);
    // A process may have a limit of address space: then the region is smaller.
    for (size_t size = kLargestReserve; size >= kSmallestReserve; size /= 2) {
      void* memory = mmap(nullptr, size + kStepBytes, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (memory == MAP_FAILED) continue;
      const auto address = reinterpret_cast<uintptr_t>(memory);
      base_ = reinterpret_cast<char*>((address + kStepBytes - 1) / kStepBytes * kStepBytes);
      created->reserved = size;
      break;
    }
    return created;
  }();
  return state;
}

char* PageRegion::Allocate() {
  State& state = GetState();
  absl::MutexLock lock(&state.mu);
  for (std::vector<char*>* free : {&state.resident, &state.unbacked}) {
    if (free->empty()) continue;
    char* page = free->back();
    free->pop_back();
    ++state.in_use;
    return page;
  }
  if (state.fresh + kPageBytes > state.open) {
    if (state.open + kStepBytes > state.reserved) return nullptr;
    if (mprotect(base_ + state.open, kStepBytes, PROT_READ | PROT_WRITE) != 0) return nullptr;
    state.open += kStepBytes;
  }
  char* page = base_ + state.fresh;
  state.fresh += kPageBytes;
  ++state.in_use;
  return page;
}

void PageRegion::Free(char* page) {
  State& state = GetState();
  absl::MutexLock lock(&state.mu);
  --state.in_use;
  if (state.resident.size() < kKeptPages) {
    state.resident.push_back(page);
  } else {
    madvise(page, kPageBytes, MADV_DONTNEED);
    state.unbacked.push_back(page);
  }
}

size_t PageRegion::pages_in_use() {
  State& state = GetState();
  absl::MutexLock lock(&state.mu);
  return state.in_use;
}

}  // namespace meridian
