// Colours for people: on a terminal, unless NO_COLOR is set; --color always and never overrule.

#ifndef MERIDIAN_CLIENT_CLI_STYLE_H_
#define MERIDIAN_CLIENT_CLI_STYLE_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace meridian::cli {

// Of standard output (1) or standard error (2), as --color has it: "auto", "always" or "never".
bool WantsColour(std::string_view choice, int file);

class Style {
 public:
  explicit Style(bool on) : on_(on) {}

  bool on() const { return on_; }
  std::string Bold(std::string_view text) const { return In("1", text); }
  std::string Dim(std::string_view text) const { return In("2", text); }
  std::string Red(std::string_view text) const { return In("31", text); }
  std::string Green(std::string_view text) const { return In("32", text); }
  std::string Yellow(std::string_view text) const { return In("33", text); }
  // "critical" red, "warning" yellow, anything else as it is.
  std::string Severity(std::string_view severity, std::string_view text) const;

 private:
  std::string In(std::string_view code, std::string_view text) const;

  const bool on_;
};

// How many columns the text takes: characters of UTF-8, without the codes of colours.
size_t DisplayWidth(std::string_view text);

// What of the text fits into so many columns: whole characters, and all codes of colours, so that
// no colour goes on behind it.
std::string CutToWidth(std::string_view text, size_t columns);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_STYLE_H_
