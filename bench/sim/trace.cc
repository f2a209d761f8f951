#include "bench/sim/trace.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace meridian::sim {
namespace {

constexpr double kNanosPerSecond = 1e9;
constexpr double kMaxSeconds = 4e9;  // Two of them are nanoseconds in 64 bits.
constexpr int kMaxLine = 256;

struct CloseGzip {
  void operator()(gzFile_s* file) const { gzclose_r(file); }
};

// Takes the next field off `*line`, and the comma behind it.
template <typename Number>
bool TakeNumber(std::string_view* line, Number* number) {
  const auto [end, error] = std::from_chars(line->data(), line->data() + line->size(), *number);
  if (error != std::errc()) return false;
  line->remove_prefix(static_cast<size_t>(end - line->data()));
  if (line->empty() || line->front() != ',') return false;
  line->remove_prefix(1);
  return true;
}

bool ParseLine(std::string_view line, Request* request) {
  double time_s = 0;
  double ttl_s = 0;
  if (!TakeNumber(&line, &time_s) || !TakeNumber(&line, &request->key) ||
      !TakeNumber(&line, &request->size) || !TakeNumber(&line, &ttl_s)) {
    return false;
  }
  if (line != "g" && line != "s") return false;
  const auto is_time = [](double seconds) { return seconds >= 0 && seconds <= kMaxSeconds; };
  if (!is_time(time_s) || !is_time(ttl_s)) return false;
  request->time_ns = static_cast<int64_t>(time_s * kNanosPerSecond);
  request->ttl_ns = static_cast<int64_t>(ttl_s * kNanosPerSecond);
  return true;
}

std::string NameOf(const std::string& file) {
  const size_t slash = file.rfind('/');
  const size_t begin = slash == std::string::npos ? 0 : slash + 1;
  return file.substr(begin, file.find('.', begin) - begin);
}

void CountKeys(Trace* trace) {
  std::unordered_map<uint64_t, uint32_t> largest;
  for (Request& request : trace->requests) {
    trace->has_sizes = trace->has_sizes || request.size > 1;
    request.size = std::max<uint32_t>(request.size, 1);
    uint32_t& size = largest[request.key];
    size = std::max(size, request.size);
  }
  trace->unique_keys = largest.size();
  for (const auto& [key, size] : largest) trace->footprint_bytes += size;
}

}  // namespace

absl::StatusOr<Trace> ReadTrace(const std::string& file, absl::Duration tick) {
  const std::unique_ptr<gzFile_s, CloseGzip> input(gzopen(file.c_str(), "rb"));
  if (input == nullptr) return absl::NotFoundError(absl::StrCat(file, ": cannot be opened"));
  gzbuffer(input.get(), 1 << 18);
  Trace trace;
  trace.name = NameOf(file);
  bool has_clock = false;
  char line[kMaxLine];
  while (gzgets(input.get(), line, kMaxLine) != nullptr) {
    std::string_view text = line;
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
    Request request;
    if (!ParseLine(text, &request)) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ":", trace.requests.size() + 1,
                       ": not time_s,key,value_size,ttl_s,op with op g or s"));
    }
    has_clock = has_clock || request.time_ns != 0;
    trace.requests.push_back(request);
  }
  int error = Z_OK;
  const char* message = gzerror(input.get(), &error);
  if (error != Z_OK && error != Z_STREAM_END) {
    return absl::DataLossError(absl::StrCat(file, ": ", message));
  }
  if (trace.requests.empty()) return absl::InvalidArgumentError(absl::StrCat(file, ": empty"));
  if (!has_clock) {
    const int64_t tick_ns = absl::ToInt64Nanoseconds(tick);
    int64_t now_ns = 0;
    for (Request& request : trace.requests) request.time_ns = now_ns += tick_ns;
  }
  CountKeys(&trace);
  return trace;
}

Trace MakeTrace(std::string name, std::vector<Request> requests) {
  Trace trace;
  trace.name = std::move(name);
  trace.requests = std::move(requests);
  CountKeys(&trace);
  return trace;
}

}  // namespace meridian::sim
