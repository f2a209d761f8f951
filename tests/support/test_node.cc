#include "tests/support/test_node.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/support/http_page.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr absl::Duration kStartLimit = absl::Seconds(30);
constexpr int kPortTries = 5;
const char* const kListeners[] = {"data", "peer", "admin", "http"};

}  // namespace

std::string FreeAddress() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
}

absl::StatusOr<std::unique_ptr<TestNode>> TestNode::Start(const std::string& id,
                                                          const std::vector<std::string>& flags,
                                                          const TestNodeOptions& options) {
  std::unique_ptr<TestNode> node(new TestNode(id));
  const absl::Status status = node->Launch(flags, options);
  if (!status.ok()) return status;
  return node;
}

absl::Status TestNode::Launch(const std::vector<std::string>& flags,
                              const TestNodeOptions& options) {
  ChildOptions child;
  if (!options.environment.empty()) {
    child.words = {"env"};  // Becomes the node itself.
    child.words.insert(child.words.end(), options.environment.begin(), options.environment.end());
  }
  child.words.insert(child.words.end(),
                     {ProgramPath("meridian-node"), "--id", id_, "--ready-file", dir_ / "ready"});
  for (const char* listener : kListeners) {
    const std::string flag = absl::StrCat("--", listener, "-address");
    if (std::find(flags.begin(), flags.end(), flag) != flags.end()) continue;
    child.words.insert(child.words.end(), {flag, "127.0.0.1:0"});
  }
  child.words.insert(child.words.end(), flags.begin(), flags.end());
  child.stdout_path = child.stderr_path = dir_ / "log";
  absl::StatusOr<std::unique_ptr<ChildProcess>> process = ChildProcess::Start(child);
  if (!process.ok()) return process.status();
  process_ = *std::move(process);
  nlohmann::json ready;
  const auto is_ready = [&] {
    ready = nlohmann::json::parse(ReadFile(dir_ / "ready"), nullptr, /*allow_exceptions=*/false);
    return ready.is_object();
  };
  WaitUntil([&] { return is_ready() || !process_->Running(); }, kStartLimit);
  if (!is_ready()) return absl::UnavailableError(absl::StrCat(id_, " did not start:\n", Log()));
  for (const char* listener : kListeners) addresses_[listener] = ready[listener];
  if (!options.until_ready) return absl::OkStatus();
  const bool serves = WaitUntil(
      [this] {
        const absl::StatusOr<HttpPage> page = HttpGet(http(), "/readyz");
        return page.ok() && page->code == 200;
      },
      kStartLimit);
  if (serves) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(id_, " does not become ready:\n", Log()));
}

absl::StatusOr<std::vector<std::unique_ptr<TestNode>>> TestNode::StartPeers(
    size_t count, const std::vector<std::string>& flags) {
  absl::Status last;
  // Static peers need their ports before they start, and somebody else may take one in between.
  for (int attempt = 0; attempt < kPortTries; ++attempt) {
    std::vector<std::string> data(count), peer(count), peers(count);
    for (size_t i = 0; i < count; ++i) {
      data[i] = FreeAddress();
      peer[i] = FreeAddress();
      peers[i] = absl::StrCat("n", i, "=", data[i], "/", peer[i]);
    }
    std::vector<std::unique_ptr<TestNode>> nodes;
    for (size_t i = 0; i < count; ++i) {
      std::vector<std::string> words = {"--data-address", data[i],   "--peer-address",
                                        peer[i],          "--peers", absl::StrJoin(peers, ",")};
      words.insert(words.end(), flags.begin(), flags.end());
      absl::StatusOr<std::unique_ptr<TestNode>> node =
          Start(absl::StrCat("n", i), std::move(words));
      last = node.status();
      if (!node.ok()) break;
      nodes.push_back(*std::move(node));
    }
    if (last.ok()) return nodes;
  }
  return last;
}

TestNode::~TestNode() {
  if (process_ != nullptr && testing::Test::HasFailure()) {
    std::printf("--- log of %s\n%s\n", id_.c_str(), Log().c_str());
  }
}

}  // namespace meridian
