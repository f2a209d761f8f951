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
    return rep_ == nullptr ? std::string_view() : std::string_view(rep_->bytes(), rep_->size());
  }
  size_t size() const { return rep_ == nullptr ? 0 : rep_->size(); }
  bool empty() const { return size() == 0; }

  // Gives one reference away as a plain pointer, for C interfaces that call back when they are done
  // (gRPC slices). nullptr for the empty buffer. Must be returned to Unleak() exactly once.
  void* Leak() && { return std::exchange(rep_, nullptr); }
  static void Unleak(void* leaked) { Unref(static_cast<Rep*>(leaked)); }

  // What stands before the bytes. Public for those who keep the bytes inside something larger: an
  // embedded Rep is part of a block of BlockArena, which the last reference returns to the arena.
  struct Rep {
    // Of an embedded Rep. Then the lower bits are: 10 of the size, 10 of how many other bytes stand
    // between the Rep and its own, 11 that are for the block's owner.
    static constexpr uint32_t kEmbedded = uint32_t{1} << 31;
    static constexpr uint32_t kMaxEmbedded = 1023;  // Of the size and of the bytes between.
    static constexpr int kOwnerShift = 20;

    std::atomic<uint32_t> references;
    uint32_t word;  // The size, below kEmbedded; or the above. Never changes.

    bool embedded() const { return (word & kEmbedded) != 0; }
    uint32_t size() const { return embedded() ? word & kMaxEmbedded : word; }
    uint32_t bytes_between() const { return embedded() ? word >> 10 & kMaxEmbedded : 0; }
    char* bytes() { return reinterpret_cast<char*>(this + 1) + bytes_between(); }
  };

  // A new reference to `rep`.
  static Buffer To(Rep& rep) {
    rep.references.fetch_add(1, std::memory_order_relaxed);
    return Buffer(&rep);
  }

 private:
  explicit Buffer(Rep* rep) : rep_(rep) {}
  void Ref() const {
    if (rep_ != nullptr) rep_->references.fetch_add(1, std::memory_order_relaxed);
  }
  static void Unref(Rep* rep);

  Rep* rep_ = nullptr;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_BUFFER_H_
