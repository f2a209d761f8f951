// KeyList is the keys of a warm job, as texts that stand for many keys each.
//
// A text is a key, with any of these in braces: a range {1..500} ({001..500} pads with zeros), a
//   list {calm,frustrated}, or the name of a part that is given besides ({tone}: a range or a list
//   of its own). Braces around anything else stay: {42} is a hash tag. The last part changes
//   fastest. Keys that come twice are warmed twice.
// Promise: whatever At returns is a valid key. Cost: memory is that of the texts, not of the keys;
//   At is one look-up and the making of one key.
// Thread safety: a value; const methods may run concurrently.

#ifndef MERIDIAN_SERVER_WARMING_KEY_LIST_H_
#define MERIDIAN_SERVER_WARMING_KEY_LIST_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace meridian {

// Limits of one job.
inline constexpr uint64_t kMaxWarmKeys = 10'000'000;
inline constexpr size_t kMaxWarmTextBytes = 256 << 10;  // Of all texts and parts together.

// Name -> range or list, without braces: {"tone", "calm,frustrated"}.
using KeyParts = std::map<std::string, std::string>;

// kInvalidArgument when a brace has no other: that is a typing error. {{id}} is as good as {id}.
absl::Status CheckBraces(std::string_view text);

class KeyList {
 public:
  // kInvalidArgument names the text by its index ("keys[3]") or the part, and the rule. A part that
  // no text names is refused.
  static absl::StatusOr<KeyList> Parse(const std::vector<std::string>& texts,
                                       const KeyParts& parts = {});

  // These keys as they are, whatever is in braces. kInvalidArgument names the key by its index.
  static absl::StatusOr<KeyList> OfKeys(const std::vector<std::string>& keys);

  uint64_t size() const { return ends_.empty() ? 0 : ends_.back(); }
  // REQUIRES: index < size().
  std::string At(uint64_t index) const;

 private:
  // A range or a list.
  struct Values {
    std::vector<std::string> list;  // Empty: a range.
    uint64_t first = 0;
    uint64_t count = 0;
    size_t width = 0;  // Of a range: at least as many digits.
  };
  struct Piece {
    std::string text;  // When there are no values.
    std::shared_ptr<const Values> values;
  };
  using Template = std::vector<Piece>;

  // A part that is given besides, read once for all texts.
  struct Part {
    std::shared_ptr<const Values> values;
    bool used = false;
  };

  static absl::StatusOr<std::shared_ptr<const Values>> ParseValues(std::string_view text);
  static absl::StatusOr<Template> ParseText(std::string_view text,
                                            std::map<std::string, Part>* parts);
  static size_t LongestOf(const Piece& piece);
  // How many keys it stands for.
  static absl::StatusOr<uint64_t> Count(std::string_view text, const Template& pieces);

  std::vector<Template> templates_;
  std::vector<uint64_t> ends_;  // ends_[i]: how many keys templates 0..i have.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_KEY_LIST_H_
