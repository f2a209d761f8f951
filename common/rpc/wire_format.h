// The Protobuf wire format by hand, for the few messages that are too hot for generated code.
//
// WireReader never reads beyond its bytes and never allocates: every method returns false on bytes
// that no encoder writes. WireWriter trusts its caller's sizes. Both are values without locks.
// Format: protobuf.dev, "Encoding"; checked against generated code by wire_format_test.

#ifndef MERIDIAN_COMMON_RPC_WIRE_FORMAT_H_
#define MERIDIAN_COMMON_RPC_WIRE_FORMAT_H_

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace meridian {

enum class WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

constexpr uint32_t WireTag(uint32_t field, WireType type) {
  return field << 3 | static_cast<uint32_t>(type);
}

constexpr size_t VarintSize(uint64_t value) {
  return (static_cast<size_t>(std::bit_width(value | 1)) + 6) / 7;
}

class WireReader {
 public:
  explicit WireReader(std::string_view bytes)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool done() const { return at_ == end_; }

  bool ReadVarint(uint64_t* value) {
    uint64_t result = 0;
    for (int shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const uint8_t byte = static_cast<uint8_t>(*at_++);
      result |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) {
        *value = result;
        return true;
      }
    }
    return false;
  }

  // Field numbers above 2^29-1 and the number 0 are refused.
  bool ReadTag(uint32_t* tag) {
    uint64_t value;
    if (!ReadVarint(&value) || value > UINT32_MAX || value >> 3 == 0) return false;
    *tag = static_cast<uint32_t>(value);
    return true;
  }

  bool ReadFixed64(uint64_t* value) { return ReadFixed(value); }
  bool ReadFixed32(uint32_t* value) { return ReadFixed(value); }

  bool ReadBytes(std::string_view* bytes) {
    uint64_t size;
    if (!ReadVarint(&size) || size > static_cast<uint64_t>(end_ - at_)) return false;
    *bytes = std::string_view(at_, static_cast<size_t>(size));
    at_ += size;
    return true;
  }

  // Skips the field that `tag` began. Groups, which proto3 does not have, are refused.
  bool Skip(uint32_t tag) {
    uint64_t number;
    uint32_t number32;
    std::string_view bytes;
    switch (static_cast<WireType>(tag & 7)) {
      case WireType::kVarint:
        return ReadVarint(&number);
      case WireType::kFixed64:
        return ReadFixed64(&number);
      case WireType::kBytes:
        return ReadBytes(&bytes);
      case WireType::kFixed32:
        return ReadFixed32(&number32);
    }
    return false;
  }

 private:
  template <typename T>
  bool ReadFixed(T* value) {
    static_assert(std::endian::native == std::endian::little);
    if (static_cast<size_t>(end_ - at_) < sizeof(T)) return false;
    std::memcpy(value, at_, sizeof(T));
    at_ += sizeof(T);
    return true;
  }

  const char* at_;
  const char* end_;
};

class WireWriter {
 public:
  // REQUIRES: there is room at `at` for everything that will be written.
  explicit WireWriter(char* at) : at_(at) {}

  char* at() const { return at_; }

  void Varint(uint64_t value) {
    while (value >= 0x80) {
      *at_++ = static_cast<char>(value | 0x80);
      value >>= 7;
    }
    *at_++ = static_cast<char>(value);
  }
  void Tag(uint32_t field, WireType type) { Varint(WireTag(field, type)); }
  void Fixed64(uint64_t value) {
    static_assert(std::endian::native == std::endian::little);
    std::memcpy(at_, &value, sizeof(value));
    at_ += sizeof(value);
  }
  void Raw(std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }

  // A whole field; nothing for a zero, as proto3 has it.
  void VarintField(uint32_t field, uint64_t value) {
    if (value == 0) return;
    Tag(field, WireType::kVarint);
    Varint(value);
  }

 private:
  char* at_;
};

// Bytes of a varint field with a one-byte tag, 0 for a zero.
constexpr size_t VarintFieldSize(uint64_t value) { return value == 0 ? 0 : 1 + VarintSize(value); }

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_WIRE_FORMAT_H_
