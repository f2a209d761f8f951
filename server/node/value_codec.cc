#include "server/node/value_codec.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/compression/zlib_codec.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

void Count(std::atomic<uint64_t>& counter, uint64_t n) {
  counter.fetch_add(n, std::memory_order_relaxed);
}

// Adds the CPU time of a scope to a counter.
class CpuTimer {
 public:
  explicit CpuTimer(std::atomic<uint64_t>& nanos) : nanos_(nanos), began_(ThreadCpuTime()) {}
  ~CpuTimer() {
    Count(nanos_, static_cast<uint64_t>(absl::ToInt64Nanoseconds(ThreadCpuTime() - began_)));
  }

 private:
  std::atomic<uint64_t>& nanos_;
  const absl::Duration began_;
};

Error AnswerTooLarge() {
  return Error{grpc::StatusCode::RESOURCE_EXHAUSTED,
               reason::kAnswerTooLarge,
               absl::StrCat("the values of the answer would take more than ", kMaxInflatedBytes,
                            " bytes when inflated: ask for fewer keys, or set accept_encoded"),
               {}};
}

// Inflates one result. `budget` is what the answer may still take.
void InflateOne(CompressionCounters& counters, size_t* budget, ReadResult* result) {
  if (result->raw_size > *budget && result->raw_size <= limits::kMaxValueBytes) {
    SetError(AnswerTooLarge(), result);
    return;
  }
  absl::StatusOr<Buffer> value =
      Inflate(result->value.view(), result->raw_size, limits::kMaxValueBytes);
  if (!value.ok()) {
    Count(counters.corrupt_values, 1);
    SetError(Error{grpc::StatusCode::DATA_LOSS,
                   reason::kCorruptRecord,
                   std::string(value.status().message()),
                   {}},
             result);
    return;
  }
  *budget -= result->raw_size;
  Count(counters.inflated_values, 1);
  result->value = *std::move(value);
}

}  // namespace

StoredValue Encode(std::string_view value, const CompressionPolicy& policy,
                   CompressionCounters& counters) {
  StoredValue stored;
  stored.bytes = value;
  stored.raw_size = static_cast<uint32_t>(value.size());
  if (!policy.enabled || value.size() <= policy.threshold) return stored;
  const CpuTimer timer(counters.deflate_nanos);
  std::optional<Buffer> compressed =
      Deflate(value, {.min_saving = policy.min_saving, .level = policy.level});
  if (!compressed) {
    Count(counters.incompressible_values, 1);
    return stored;
  }
  Count(counters.compressed_values, 1);
  Count(counters.raw_bytes, value.size());
  Count(counters.stored_bytes, compressed->size());
  stored.compressed = *std::move(compressed);
  stored.bytes = stored.compressed.view();
  stored.encoding = Encoding::kZlib;
  return stored;
}

bool TakesLongToInflate(const std::vector<ReadResult>& results) {
  constexpr size_t kLong = 256 << 10;  // About a millisecond.
  size_t bytes = 0;
  for (const ReadResult& result : results) {
    if (result.state == EntryState::kOk && result.encoding != Encoding::kIdentity) {
      bytes += result.raw_size;
    }
  }
  return bytes > kLong;
}

void InflateValues(bool omit_values, CompressionCounters& counters,
                   std::vector<ReadResult>* results) {
  std::optional<CpuTimer> timer;  // Only when there is something to do.
  size_t budget = kMaxInflatedBytes;
  for (ReadResult& result : *results) {
    if (result.encoding == Encoding::kIdentity || result.state != EntryState::kOk) continue;
    if (!omit_values) {
      if (!timer) timer.emplace(counters.inflate_nanos);
      InflateOne(counters, &budget, &result);
    }
    result.encoding = Encoding::kIdentity;
  }
}

}  // namespace meridian
