#include "tests/contract/scripted_redis.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/l2/reply.h"

namespace meridian {

ScriptedRedis::ScriptedRedis(Answer answer)
    : answer_(std::move(answer)), server_([this](int fd) { Talk(fd); }) {}

void ScriptedRedis::Talk(int fd) {
  ReplyReader reader{ReplyLimits()};  // Commands are arrays of bulks, as answers may be.
  char buffer[4096];
  ssize_t size;
  bool open = true;
  while (open && (size = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
    const auto take = [&](const absl::StatusOr<Reply>& command) {
      if (!command.ok()) return false;
      Words words;
      for (const Reply& word : command->elements) words.emplace_back(word.text());
      if (words.empty()) return false;
      const std::string answer = AnswerTo(words);
      if (words[0] == "SUBSCRIBE") {
        absl::MutexLock lock(&mu_);
        subscribers_.insert(fd);
      }
      return answer.empty() || send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) > 0;
    };
    bool taken = true;
    const absl::Status fed =
        reader.Feed(std::string_view(buffer, static_cast<size_t>(size)),
                    [&](const absl::StatusOr<Reply>& command) { return taken = take(command); });
    open = fed.ok() && taken;
  }
  absl::MutexLock lock(&mu_);
  subscribers_.erase(fd);
}

std::string ScriptedRedis::AnswerTo(const Words& words) {
  {
    absl::MutexLock lock(&mu_);
    times_[words[0]].push_back(absl::Now());
    if (words.size() > 1) times_[absl::StrCat(words[0], " ", words[1])].push_back(absl::Now());
  }
  if (const std::optional<std::string> answer = answer_(words)) return *answer;
  if (words[0] == "PING") return "+PONG\r\n";
  if (words[0] == "INFO") return Bulk("");
  if (words[0] == "CONFIG") return "*0\r\n";
  if (words[0] == "SCRIPT") return Bulk("0123456789012345678901234567890123456789");
  if (words[0] == "SUBSCRIBE")
    return absl::StrCat("*3\r\n", Bulk("subscribe"), Bulk(words[1]), ":1\r\n");
  return "+OK\r\n";
}

std::vector<absl::Time> ScriptedRedis::TimesOf(const std::string& command) const {
  absl::MutexLock lock(&mu_);
  const auto found = times_.find(command);
  return found == times_.end() ? std::vector<absl::Time>() : found->second;
}

void ScriptedRedis::Push(const std::string& bytes) {
  absl::MutexLock lock(&mu_);
  for (const int fd : subscribers_) send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

std::string ScriptedRedis::Bulk(const std::string& text) {
  return absl::StrCat("$", text.size(), "\r\n", text, "\r\n");
}

std::string ScriptedRedis::Array(const Words& bulks) {
  std::string bytes = absl::StrCat("*", bulks.size(), "\r\n");
  for (const std::string& bulk : bulks) bytes += Bulk(bulk);
  return bytes;
}

std::string ScriptedRedis::AllSlots() const {
  return absl::StrCat("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n", Bulk("127.0.0.1"), ":", port(), "\r\n",
                      Bulk("id"));
}

}  // namespace meridian
