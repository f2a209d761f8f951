// WarmRule says which keys are wanted soon when something has happened: an event of a kind, about a
// key of a form, makes keys of templates.
//
//   task_accessed: access of task "task:{id}" with project, assignees
//     -> project: "project:{project}", user: "user:{assignees}"
//
// A part in braces is bound by the key, by a field of the event (with commas: several values) or by
//   a list of the rule. A template whose part the event does not have makes no key. Whatever an
//   event holds, its values stay values: braces and ranges in them mean nothing.
// Cost: Expand is bounded by max_keys, however many values the parts have.
// Thread safety: values; const methods may run concurrently.

#ifndef MERIDIAN_SERVER_WARMING_WARM_RULE_H_
#define MERIDIAN_SERVER_WARMING_WARM_RULE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace meridian {

// What has happened in a service.
struct WarmEvent {
  std::string kind;        // "access", "update", "login" or a name of the user's.
  std::string name_space;  // Of the key; both may be empty.
  std::string key;
  std::map<std::string, std::string> fields;
};

// The form of a key, "task:{id}": each part stands for one byte or more, up to the text after it.
class KeyPattern {
 public:
  // Without parts: only the key itself; an empty one: any key.
  static absl::StatusOr<KeyPattern> Parse(std::string_view text);

  const std::vector<std::string>& names() const { return names_; }
  // What the parts stand for, in the order of names(); nullopt: the key has another form.
  std::optional<std::vector<std::string>> Match(std::string_view key) const;

 private:
  std::vector<std::string> texts_;  // One before, between and after the parts.
  std::vector<std::string> names_;
};

// The keys that one text with parts makes.
class KeyTemplate {
 public:
  using Values = std::map<std::string, std::vector<std::string>>;  // Of the parts, by name.

  // Lists and ranges in the text itself, {calm,brisk} and {1..3}, stand for at most `max_values`.
  static absl::StatusOr<KeyTemplate> Parse(std::string_view text, size_t max_values);

  // The parts that it names.
  std::vector<std::string> names() const;
  // How many keys it makes; 0: a part has no value.
  uint64_t Count(const Values& values) const;
  // REQUIRES: index < Count(values).
  std::string At(const Values& values, uint64_t index) const;

 private:
  struct Piece {
    std::string text;               // When there is neither of these.
    std::string name;               // Of a part.
    std::vector<std::string> list;  // Of the text itself.
  };
  static const std::vector<std::string>* ValuesOf(const Piece& piece, const Values& values);

  std::vector<Piece> pieces_;
};

struct WarmRule {
  static constexpr size_t kMaxKeys = 1000;  // Of one event.

  // Keys that one event makes, by namespace, without repetition.
  struct Keys {
    std::map<std::string, std::vector<std::string>> by_namespace;
    uint64_t unbound = 0;  // Templates of which a part has no value.
    uint64_t invalid = 0;  // Keys that cannot be keys.
    uint64_t cut = 0;      // Keys beyond max_keys.
  };

  std::string name;
  std::string kind;                                      // Of the event.
  std::string of;                                        // Its namespace; empty: any.
  KeyPattern key;                                        // Its key.
  KeyTemplate::Values parts;                             // That are given by the rule itself.
  std::vector<std::string> fields;                       // Of the event, that templates may name.
  std::map<std::string, std::vector<KeyTemplate>> warm;  // By namespace.
  int32_t priority = 0;
  absl::Duration deadline = absl::Minutes(1);        // Of each job, from when it is queued.
  absl::Duration not_again_for = absl::Seconds(30);  // A key that the rule has warmed.
  size_t max_keys = 100;

  // The event is of its kind and namespace.
  bool IsFor(const WarmEvent& event) const {
    return event.kind == kind && (of.empty() || event.name_space == of);
  }
  // nullopt: it is not, or its key is not of the form.
  std::optional<Keys> Expand(const WarmEvent& event) const;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_RULE_H_
