// What `meridianctl top` shows: nodes, the sum of each region, and hot keys.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_CLIENT_CLI_TOP_SCREEN_H_
#define MERIDIAN_CLIENT_CLI_TOP_SCREEN_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/style.h"
#include "client/cli/top_rates.h"

namespace meridian::cli {

struct TopHotKey {
  std::string region;
  std::string node;
  std::string name_space;
  std::string key;  // Escaped where it is no text.
  double rate = 0;  // Reads a second.
};

struct TopView {
  absl::Time at;
  std::vector<TopRow> nodes;
  bool wants_hot_keys = true;
  std::vector<TopHotKey> hot_keys;  // Hottest first.
  // Nodes that did not say theirs.
  std::vector<std::string> hot_keys_unknown;

  // One a region, those of several nodes only.
  std::vector<TopRow> Regions() const;
};

std::string TopText(const TopView& view, const Style& style);
nlohmann::ordered_json TopJson(const TopView& view);

// The text as a terminal of this size shows it in place of what was there: no line is longer, none
// too many. 0: not known.
std::string InPlace(const std::string& text, size_t rows, size_t columns);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_TOP_SCREEN_H_
