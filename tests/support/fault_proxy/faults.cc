#include "tests/support/fault_proxy/faults.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

constexpr absl::Duration kMaxDelay = absl::Minutes(10);

absl::StatusOr<absl::Duration> ParseDelay(std::string_view text) {
  ASSIGN_OR_RETURN(const absl::Duration delay, ParseDuration(text));
  if (delay <= kMaxDelay) return delay;
  return absl::InvalidArgumentError("more than 10m");
}

absl::StatusOr<bool> ParseSwitch(std::string_view text) {
  if (text == "on") return true;
  if (text == "off") return false;
  return absl::InvalidArgumentError(
      absl::StrCat("'", std::string(text), "' is neither on nor off"));
}

absl::Status Apply(std::string_view key, std::string_view value, DirectionFaults* faults) {
  if (key == "delay") {
    ASSIGN_OR_RETURN(faults->delay, ParseDelay(value));
  } else if (key == "jitter") {
    ASSIGN_OR_RETURN(faults->jitter, ParseDelay(value));
  } else if (key == "rate") {
    ASSIGN_OR_RETURN(faults->bytes_per_second, ParseBytes(value));
  } else if (key == "stall") {
    ASSIGN_OR_RETURN(faults->stall, ParseSwitch(value));
  } else if (key == "cut") {
    ASSIGN_OR_RETURN(faults->cut, ParseSwitch(value));
  } else {
    return absl::InvalidArgumentError(
        "known are delay, jitter, rate, stall, cut (each also with up. or down. before it), "
        "refuse, and clear");
  }
  return absl::OkStatus();
}

absl::Status Apply(std::string_view word, Faults* faults) {
  if (word == "clear") {
    *faults = Faults{};
    return absl::OkStatus();
  }
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos) return absl::InvalidArgumentError("it is not KEY=VALUE");
  std::string_view key = word.substr(0, equals);
  const std::string_view value = word.substr(equals + 1);
  if (key == "refuse") {
    ASSIGN_OR_RETURN(faults->refuse, ParseSwitch(value));
    return absl::OkStatus();
  }
  const bool up = key.substr(0, 3) == "up.";
  const bool down = key.substr(0, 5) == "down.";
  if (up) key.remove_prefix(3);
  if (down) key.remove_prefix(5);
  if (!down) RETURN_IF_ERROR(Apply(key, value, &faults->up));
  if (!up) RETURN_IF_ERROR(Apply(key, value, &faults->down));
  return absl::OkStatus();
}

std::vector<std::string> Words(const std::string& prefix, const DirectionFaults& faults) {
  std::vector<std::string> words;
  const auto add = [&](const std::string& word) { words.push_back(prefix + word); };
  if (faults.delay != absl::ZeroDuration()) add("delay=" + DurationText(faults.delay));
  if (faults.jitter != absl::ZeroDuration()) add("jitter=" + DurationText(faults.jitter));
  if (faults.bytes_per_second != 0) add(absl::StrCat("rate=", faults.bytes_per_second));
  if (faults.stall) add("stall=on");
  if (faults.cut) add("cut=on");
  return words;
}

}  // namespace

absl::StatusOr<Faults> ParseFaults(std::string_view text, const Faults& before) {
  Faults faults = before;
  for (const absl::string_view word : absl::StrSplit(ToAbsl(text), ' ', absl::SkipEmpty())) {
    const absl::Status status = Apply(ToStd(word), &faults);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(word, ": ", status.message()));
    }
  }
  return faults;
}

std::string FaultsText(const Faults& faults) {
  std::vector<std::string> words;
  if (faults.up == faults.down) {
    words = Words("", faults.up);
  } else {
    words = Words("up.", faults.up);
    const std::vector<std::string> down = Words("down.", faults.down);
    words.insert(words.end(), down.begin(), down.end());
  }
  if (faults.refuse) words.push_back("refuse=on");
  return absl::StrJoin(words, " ");
}

}  // namespace meridian
