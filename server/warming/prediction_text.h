// What a prediction says of its evidence, for people (`meridianctl warm explain`).
//
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_WARMING_PREDICTION_TEXT_H_
#define MERIDIAN_SERVER_WARMING_PREDICTION_TEXT_H_

#include <string>

#include "absl/time/time.h"

namespace meridian::prediction_text {

// Somebody asked for `key` so long `ago`, and who does that asks for the other within `window`.
std::string Together(const std::string& key, absl::Duration ago, absl::Duration window);
// It comes after `key`, or after two.
std::string Next(const std::string& key, absl::Duration ago);
std::string NextOfTwo(const std::string& first, const std::string& key, absl::Duration ago);
// `what`, and how often that was so.
std::string AfterReads(const std::string& what, double times, double reads);
std::string HourOfWeek(double per_second);
std::string Season(double days, double known_days);

}  // namespace meridian::prediction_text

#endif  // MERIDIAN_SERVER_WARMING_PREDICTION_TEXT_H_
