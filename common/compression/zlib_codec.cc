#include "common/compression/zlib_codec.h"

#include <zlib.h>

#include <algorithm>
#include <cassert>
#include <ctime>
#include <memory>
#include <new>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

// Of deflate: 258 bytes for two bits, at best.
constexpr size_t kMaxRatio = 1032;

// Values above kProbeFrom are tried on a sample of kProbeBytes first, which costs them 1 % and
// saves nearly everything for what does not shrink (images, ciphertext, what is compressed
// already).
constexpr size_t kProbeFrom = 32 << 10;
constexpr size_t kProbeBytes = 4 << 10;

Bytef* Input(std::string_view bytes) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // zlib only reads it.
}

absl::Status Corrupt(const std::string& what) {
  return absl::DataLossError(absl::StrCat("malformed zlib data: ", what));
}

// A thread's deflate state, set to one level at a time.
class DeflateState {
 public:
  DeflateState() = default;
  DeflateState(const DeflateState&) = delete;
  DeflateState& operator=(const DeflateState&) = delete;
  ~DeflateState() {
    if (level_ != 0) deflateEnd(&stream_);
  }

  // The size of `value` as zlib data in `out`; 0 when it does not fit into `capacity`.
  size_t Run(std::string_view value, int level, char* out, size_t capacity) {
    Prepare(level);
    stream_.next_in = Input(value);
    stream_.avail_in = static_cast<uInt>(value.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(capacity);
    return deflate(&stream_, Z_FINISH) == Z_STREAM_END ? stream_.total_out : 0;
  }

 private:
  void Prepare(int level) {
    if (level_ == level) {
      deflateReset(&stream_);
      return;
    }
    if (level_ != 0) deflateEnd(&stream_);
    level_ = 0;
    stream_ = {};
    if (deflateInit(&stream_, level) != Z_OK) throw std::bad_alloc();
    level_ = level;
  }

  z_stream stream_ = {};
  int level_ = 0;  // 0: not set up.
};

class InflateState {
 public:
  InflateState() = default;
  InflateState(const InflateState&) = delete;
  InflateState& operator=(const InflateState&) = delete;
  ~InflateState() {
    if (ready_) inflateEnd(&stream_);
  }

  absl::Status Run(std::string_view bytes, char* out, size_t size) {
    if (ready_) {
      inflateReset(&stream_);
    } else {
      if (inflateInit(&stream_) != Z_OK) throw std::bad_alloc();
      ready_ = true;
    }
    Bytef nothing;  // zlib wants a place for no bytes, too.
    stream_.next_in = Input(bytes);
    stream_.avail_in = static_cast<uInt>(bytes.size());
    stream_.next_out = size == 0 ? &nothing : reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(size);
    const int result = inflate(&stream_, Z_FINISH);
    if (result == Z_STREAM_END) {
      if (stream_.total_out != size) {
        return Corrupt(absl::StrCat(stream_.total_out, " bytes inflated, ", size, " announced"));
      }
      if (stream_.avail_in == 0) return absl::OkStatus();
      return Corrupt(absl::StrCat(stream_.avail_in, " bytes behind its end"));
    }
    if (result == Z_DATA_ERROR && stream_.msg != nullptr) return Corrupt(stream_.msg);
    if (result == Z_NEED_DICT) return Corrupt("it wants a dictionary");
    if (stream_.avail_out == 0)
      return Corrupt(absl::StrCat("more than the announced ", size, " bytes"));
    return Corrupt("it ends too early");
  }

 private:
  z_stream stream_ = {};
  bool ready_ = false;
};

DeflateState& ThreadDeflate() {
  thread_local DeflateState state;
  return state;
}

InflateState& ThreadInflate() {
  thread_local InflateState state;
  return state;
}

size_t Target(size_t size, double min_saving) {
  return static_cast<size_t>(static_cast<double>(size) * (1 - min_saving));
}

}  // namespace

std::optional<Buffer> Deflate(std::string_view value, const DeflateOptions& options) {
  assert(options.level >= 1 && options.level <= 9);
  assert(options.min_saving >= 0 && options.min_saving <= 1);
  DeflateState& state = ThreadDeflate();
  if (value.size() >= kProbeFrom) {
    // From the middle: headers at the front shrink although the rest does not.
    char sample[kProbeBytes];
    const size_t wanted = Target(kProbeBytes, options.min_saving / 2);
    const std::string_view middle = value.substr(value.size() / 2, kProbeBytes);
    if (state.Run(middle, options.level, sample, wanted) == 0) return std::nullopt;
  }
  const size_t capacity = Target(value.size(), options.min_saving);
  if (capacity == 0) return std::nullopt;
  const std::unique_ptr<char[]> out(new char[capacity]);
  const size_t size = state.Run(value, options.level, out.get(), capacity);
  if (size == 0) return std::nullopt;
  return Buffer::CopyOf({out.get(), size});
}

absl::StatusOr<Buffer> Inflate(std::string_view bytes, size_t raw_size, size_t limit) {
  if (raw_size > limit) {
    return Corrupt(absl::StrCat(raw_size, " bytes announced, at most ", limit, " are allowed"));
  }
  if (raw_size / kMaxRatio > bytes.size()) {
    return Corrupt(absl::StrCat(raw_size, " bytes announced by ", bytes.size()));
  }
  char* data;
  Buffer inflated = Buffer::Uninitialized(raw_size, &data);
  absl::Status status = ThreadInflate().Run(bytes, data, raw_size);
  if (!status.ok()) return status;
  return inflated;
}

absl::Duration ThreadCpuTime() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return absl::DurationFromTimespec(time);
}

}  // namespace meridian
