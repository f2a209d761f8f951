#include "server/node/record.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"

namespace meridian {
namespace {

constexpr size_t kExpiryOffset = 20;
constexpr size_t kExpiryDigits = 12;
constexpr size_t kKindOffset = 32;
constexpr size_t kEncodingOffset = 33;
constexpr size_t kRawSizeOffset = 34;
constexpr size_t kChecksumOffset = 38;
constexpr size_t kTagsSizeOffset = 42;
constexpr char kTouched = 'U';
constexpr uint64_t kMaxExpiryMs = (uint64_t{1} << (4 * kExpiryDigits)) - 1;

void WriteLittleEndian(uint64_t value, size_t bytes, char* out) {
  for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<char>(value >> (8 * i));
}

uint64_t ReadLittleEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

void WriteHex(uint64_t value, size_t digits, char* out) {
  for (size_t i = digits; i-- > 0; value >>= 4) out[i] = "0123456789abcdef"[value & 0xF];
}

std::optional<uint64_t> ReadHex(std::string_view digits) {
  uint64_t value = 0;
  for (const char c : digits) {
    unsigned digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<unsigned>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<unsigned>(c - 'a' + 10);
    } else {
      return std::nullopt;
    }
    value = value << 4 | digit;
  }
  return value;
}

uint64_t ExpiryMs(absl::Time expires_at) {
  const int64_t ms = absl::ToUnixMillis(expires_at);
  return std::min(static_cast<uint64_t>(std::max<int64_t>(ms, 0)), kMaxExpiryMs);
}

uint32_t ChecksumOf(std::string_view bytes) {
  return static_cast<uint32_t>(Hash64(bytes.substr(kTagsSizeOffset)));
}

absl::Status Malformed(std::string_view what) {
  return absl::DataLossError(absl::StrCat("malformed record: ", std::string(what)));
}

// What the header says about itself, before the checksum.
absl::StatusOr<Record> ParseHeader(std::string_view bytes) {
  if (bytes.size() < kRecordHeaderSize) {
    return Malformed(absl::StrCat(bytes.size(), " bytes, the header has ", kRecordHeaderSize));
  }
  Record record;
  const std::optional<Version> version = Version::FromText(bytes.substr(0, Version::kTextSize));
  if (!version) return Malformed("version is not lower-case hex");
  record.version = *version;
  const auto expiry_ms = ReadHex(bytes.substr(kExpiryOffset, kExpiryDigits));
  if (!expiry_ms) return Malformed("expiry is not lower-case hex");
  record.expires_at = absl::FromUnixMillis(static_cast<int64_t>(*expiry_ms));

  const char kind = bytes[kKindOffset];
  if (kind == kTouched) {
    if (bytes.size() < kRecordHeaderSize + kWrittenDigits) {
      return Malformed("a touched value without the clock of its write");
    }
    const auto written = ReadHex(bytes.substr(bytes.size() - kWrittenDigits));
    if (!written || *written == 0) return Malformed("the clock of its write is not lower-case hex");
    record.written = *written;
  } else if (kind != 'V' && kind != 'T' && kind != 'N') {
    return Malformed(absl::StrCat("unknown kind ", int{kind}));
  }
  record.kind = kind == kTouched ? RecordKind::kValue : static_cast<RecordKind>(kind);
  const char encoding = bytes[kEncodingOffset];
  if (encoding != '1' && encoding != '2') {
    return Malformed(absl::StrCat("unknown encoding ", int{encoding}));
  }
  record.encoding = static_cast<Encoding>(encoding - '0');
  record.raw_size = static_cast<uint32_t>(ReadLittleEndian(bytes.substr(kRawSizeOffset, 4)));
  return record;
}

}  // namespace

void AppendRecord(const Record& record, std::string* out) {
  assert(record.tags.size() <= std::numeric_limits<uint16_t>::max());
  assert(record.kind == RecordKind::kValue || (record.value.empty() && record.written == 0));
  const size_t start = out->size();
  out->resize(start + kRecordHeaderSize);
  const uint32_t raw_size = record.encoding == Encoding::kIdentity
                                ? static_cast<uint32_t>(record.value.size())
                                : record.raw_size;
  char* header = out->data() + start;
  record.version.WriteText(header);
  WriteHex(ExpiryMs(record.expires_at), kExpiryDigits, header + kExpiryOffset);
  header[kKindOffset] = record.written != 0 ? kTouched : static_cast<char>(record.kind);
  header[kEncodingOffset] = static_cast<char>('0' + static_cast<int>(record.encoding));
  WriteLittleEndian(raw_size, 4, header + kRawSizeOffset);
  WriteLittleEndian(record.tags.size(), 2, header + kTagsSizeOffset);
  out->append(record.tags);
  out->append(record.value);
  const uint32_t checksum = ChecksumOf(std::string_view(*out).substr(start));
  WriteLittleEndian(checksum, 4, out->data() + start + kChecksumOffset);
  if (record.written == 0) return;
  out->resize(out->size() + kWrittenDigits);
  WriteHex(record.written, kWrittenDigits, out->data() + out->size() - kWrittenDigits);
}

absl::StatusOr<Record> ParseRecord(std::string_view bytes) {
  absl::StatusOr<Record> record = ParseHeader(bytes);
  if (!record.ok()) return record;
  if (record->written != 0) bytes.remove_suffix(kWrittenDigits);
  const uint64_t checksum = ReadLittleEndian(bytes.substr(kChecksumOffset, 4));
  if (checksum != ChecksumOf(bytes)) return Malformed("wrong checksum");

  const size_t tags_size = ReadLittleEndian(bytes.substr(kTagsSizeOffset, 2));
  std::string_view rest = bytes.substr(kRecordHeaderSize);
  if (tags_size > rest.size()) {
    return Malformed(absl::StrCat(tags_size, " bytes of tags in ", rest.size(), " bytes"));
  }
  record->tags = rest.substr(0, tags_size);
  record->value = rest.substr(tags_size);
  if (record->encoding == Encoding::kIdentity && record->raw_size != record->value.size()) {
    return Malformed(absl::StrCat("raw size ", record->raw_size, " of an unencoded value of ",
                                  record->value.size(), " bytes"));
  }
  if (record->kind != RecordKind::kValue && !record->value.empty()) {
    return Malformed("a value of what has none");
  }
  return record;
}

}  // namespace meridian
