#include "client/cli/text_input.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

namespace meridian::cli {
namespace {

absl::StatusOr<std::string> ReadAll(std::istream& in, const std::string& name) {
  std::ostringstream text;
  text << in.rdbuf();
  if (in.bad()) return absl::UnavailableError(absl::StrCat("cannot read ", name));
  return std::move(text).str();
}

}  // namespace

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    const int why = errno;
    const std::string text = absl::StrCat("cannot read ", path, ": ", std::strerror(why));
    return why == ENOENT || why == ENOTDIR ? absl::NotFoundError(text)
                                           : absl::FailedPreconditionError(text);
  }
  if (in.peek() == std::ifstream::traits_type::eof() && in.bad()) {  // A folder, say.
    return absl::FailedPreconditionError(
        absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  return ReadAll(in, path);
}

absl::StatusOr<std::string> ReadValue(const std::string& argument) {
  if (argument == "-") return ReadAll(std::cin, "standard input");
  if (argument.size() > 1 && argument[0] == '@') {
    if (argument[1] == '@') return argument.substr(1);
    return ReadWholeFile(argument.substr(1));
  }
  return argument;
}

absl::StatusOr<std::vector<std::string>> ReadList(const std::vector<std::string>& arguments) {
  std::vector<std::string> list;
  for (const std::string& argument : arguments) {
    ASSIGN_OR_RETURN(std::string value, ReadValue(argument));
    if (argument != "-" && (argument[0] != '@' || argument.substr(0, 2) == "@@")) {
      list.push_back(std::move(value));
      continue;
    }
    for (absl::string_view line : absl::StrSplit(value, '\n')) {
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (!line.empty()) list.emplace_back(line);
    }
  }
  return list;
}

std::string EmptyProblem(const std::string& text) { return text.empty() ? "is empty" : ""; }

}  // namespace meridian::cli
