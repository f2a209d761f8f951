#include "client/cli/style.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace meridian::cli {

namespace {

// A code of colours begins at `i`.
bool IsCode(std::string_view text, size_t i) { return text.substr(i, 2) == "\033["; }

// How long the code or the character of UTF-8 is that begins at `i`; at least 1.
size_t PieceAt(std::string_view text, size_t i) {
  size_t end = i + 1;
  if (IsCode(text, i)) {
    while (end < text.size() && text[end - 1] != 'm') ++end;
  } else {
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  }
  return end - i;
}

}  // namespace

bool WantsColour(std::string_view choice, int file) {
  if (choice != "auto") return choice == "always";
  const char* no_colour = std::getenv("NO_COLOR");
  return isatty(file) == 1 && (no_colour == nullptr || *no_colour == '\0');
}

std::string Style::Severity(std::string_view severity, std::string_view text) const {
  if (severity == "critical") return Red(text);
  return severity == "warning" ? Yellow(text) : std::string(text);
}

std::string Style::In(std::string_view code, std::string_view text) const {
  if (!on_) return std::string(text);
  return absl::StrCat("\033[", ToAbsl(code), "m", ToAbsl(text), "\033[0m");
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size(); i += PieceAt(text, i)) width += IsCode(text, i) ? 0 : 1;
  return width;
}

std::string CutToWidth(std::string_view text, size_t columns) {
  std::string cut;
  size_t width = 0;
  for (size_t i = 0; i < text.size(); i += PieceAt(text, i)) {
    if (!IsCode(text, i) && ++width > columns) continue;
    cut += text.substr(i, PieceAt(text, i));
  }
  return cut;
}

}  // namespace meridian::cli
