#include "bench/load/wire_scan.h"

namespace meridian {
namespace {

// One field of a message in the protobuf wire format.
struct Field {
  uint32_t number = 0;
  uint64_t varint = 0;     // Wire type 0.
  std::string_view bytes;  // Wire type 2.
};

bool ReadVarint(std::string_view* in, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64 && !in->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in->front());
    in->remove_prefix(1);
    *value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool Skip(std::string_view* in, size_t count) {
  if (in->size() < count) return false;
  in->remove_prefix(count);
  return true;
}

bool ReadField(std::string_view* in, Field* field) {
  uint64_t tag = 0;
  if (!ReadVarint(in, &tag)) return false;
  field->number = static_cast<uint32_t>(tag >> 3);
  switch (tag & 7) {
    case 0:
      return ReadVarint(in, &field->varint);
    case 1:
      return Skip(in, 8);
    case 2: {
      uint64_t size = 0;
      if (!ReadVarint(in, &size) || size > in->size()) return false;
      field->bytes = in->substr(0, size);
      in->remove_prefix(size);
      return true;
    }
    case 5:
      return Skip(in, 4);
    default:
      return false;
  }
}

bool CheckEntry(std::string_view entry, std::optional<size_t> value_size,
                std::optional<uint64_t> source, EntryCounts* counts) {
  uint64_t status = 0;
  uint64_t answered_by = 0;
  size_t size = 0;
  while (!entry.empty()) {
    Field field;
    if (!ReadField(&entry, &field)) return false;
    if (field.number == 1) status = field.varint;
    if (field.number == 2) size = field.bytes.size();
    if (field.number == 3) answered_by = field.varint;
  }
  constexpr uint64_t kOk = 1;
  constexpr uint64_t kMiss = 2;
  if (status == kOk) {
    const bool right = size == value_size.value_or(size);
    ++(right ? counts->hits : counts->wrong_size);
    if (right && answered_by != source.value_or(answered_by)) ++counts->elsewhere;
  } else {
    ++(status == kMiss ? counts->misses : counts->errors);
  }
  return true;
}

}  // namespace

EntryCounts CheckEntries(std::string_view response, std::optional<size_t> value_size,
                         std::optional<uint64_t> source) {
  EntryCounts counts;
  while (!response.empty()) {
    Field field;
    if (!ReadField(&response, &field)) return counts;
    if (field.number == 2 && !CheckEntry(field.bytes, value_size, source, &counts)) return counts;
  }
  counts.well_formed = true;
  return counts;
}

}  // namespace meridian
