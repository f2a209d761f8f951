#include "server/coordinator/clock_witnesses.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

std::string Away(absl::Duration ahead) {
  // Whole seconds: the text does not change with every answer.
  return absl::StrCat(absl::FormatDuration(absl::Trunc(absl::AbsDuration(ahead), absl::Seconds(1))),
                      ahead > absl::ZeroDuration() ? " ahead of" : " behind");
}

}  // namespace

std::string ClockWitnesses::Problem() const {
  if (store_.ok() || nodes_.ok()) return "";
  if (clock_.Monotonic() - heard_nodes_ > ClockGuard::kMemory) return "";
  // Both against it, and not agreed: nobody knows.
  if (absl::AbsDuration(store_.Ahead() - nodes_.Ahead()) > ClockGuard::kMaxSkew) return "";
  return absl::StrCat(
      "CLOCK_SKEW: this coordinator's clock is ", Away(store_.Ahead()), " that of the store and ",
      Away(nodes_.Ahead()), " those of most nodes, more than ",
      absl::FormatDuration(ClockGuard::kMaxSkew), ": it does not lead; check NTP on its machine");
}

std::vector<ClockOffset> ClockWitnesses::Offsets() const {
  std::vector<ClockOffset> offsets = store_.Offsets();
  for (ClockOffset& offset : nodes_.Offsets()) offsets.push_back(std::move(offset));
  return offsets;
}

}  // namespace meridian
