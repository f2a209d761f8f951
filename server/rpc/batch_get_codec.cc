#include "server/rpc/batch_get_codec.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "common/engine/tag_list.h"
#include "common/rpc/wire_format.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

// Field numbers of cache/v1/cache_service.proto; the codec test fails when they change.
enum RequestField : uint32_t { kHeader = 1, kNamespace = 2, kKeys = 3, kOptions = 4 };
enum ResponseField : uint32_t { kResponseHeader = 1, kEntries = 2 };
enum EntryField : uint32_t {
  kStatus = 1,
  kValue = 2,
  kSource = 3,
  kVersion = 4,
  kTtlMs = 5,
  kAgeMs = 6,
  kStale = 7,
  kEncoding = 8,
  kRawSize = 9,
  kLease = 10,
  kError = 11,
  kTags = 12,
  kWritten = 13,
  kLeaseTaken = 14,
  kNotKept = 15,
};

uint64_t Ms(absl::Duration duration) {
  return static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(duration), 0));
}

// The sizes that writing needs twice.
struct EntrySize {
  uint32_t body;     // Of the Entry message.
  uint32_t version;  // Of its Version message.
  uint32_t value;    // Bytes of the value that are written, 0 when it is left out.
};

size_t VersionSize(const Version& version) {
  return (version.hlc == 0 ? 0 : 1 + sizeof(uint64_t)) + VarintFieldSize(version.region);
}

EntrySize SizeOf(const ReadResult& result, const std::string& error, bool omit_value) {
  EntrySize size{};
  size_t body = VarintFieldSize(static_cast<uint64_t>(result.state));
  if (!result.lease.empty()) {
    body += 1 + VarintSize(result.lease.size()) + result.lease.size();
  }
  if (result.state == EntryState::kMiss) {
    body +=
        VarintFieldSize(static_cast<uint64_t>(result.tier)) + VarintFieldSize(result.lease_taken);
  }
  if (result.state == EntryState::kOk) {
    size.version = static_cast<uint32_t>(VersionSize(result.version));
    size.value = omit_value ? 0 : static_cast<uint32_t>(result.value.size());
    if (size.value > 0) body += 1 + VarintSize(size.value) + size.value;
    body += VarintFieldSize(static_cast<uint64_t>(result.tier));
    body += 1 + VarintSize(size.version) + size.version;
    body += VarintFieldSize(Ms(result.ttl)) + VarintFieldSize(Ms(result.age));
    body += VarintFieldSize(result.stale) + VarintFieldSize(static_cast<uint64_t>(result.encoding));
    body += VarintFieldSize(result.raw_size);
    std::string_view tags = result.tags.view();
    while (const std::optional<std::string_view> tag = TakeTag(&tags)) {
      body += 1 + VarintSize(tag->size()) + tag->size();
    }
    if (result.written != 0) body += 1 + sizeof(uint64_t);
    body += VarintFieldSize(result.not_kept);
  } else if (result.state == EntryState::kError) {
    body += 1 + VarintSize(error.size()) + error.size();
  }
  size.body = static_cast<uint32_t>(body);
  return size;
}

void WriteLease(const ReadResult& result, WireWriter* writer) {
  if (result.lease.empty()) return;
  writer->Tag(kLease, WireType::kBytes);
  writer->Varint(result.lease.size());
  writer->Raw(result.lease);
}

// What comes after the value.
void WriteEntryTail(const ReadResult& result, const EntrySize& size, WireWriter* writer) {
  writer->VarintField(kSource, static_cast<uint64_t>(result.tier));
  writer->Tag(kVersion, WireType::kBytes);
  writer->Varint(size.version);
  if (result.version.hlc != 0) {
    writer->Tag(1, WireType::kFixed64);
    writer->Fixed64(result.version.hlc);
  }
  writer->VarintField(2, result.version.region);
  writer->VarintField(kTtlMs, Ms(result.ttl));
  writer->VarintField(kAgeMs, Ms(result.age));
  writer->VarintField(kStale, result.stale);
  writer->VarintField(kEncoding, static_cast<uint64_t>(result.encoding));
  writer->VarintField(kRawSize, result.raw_size);
  WriteLease(result, writer);
  std::string_view tags = result.tags.view();
  while (const std::optional<std::string_view> tag = TakeTag(&tags)) {
    writer->Tag(kTags, WireType::kBytes);
    writer->Varint(tag->size());
    writer->Raw(*tag);
  }
  if (result.written != 0) {
    writer->Tag(kWritten, WireType::kFixed64);
    writer->Fixed64(result.written);
  }
  writer->VarintField(kNotKept, result.not_kept);
}

// The bytes of a Buffer as a slice that keeps it alive.
grpc::Slice SliceOf(Buffer buffer) {
  const std::string_view view = buffer.view();
  return grpc::Slice(const_cast<char*>(view.data()), view.size(), &Buffer::Unleak,
                     std::move(buffer).Leak());
}

// Collects the written bytes into slices, cutting where a large value is referenced.
class SliceBuilder {
 public:
  explicit SliceBuilder(size_t inline_bytes)
      : current_(inline_bytes), begin_(Mutable(current_)), writer_(Mutable(current_)) {}

  WireWriter& writer() { return writer_; }

  void Reference(Buffer value) {
    Cut();
    slices_.push_back(SliceOf(std::move(value)));
  }

  grpc::ByteBuffer Build() {
    Cut();
    return grpc::ByteBuffer(slices_.data(), slices_.size());
  }

 private:
  static char* Mutable(const grpc::Slice& slice) {
    return const_cast<char*>(reinterpret_cast<const char*>(slice.begin()));
  }

  // Ends the run of written bytes; it and the rest share current_'s memory.
  void Cut() {
    const size_t from = static_cast<size_t>(begin_ - Mutable(current_));
    const size_t to = static_cast<size_t>(writer_.at() - Mutable(current_));
    if (to > from) slices_.push_back(current_.sub(from, to));
    begin_ = writer_.at();
  }

  grpc::Slice current_;
  char* begin_;
  WireWriter writer_;
  std::vector<grpc::Slice> slices_;
};

}  // namespace

bool ParseBatchGet(std::string_view bytes, BatchGetFields* fields) {
  WireReader reader(bytes);
  while (!reader.done()) {
    uint32_t tag;
    std::string_view value;
    if (!reader.ReadTag(&tag)) return false;
    switch (tag) {
      case WireTag(kKeys, WireType::kBytes):
        if (!reader.ReadBytes(&value)) return false;
        // One more than allowed is enough to refuse the batch.
        if (fields->keys.size() <= limits::kMaxBatchEntries) fields->keys.push_back(value);
        break;
      case WireTag(kNamespace, WireType::kBytes):
        if (!reader.ReadBytes(&fields->name_space)) return false;
        break;
      case WireTag(kHeader, WireType::kBytes):
        if (!reader.ReadBytes(&value) ||
            !fields->header.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
          return false;
        }
        break;
      case WireTag(kOptions, WireType::kBytes):
        if (!reader.ReadBytes(&value) ||
            !fields->options.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
          return false;
        }
        break;
      default:
        if (!reader.Skip(tag)) return false;
    }
  }
  return true;
}

grpc::ByteBuffer WriteBatchGetResponse(std::string_view header, std::vector<ReadResult>* results,
                                       bool omit_value) {
  std::vector<EntrySize> sizes(results->size());
  std::vector<std::string> errors;  // Serialised, one for each failed entry, in order.
  size_t inline_bytes = 1 + VarintSize(header.size()) + header.size();
  static const std::string* const kNoError = new std::string();
  for (size_t i = 0; i < results->size(); ++i) {
    const ReadResult& result = (*results)[i];
    const std::string* error = kNoError;
    if (result.state == EntryState::kError) {
      cache::v1::EntryError proto;
      ToProto(*result.error, &proto);
      error = &errors.emplace_back(proto.SerializeAsString());
    }
    sizes[i] = SizeOf(result, *error, omit_value);
    inline_bytes += 1 + VarintSize(sizes[i].body) + sizes[i].body;
    if (sizes[i].value >= kSliceBytes) inline_bytes -= sizes[i].value;
  }

  SliceBuilder builder(inline_bytes);
  WireWriter& writer = builder.writer();
  writer.Tag(kResponseHeader, WireType::kBytes);
  writer.Varint(header.size());
  writer.Raw(header);
  size_t next_error = 0;
  for (size_t i = 0; i < results->size(); ++i) {
    ReadResult& result = (*results)[i];
    writer.Tag(kEntries, WireType::kBytes);
    writer.Varint(sizes[i].body);
    writer.VarintField(kStatus, static_cast<uint64_t>(result.state));
    if (result.state == EntryState::kError) {
      const std::string& error = errors[next_error++];
      writer.Tag(kError, WireType::kBytes);
      writer.Varint(error.size());
      writer.Raw(error);
    } else if (result.state == EntryState::kOk) {
      if (sizes[i].value > 0) {
        writer.Tag(kValue, WireType::kBytes);
        writer.Varint(sizes[i].value);
        if (sizes[i].value >= kSliceBytes) {
          builder.Reference(std::move(result.value));
        } else {
          writer.Raw(result.value.view());
        }
      }
      WriteEntryTail(result, sizes[i], &writer);
    } else {
      writer.VarintField(kSource, static_cast<uint64_t>(result.tier));
      WriteLease(result, &writer);
      writer.VarintField(kLeaseTaken, result.lease_taken);
    }
  }
  return builder.Build();
}

}  // namespace meridian
