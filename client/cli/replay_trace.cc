#include "client/cli/replay_trace.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

constexpr uint32_t kUnknownSize = 100;
constexpr uint32_t kNoTtlSeconds = 3600;
constexpr uint32_t kLargestValue = 8 << 20;

template <typename Number>
bool ParseNumber(std::string_view text, Number* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

absl::Status Wrong(std::string_view field, std::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat(ToAbsl(field), " \"", ToAbsl(text.substr(0, 40)), "\""));
}

// "traces/web12.csv.gz" -> "web12:".
std::string PrefixOf(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return absl::StrCat(ToAbsl(name.substr(0, std::min<size_t>(name.find('.'), 64))), ":");
}

}  // namespace

absl::StatusOr<ReplayRequest> ParseTraceLine(std::string_view line) {
  std::array<std::string_view, 5> fields;
  size_t count = 0;
  while (true) {
    const size_t comma = line.find(',');
    if (count == fields.size()) return Wrong("more than 5 fields, at", line);
    fields[count++] = line.substr(0, comma);
    if (comma == std::string_view::npos) break;
    line.remove_prefix(comma + 1);
  }
  if (count != fields.size()) return Wrong("fewer than 5 fields, at", line);
  ReplayRequest request;
  double time = 0;
  if (!ParseNumber(fields[0], &time)) return Wrong("time_s", fields[0]);
  if (!ParseNumber(fields[1], &request.key)) return Wrong("key", fields[1]);
  if (!ParseNumber(fields[2], &request.value_size) || request.value_size > kLargestValue) {
    return Wrong("value_size", fields[2]);
  }
  if (!ParseNumber(fields[3], &request.ttl_s)) return Wrong("ttl_s", fields[3]);
  if (fields[4] != "g" && fields[4] != "s") return Wrong("op", fields[4]);
  request.op = fields[4] == "g" ? ReplayOp::kGet : ReplayOp::kSet;
  if (request.value_size == 0) request.value_size = kUnknownSize;
  if (request.ttl_s == 0) request.ttl_s = kNoTtlSeconds;
  return request;
}

TraceSource::TraceSource(std::string path, void* file)
    : path_(std::move(path)), key_prefix_(PrefixOf(path_)), file_(file) {}

absl::StatusOr<std::unique_ptr<TraceSource>> TraceSource::Open(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) {
    return absl::NotFoundError(absl::StrCat("cannot open ", path, ": ", std::strerror(errno)));
  }
  gzbuffer(file, 1 << 18);
  return std::unique_ptr<TraceSource>(new TraceSource(path, file));
}

TraceSource::~TraceSource() { gzclose(static_cast<gzFile>(file_)); }

bool TraceSource::Next(ReplayRequest* request) {
  if (!status_.ok()) return false;
  char buffer[256];
  const gzFile file = static_cast<gzFile>(file_);
  if (gzgets(file, buffer, sizeof(buffer)) == nullptr) {
    int error = Z_OK;
    const char* message = gzerror(file, &error);
    // A truncated file reads as an end with Z_BUF_ERROR.
    return error == Z_OK || error == Z_STREAM_END ? false : Fail(message);
  }
  ++line_number_;
  std::string_view line(buffer);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  absl::StatusOr<ReplayRequest> parsed = ParseTraceLine(line);
  if (!parsed.ok()) return Fail(ToStd(parsed.status().message()));
  *request = *parsed;
  return true;
}

std::string TraceSource::KeyText(uint64_t key) const { return absl::StrCat(key_prefix_, key); }

bool TraceSource::Fail(std::string_view what) {
  status_ = absl::InvalidArgumentError(
      absl::StrCat(path_, ", line ", line_number_, ": wrong ", ToAbsl(what)));
  return false;
}

}  // namespace meridian::cli
