// RespWriter writes one command in Redis' wire format: an array of bulk strings.
//
// Cost: appends to one string; nothing is escaped or concatenated into scripts, so any bytes are
// safe.

#ifndef MERIDIAN_SERVER_L2_RESP_WRITER_H_
#define MERIDIAN_SERVER_L2_RESP_WRITER_H_

#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace meridian {

class RespWriter {
 public:
  // Appends to `out`, which outlives this.
  explicit RespWriter(std::string* out) : out_(*out) {}

  // The head of a command of `arguments` arguments, its name included.
  void Begin(size_t arguments) { Header('*', arguments); }

  void Add(std::string_view argument) {
    Header('$', argument.size());
    out_.append(argument);
    out_.append("\r\n", 2);
  }

  void AddNumber(int64_t number) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
    Add(std::string_view(digits, static_cast<size_t>(end - digits)));
  }

 private:
  void Header(char type, size_t count) {
    char line[24];
    line[0] = type;
    const auto end = std::to_chars(line + 1, line + sizeof(line) - 2, count).ptr;
    end[0] = '\r';
    end[1] = '\n';
    out_.append(line, static_cast<size_t>(end + 2 - line));
  }

  std::string& out_;
};

// A whole command.
inline std::string CommandOf(std::initializer_list<std::string_view> arguments) {
  std::string bytes;
  RespWriter writer(&bytes);
  writer.Begin(arguments.size());
  for (const std::string_view argument : arguments) writer.Add(argument);
  return bytes;
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_RESP_WRITER_H_
