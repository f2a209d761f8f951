// OptionSet is the one table of a program's settings: each has a name, a place in the YAML file, a
// default and a rule, and is read from there, from MERIDIAN_* environment variables and from flags.
//
// Precedence: flags beat environment beats file beats an alias beats defaults. An option
// "l1-max-bytes" is
// `--l1-max-bytes`, `MERIDIAN_L1_MAX_BYTES`, and in the file its YAML path, "l1.max_bytes".
// Errors name the place: "node.yaml:7: l1.max_bytes: '64XB' is not a size such as ...". Unknown
// keys are errors with the nearest known one. Thread safety: none; used at start by one thread.

#ifndef MERIDIAN_SERVER_POLICY_OPTION_SET_H_
#define MERIDIAN_SERVER_POLICY_OPTION_SET_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace YAML {
class Node;
}

namespace meridian {

struct Option {
  std::string name;           // Flag without dashes: "l1-max-bytes".
  std::string yaml_path;      // "l1.max_bytes".
  std::string default_text;   // As a person would write it; "" is shown as such.
  std::string help;           // One line.
  // Takes one text, or several for a list option; called once, with what has the highest precedence.
  std::function<absl::Status(const std::vector<std::string>&)> set = nullptr;
  bool list = false;          // Flag may be repeated or comma-separated; YAML: a sequence or a map.
  bool secret = false;        // Shown as *** by --print-config.
  std::string alias = "";     // Of an environment variable that only the default is below.
};

class OptionSet {
 public:
  // `program` and `description` head the help; `examples` end it.
  OptionSet(std::string program, std::string description, std::string examples);

  void Add(Option option);
  // Common setters: store into `*target`, which outlives Parse.
  void AddString(std::string* target, Option option);
  void AddBytes(uint64_t* target, uint64_t minimum, Option option);
  void AddAddress(std::string* target, Option option);
  // A URL that ParseRedisUrl takes, or "". Always a secret: it may hold a password.
  void AddRedisUrl(std::string* target, Option option);

  // A top-level YAML section that somebody else reads (namespaces:). Called with its node and the
  // file's name; not called when it is absent.
  void AddSection(std::string key, std::function<absl::Status(const std::string& file,
                                                              const YAML::Node& node)> read);

  enum class Action {
    kRun,
    kCheck,  // --check-config or --print-config: check the whole, then exit.
    kExit,   // --help or --version were answered on stdout; no setter was called.
  };
  // Reads everything and calls the setters. `environment` is usually the process's own.
  absl::StatusOr<Action> Parse(int argc, const char* const* argv,
                               const std::map<std::string, std::string>& environment);

  // Of an error of Parse: the setting that it is about, by its place in the file (listen.grpc);
  // empty: all of them, as of a file that is no YAML.
  const std::string& refused() const { return refused_; }

  // The YAML file that Parse read; empty: none.
  const std::string& file() const { return file_; }

  // The rows of docs/config.md.
  std::string MarkdownTable() const;

 private:
  struct Value {
    std::vector<std::string> texts;
    std::string origin;  // "default", "node.yaml:7", "MERIDIAN_X" or "--x".
  };

  absl::Status ReadFile(const std::string& path, std::map<std::string, Value>* values);
  absl::Status ReadYaml(const std::string& file, const std::string& path, const YAML::Node& node,
                        std::map<std::string, Value>* values);
  void Print(const std::map<std::string, Value>& values) const;
  const Option* FindByYamlPath(std::string_view path) const;
  std::string NearestYamlPath(std::string_view path) const;

  const std::string program_;
  const std::string description_;
  const std::string examples_;
  std::string file_;
  std::string refused_;
  std::vector<Option> options_;
  std::map<std::string, std::function<absl::Status(const std::string&, const YAML::Node&)>> sections_;
};

// The process's environment as a map.
std::map<std::string, std::string> ProcessEnvironment();

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_OPTION_SET_H_
