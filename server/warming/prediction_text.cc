#include "server/warming/prediction_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace meridian::prediction_text {
namespace {

std::string AgeText(absl::Duration age) {
  return absl::FormatDuration(absl::Floor(std::max(age, absl::ZeroDuration()), absl::Seconds(1)));
}

}  // namespace

std::string Together(const std::string& key, absl::Duration ago, absl::Duration window) {
  return absl::StrCat("somebody asked for ", key, " ", AgeText(ago),
                      " ago, and who does that asks for this within ", AgeText(window));
}

std::string Next(const std::string& key, absl::Duration ago) {
  return absl::StrCat("it comes next after ", key, ", asked for ", AgeText(ago), " ago");
}

std::string NextOfTwo(const std::string& first, const std::string& key, absl::Duration ago) {
  return Next(absl::StrCat(first, " and ", key), ago);
}

std::string AfterReads(const std::string& what, double times, double reads) {
  return absl::StrFormat(
      "%s; so it was after %.1f of %.1f such reads (the older the less they count)", what, times,
      reads);
}

std::string HourOfWeek(double per_second) {
  return absl::StrFormat("in this hour of the weeks before it was asked for %.3g times a second",
                         per_second);
}

std::string Season(double days, double known_days) {
  return absl::StrFormat("it was hot at this time on %.0f of the last %.0f days that are known",
                         days, known_days);
}

}  // namespace meridian::prediction_text
