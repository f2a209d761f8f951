#include "client/cli/style.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace meridian::cli {

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
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033' && i + 1 < text.size() && text[i + 1] == '[') {
      while (i < text.size() && text[i] != 'm') ++i;
      continue;
    }
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) ++width;
  }
  return width;
}

}  // namespace meridian::cli
