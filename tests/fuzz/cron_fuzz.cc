// Whatever stands in a time table, it is refused with a reason, or it has a next run that is later,
// and a run after that.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/warming/cron.h"
#include "server/warming/key_list.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using meridian::Cron;
  static const absl::TimeZone zone =
      meridian::ParseTimeZone("Europe/Berlin").value_or(absl::UTCTimeZone());
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<Cron> cron = Cron::Parse(text, zone);
  if (cron.ok()) {
    absl::Time at = absl::FromUnixSeconds(1'800'000'000);
    for (int i = 0; i < 3; ++i) {
      const absl::Time next = cron->Next(at);
      if (next <= at || next == absl::InfiniteFuture()) std::abort();
      at = next;
    }
  } else if (cron.status().code() != absl::StatusCode::kInvalidArgument ||
             cron.status().message().empty()) {
    std::abort();
  }
  // The same bytes as a template of keys: every key of it is a key.
  const auto keys = meridian::KeyList::Parse({std::string(text)});
  if (!keys.ok()) {
    if (keys.status().code() != absl::StatusCode::kInvalidArgument) std::abort();
    return 0;
  }
  for (const uint64_t index : {uint64_t{0}, keys->size() / 2, keys->size() - 1}) {
    const size_t length = keys->At(index).size();
    if (length < 1 || length > 1024) std::abort();
  }
  return 0;
}
