// Values and lists as the command line gives them: as they are, @file, or - for standard input.

#ifndef MERIDIAN_CLIENT_CLI_TEXT_INPUT_H_
#define MERIDIAN_CLIENT_CLI_TEXT_INPUT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace meridian::cli {

// The bytes that `argument` stands for. "@@x" is the text "@x".
absl::StatusOr<std::string> ReadValue(const std::string& argument);

// Every argument as it is, except @file and -, which stand for the lines in there; empty lines are
// left out.
absl::StatusOr<std::vector<std::string>> ReadList(const std::vector<std::string>& arguments);

// The bytes of a file. kNotFound when there is none; another error, with its cause, when it cannot
// be read.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

// For options that must say something: empty when `text` does, else what is wrong with it.
std::string EmptyProblem(const std::string& text);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_TEXT_INPUT_H_
