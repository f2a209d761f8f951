// Buffer is an immutable, reference-counted run of bytes: a value in L1, in a reply of Redis, in a
// gRPC slice, always the same bytes and never a copy.
//
// Cost: 8 bytes of header in the same allocation as the bytes; copying a Buffer is one atomic add.
// Thread safety: as std::shared_ptr<const T>: different Buffer objects that share bytes may be
//   used, copied and destroyed concurrently.

#ifndef MERIDIAN_COMMON_BASE_BUFFER_H_
#define MERIDIAN_COMMON_BASE_BUFFER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace meridian {

class Buffer {
 public:
  // The empty buffer: no allocation.
  Buffer() = default;

  // A copy of `bytes`.
  static Buffer CopyOf(std::string_view bytes);

  // A buffer of `size` bytes that the caller fills through `*data` before anybody else sees it.
  static Buffer Uninitialized(size_t size, char** data);

  Buffer(const Buffer& other) : rep_(other.rep_) { Ref(); }
  Buffer(Buffer&& other) noexcept : rep_(std::exchange(other.rep_, nullptr)) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~Buffer() { Unref(rep_); }

  std::string_view view() const {
    return rep_ == nullptr ? std::string_view() : std::string_view(rep_->bytes(), rep_->size);
  }
  size_t size() const { return rep_ == nullptr ? 0 : rep_->size; }
  bool empty() const { return size() == 0; }

  // Gives one reference away as a plain pointer, for C interfaces that call back when they are done
  // (gRPC slices). nullptr for the empty buffer. Must be returned to Unleak() exactly once.
  void* Leak() && { return std::exchange(rep_, nullptr); }
  static void Unleak(void* leaked) { Unref(static_cast<Rep*>(leaked)); }

 private:
  struct Rep {
    std::atomic<uint32_t> references;
    uint32_t size;
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
  };

  explicit Buffer(Rep* rep) : rep_(rep) {}
  void Ref() const {
    if (rep_ != nullptr) rep_->references.fetch_add(1, std::memory_order_relaxed);
  }
  static void Unref(Rep* rep);

  Rep* rep_ = nullptr;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_BUFFER_H_
