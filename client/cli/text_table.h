// Columns for people: as wide as their widest cell, two blanks apart.

#ifndef MERIDIAN_CLIENT_CLI_TEXT_TABLE_H_
#define MERIDIAN_CLIENT_CLI_TEXT_TABLE_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/style.h"

namespace meridian::cli {

class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  // Lines without the last line end.
  std::string ToText() const {
    std::vector<size_t> widths;
    for (const auto& row : rows_) {
      widths.resize(std::max(widths.size(), row.size()), 0);
      for (size_t i = 0; i < row.size(); ++i) {
        widths[i] = std::max(widths[i], DisplayWidth(row[i]));
      }
    }
    std::string text;
    for (const auto& row : rows_) {
      if (!text.empty()) text += '\n';
      for (size_t i = 0; i < row.size(); ++i) {
        text += row[i];
        if (i + 1 < row.size()) text.append(widths[i] - DisplayWidth(row[i]) + 2, ' ');
      }
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_TEXT_TABLE_H_
