#include "common/base/buffer.h"

#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>

#include "common/base/block_arena.h"

namespace meridian {

Buffer Buffer::Uninitialized(size_t size, char** data) {
  assert(size < Rep::kEmbedded);
  if (size == 0) {
    *data = nullptr;
    return Buffer();
  }
  void* memory = std::malloc(sizeof(Rep) + size);
  if (memory == nullptr) throw std::bad_alloc();
  Rep* rep = new (memory) Rep{{1}, static_cast<uint32_t>(size)};
  *data = rep->bytes();
  return Buffer(rep);
}

Buffer Buffer::CopyOf(std::string_view bytes) {
  char* data;
  Buffer buffer = Uninitialized(bytes.size(), &data);
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  return buffer;
}

void Buffer::Unref(Rep* rep) {
  if (rep == nullptr) return;
  if (rep->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    if (rep->embedded()) {
      BlockArena::Free(rep);
    } else {
      rep->~Rep();
      std::free(rep);
    }
  }
}

}  // namespace meridian
