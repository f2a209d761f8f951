#include "common/base/version.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"

namespace meridian {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void WriteHex(uint64_t value, int digits, char* out) {
  for (int i = digits - 1; i >= 0; --i) {
    out[i] = kHex[value & 0xF];
    value >>= 4;
  }
}

std::optional<uint64_t> ReadHex(std::string_view text) {
  uint64_t value = 0;
  for (const char c : text) {
    int digit;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else {
      return std::nullopt;
    }
    value = value << 4 | static_cast<uint64_t>(digit);
  }
  return value;
}

uint64_t WallHlc(absl::Time now) {
  return static_cast<uint64_t>(std::max<int64_t>(absl::ToUnixMillis(now), 0)) << 16;
}

}  // namespace

void Version::WriteText(char* out) const {
  WriteHex(hlc, 16, out);
  WriteHex(region, 4, out + 16);
}

std::string Version::ToText() const {
  std::string text(kTextSize, '0');
  WriteText(text.data());
  return text;
}

std::optional<Version> Version::FromText(std::string_view text) {
  if (text.size() != kTextSize) return std::nullopt;
  const std::optional<uint64_t> hlc = ReadHex(text.substr(0, 16));
  const std::optional<uint64_t> region = ReadHex(text.substr(16));
  if (!hlc || !region) return std::nullopt;
  return Version{*hlc, static_cast<uint16_t>(*region)};
}

uint16_t RegionId(std::string_view region_name) {
  const uint16_t id = static_cast<uint16_t>(Hash64(region_name));
  return id == 0 ? 1 : id;
}

Version HybridClock::Next() {
  const uint64_t wall = WallHlc(clock_.Now());
  uint64_t last = last_.load(std::memory_order_relaxed);
  uint64_t next;
  do {
    next = std::max(wall, last + 1);
  } while (!last_.compare_exchange_weak(last, next, std::memory_order_relaxed));
  return Version{next, region_};
}

absl::Status HybridClock::Check(uint64_t hlc) const {
  const absl::Time now = clock_.Now();
  if (hlc <= WallHlc(now + kMaxSkew)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "CLOCK_SKEW: a version of ", absl::FormatTime(absl::FromUnixMillis(hlc >> 16)),
      " is more than ", absl::FormatDuration(kMaxSkew), " ahead of this clock, ",
      absl::FormatTime(now), "; check NTP on both machines"));
}

absl::Status HybridClock::Merge(uint64_t hlc) {
  uint64_t last = last_.load(std::memory_order_relaxed);
  if (hlc <= last) return absl::OkStatus();
  if (absl::Status status = Check(hlc); !status.ok()) return status;
  while (hlc > last && !last_.compare_exchange_weak(last, hlc, std::memory_order_relaxed)) {
  }
  return absl::OkStatus();
}

}  // namespace meridian
