#include "server/l2/redis_client.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/l2/resp_writer.h"

namespace meridian {
namespace {

// Indices of the connections.
constexpr size_t kWrites = 0;
constexpr size_t kReplication = 1;
constexpr size_t kFirstRead = 2;

constexpr size_t kBusyRequests = 16;

// What stands before the command's bytes.
std::string HeadOf(const RedisCommand& command, bool with_source) {
  std::string head;
  if (command.script == nullptr) return head;
  RespWriter writer(&head);
  writer.Begin(2 + command.script_arguments);
  writer.Add(with_source ? "EVAL" : "EVALSHA");
  writer.Add(with_source ? command.script->source : command.script->sha1);
  return head;
}

// It answers: its reads are not to be given up because it cannot save, or has too few replicas.
bool RefusesWrites(const absl::Status& status) {
  const std::string error = RedisErrorOf(status);
  const std::string_view kind = RedisErrorKind(error);
  return kind == "MISCONF" || kind == "NOREPLICAS";
}

bool IsNoScript(const absl::StatusOr<Reply>& reply) {
  return reply.ok() && reply->type == Reply::Type::kError &&
         absl::StartsWith(ToAbsl(reply->text()), "NOSCRIPT");
}

absl::Status CheckIsPrimary(const Reply& role) {
  RETURN_IF_ERROR(StatusOfReply(role));
  if (!role.elements.empty() && role.elements[0].text() == "master") return absl::OkStatus();
  return absl::UnavailableError("it is a replica, not the primary");
}

absl::Status Accept(const Reply&) { return absl::OkStatus(); }

absl::Status Invalid(const char* field, std::string value, const char* rule) {
  return absl::InvalidArgumentError(
      absl::StrCat("redis: ", field, " is ", value, ", must be ", rule));
}

}  // namespace

absl::Status RedisClientOptions::Validate() const {
  if (url.seeds.empty()) return Invalid("url", "empty", "redis://host:port");
  if (read_connections < 1 || read_connections > 64) {
    return Invalid("read_connections", absl::StrCat(read_connections), "1-64");
  }
  if (connection.connect_timeout <= absl::ZeroDuration()) {
    return Invalid("connect_timeout", absl::FormatDuration(connection.connect_timeout), "positive");
  }
  if (connection.command_timeout < absl::Milliseconds(10)) {
    return Invalid("command_timeout", absl::FormatDuration(connection.command_timeout),
                   "at least 10ms");
  }
  if (connection.max_in_flight < 1) return Invalid("max_in_flight", "0", "at least 1");
  return breaker.Validate();
}

// One Submit under way. Lives on the loop until the last reply.
struct RedisClient::Call {
  std::vector<RedisCommand> commands;
  RedisReplies replies;
  size_t left = 0;
  RedisLane lane = RedisLane::kRead;
  Connection* connection = nullptr;  // All of a call goes over one.
  absl::Duration started;
  absl::Duration deadline;
  CircuitBreaker::Ticket ticket = 0;
  RedisDone done;
};

std::shared_ptr<RedisClient> RedisClient::Open(EventLoop& loop, RedisAddress address,
                                               const RedisClientOptions& options, TlsContext* tls,
                                               const Clock& clock, L2Observer* observer,
                                               Hooks hooks) {
  std::shared_ptr<RedisClient> client(
      new RedisClient(loop, std::move(address), options, tls, clock, observer, std::move(hooks)));
  loop.Post([client] { client->OpenConnections(); });
  return client;
}

RedisClient::RedisClient(EventLoop& loop, RedisAddress address, const RedisClientOptions& options,
                         TlsContext* tls, const Clock& clock, L2Observer* observer, Hooks hooks)
    : loop_(loop),
      address_(std::move(address)),
      options_(options),
      tls_(tls),
      clock_(clock),
      observer_(observer),
      hooks_(std::move(hooks)),
      breaker_(options_.breaker),
      random_(std::random_device()()),
      ready_(kFirstRead + static_cast<size_t>(options_.read_connections), false) {}

RedisClient::~RedisClient() { assert(connections_.empty()); }

void RedisClient::Close() {
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
  }
  // After everything that was submitted: Submit posts under mu_.
  loop_.Post([self = shared_from_this()] { self->connections_.clear(); });
}

void RedisClient::OpenConnections() {
  for (size_t i = 0; i < kFirstRead + static_cast<size_t>(options_.read_connections); ++i) {
    connections_.push_back(std::make_unique<Connection>(
        loop_, clock_, options_.url.ReachedAt(address_), tls_, options_.connection, Handshake(),
        Connection::Events{[this, i] { OnReady(i); },
                           [this, i](absl::Status why, DownCause cause, bool was_ready) {
                             OnDown(i, why, cause, was_ready);
                           }}));
  }
  connections_[kWrites]->Start();
  connections_[kFirstRead]->Start();
}

std::vector<Connection::HandshakeStep> RedisClient::Handshake() {
  std::vector<Connection::HandshakeStep> steps;
  const RedisUrl& url = options_.url;
  if (!url.password.empty()) {
    steps.push_back({url.user.empty() ? CommandOf({"AUTH", url.password})
                                      : CommandOf({"AUTH", url.user, url.password}),
                     StatusOfReply});
  }
  if (url.database != 0) {
    steps.push_back({CommandOf({"SELECT", absl::StrCat(url.database)}), StatusOfReply});
  }
  if (hooks_.read_replica) steps.push_back({CommandOf({"READONLY"}), StatusOfReply});
  if (hooks_.must_be_primary) steps.push_back({CommandOf({"ROLE"}), CheckIsPrimary});
  // These may be forbidden to us; then we do not know.
  steps.push_back({CommandOf({"INFO", "server"}), [this](const Reply& reply) {
                     CheckServer(reply);
                     return absl::OkStatus();
                   }});
  steps.push_back({CommandOf({"CONFIG", "GET", "maxmemory*"}), [this](const Reply& reply) {
                     CheckMemory(reply);
                     return absl::OkStatus();
                   }});
  for (const Script* script : {&kApplyScript, &kLogEndsScript}) {
    steps.push_back({CommandOf({"SCRIPT", "LOAD", script->source}), Accept});
  }
  steps.push_back({CommandOf({"PING"}), StatusOfReply});
  return steps;
}

void RedisClient::CheckServer(const Reply& info) {
  std::string problem;
  for (const absl::string_view line : absl::StrSplit(ToAbsl(info.text()), '\n')) {
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, "run_id:")) NoteProcess(absl::StripAsciiWhitespace(rest));
    if (absl::StartsWith(line, "redis_mode:cluster") &&
        options_.url.shape != RedisShape::kCluster) {
      problem = "this is a server of a Redis Cluster; use redis+cluster://";
    }
    if (!absl::ConsumePrefix(&rest, "redis_version:")) continue;
    const std::vector<std::string> parts = absl::StrSplit(absl::StripAsciiWhitespace(rest), '.');
    int major = 0;
    int minor = 0;
    if (parts.size() >= 2 && absl::SimpleAtoi(parts[0], &major) &&
        absl::SimpleAtoi(parts[1], &minor) && std::pair(major, minor) < std::pair(6, 2)) {
      problem = absl::StrCat("Redis ", absl::StripAsciiWhitespace(rest),
                             " is older than 6.2, the oldest that we test");
    }
  }
  absl::MutexLock lock(&mu_);
  version_problem_ = std::move(problem);
}

void RedisClient::NoteProcess(absl::string_view run_id) {
  const std::string before = std::exchange(run_id_, std::string(run_id));
  if (!before.empty() && before != run_id_ && hooks_.on_restarted) hooks_.on_restarted();
}

void RedisClient::CheckMemory(const Reply& config) {
  std::string problem;
  std::string policy;
  uint64_t max_memory = 0;
  for (size_t i = 0; i + 1 < config.elements.size(); i += 2) {
    const absl::string_view value = ToAbsl(config.elements[i + 1].text());
    if (config.elements[i].text() == "maxmemory-policy") policy = std::string(value);
    if (config.elements[i].text() == "maxmemory" && !absl::SimpleAtoi(value, &max_memory)) {
      max_memory = 0;
    }
  }
  if (policy.empty()) {
    problem = "maxmemory-policy is unknown (CONFIG GET was refused); it must be volatile-lfu";
  } else if (absl::StartsWith(policy, "allkeys-")) {
    problem =
        absl::StrCat("maxmemory-policy is ", policy,
                     ", which evicts changelogs and cursors; set maxmemory-policy volatile-lfu");
  } else if (policy == "noeviction" && max_memory > 0) {
    problem =
        "maxmemory-policy is noeviction, so writes fail when maxmemory is reached; "
        "set maxmemory-policy volatile-lfu";
  }
  absl::MutexLock lock(&mu_);
  memory_problem_ = std::move(problem);
}

Connection& RedisClient::ConnectionFor(RedisLane lane) {
  if (lane == RedisLane::kWrite) return *connections_[kWrites];
  if (lane == RedisLane::kReplicate) {
    connections_[kReplication]->Start();
    return *connections_[kReplication];
  }
  // The one that waits for the fewest replies. A large reply holds up what is behind it, so that
  // another connection is opened when all are busy.
  size_t best = kFirstRead;
  size_t i = kFirstRead + 1;
  for (; i < connections_.size() && connections_[i]->started(); ++i) {
    if (connections_[i]->ready() &&
        (!connections_[best]->ready() ||
         connections_[i]->in_flight() < connections_[best]->in_flight())) {
      best = i;
    }
  }
  if (connections_[best]->in_flight() >= kBusyRequests && i < connections_.size()) {
    connections_[i]->Start();
  }
  return *connections_[best];
}

void RedisClient::Submit(RedisLane lane, std::vector<RedisCommand> commands, absl::Time deadline,
                         RedisDone done) {
  if (commands.empty()) {
    done({});
    return;
  }
  auto call = std::make_shared<Call>();
  call->started = clock_.Monotonic();
  call->deadline = call->started + (deadline - clock_.Now());
  call->lane = lane;
  call->left = commands.size();
  absl::Status refusal;
  {
    absl::MutexLock lock(&mu_);
    const CircuitBreaker::State before = breaker_.state();
    std::optional<CircuitBreaker::Ticket> ticket;
    if (closed_) {
      refusal = absl::UnavailableError("L2_UNAVAILABLE: the store is closing");
    } else if (call->deadline <= call->started) {
      refusal = absl::DeadlineExceededError("the deadline passed before the command was sent");
    } else if (ticket = breaker_.TryEnter(call->started); !ticket) {
      refusal = absl::UnavailableError(
          absl::StrCat("L2_CIRCUIT_OPEN: Redis ", address_.text(), " failed too often"));
    } else {
      ReportBreaker(before);
      call->ticket = *ticket;
      call->done = std::move(done);
      call->replies.resize(commands.size(), absl::UnknownError("not answered"));
      call->commands = std::move(commands);
      loop_.Post([this, call = std::move(call)] {
        call->connection = &ConnectionFor(call->lane);
        for (size_t i = 0; i < call->commands.size(); ++i) Send(call, i, false);
      });
    }
  }
  if (!refusal.ok()) Refuse(commands, refusal, done);
}

void RedisClient::Refuse(const std::vector<RedisCommand>& commands, const absl::Status& why,
                         const RedisDone& done) {
  if (observer_ != nullptr) {
    for (const RedisCommand& command : commands) {
      observer_->CommandDone(command.name, absl::ZeroDuration(), why.code());
    }
  }
  done(RedisReplies(commands.size(), why));
}

void RedisClient::Send(const std::shared_ptr<Call>& call, size_t index, bool with_source) {
  Connection& connection = *call->connection;
  const RedisCommand& command = call->commands[index];
  if (command.asking) {
    static const Connection::Bytes kAsking =
        std::make_shared<const std::string>(CommandOf({"ASKING"}));
    connection.Send("", kAsking, call->deadline, [](const absl::StatusOr<Reply>&) {});
  }
  connection.Send(HeadOf(command, with_source), command.bytes, call->deadline,
                  [this, call, index, with_source](absl::StatusOr<Reply> reply) {
                    OnReply(call, index, with_source, std::move(reply));
                  });
}

void RedisClient::OnReply(const std::shared_ptr<Call>& call, size_t index, bool with_source,
                          absl::StatusOr<Reply> reply) {
  if (call->commands[index].script != nullptr && !with_source && IsNoScript(reply)) {
    Send(call, index, true);
    return;
  }
  if (reply.ok()) {
    if (absl::Status status = StatusOfReply(*reply); !status.ok()) {
      reply = std::move(status);
    }
  }
  if (!reply.ok() && IsRedirectError(reply.status())) {
    const std::string error = RedisErrorOf(reply.status());
    const std::string_view kind = RedisErrorKind(error);
    if (kind == "READONLY") Tell(Event::kReadOnly);
    if (observer_ != nullptr) observer_->Redirected(kind);
  } else if (observer_ != nullptr) {
    observer_->CommandDone(call->commands[index].name, clock_.Monotonic() - call->started,
                           reply.status().code());
  }
  call->replies[index] = std::move(reply);
  if (--call->left == 0) Finish(*call);
}

void RedisClient::Finish(Call& call) {
  const absl::Duration now = clock_.Monotonic();
  bool failed = false;
  bool ignored = false;
  for (const auto& reply : call.replies) {
    const absl::StatusCode code = reply.status().code();
    const bool late = code == absl::StatusCode::kDeadlineExceeded;
    if (!reply.ok() && (IsRedirectError(reply.status()) || RefusesWrites(reply.status()))) continue;
    if (code == absl::StatusCode::kUnavailable ||
        (late && now - call.started >= options_.slow_call)) {
      failed = true;
    } else if (late || code == absl::StatusCode::kResourceExhausted) {
      ignored = true;
    }
  }
  {
    absl::MutexLock lock(&mu_);
    const CircuitBreaker::State before = breaker_.state();
    if (failed) {
      breaker_.OnFailure(call.ticket, now, Random());
    } else if (ignored) {
      breaker_.OnIgnored(call.ticket);
    } else {
      breaker_.OnSuccess(call.ticket, now);
    }
    ReportBreaker(before);
  }
  call.done(std::move(call.replies));
}

void RedisClient::OnReady(size_t connection) {
  {
    absl::MutexLock lock(&mu_);
    ready_[connection] = true;
    last_error_ = absl::OkStatus();
    const CircuitBreaker::State before = breaker_.state();
    breaker_.OnConnected();
    ReportBreaker(before);
  }
  if (observer_ != nullptr) observer_->ConnectionUp();
  Tell(Event::kReady);
}

void RedisClient::OnDown(size_t connection, const absl::Status& why, DownCause cause,
                         bool was_ready) {
  {
    absl::MutexLock lock(&mu_);
    ready_[connection] = false;
    last_error_ = why;
    if (!was_ready) {
      const CircuitBreaker::State before = breaker_.state();
      breaker_.OnConnectFailure(clock_.Monotonic(), Random());
      ReportBreaker(before);
    }
  }
  if (observer_ != nullptr) {
    const absl::string_view text = why.message();
    observer_->ConnectionDown(DownCauseName(cause), {text.data(), text.size()}, was_ready);
  }
  Tell(Event::kDown);
}

void RedisClient::Tell(Event event) {
  if (hooks_.on_event) hooks_.on_event(event);
}

void RedisClient::ReportBreaker(CircuitBreaker::State before) {
  if (observer_ != nullptr && breaker_.state() != before) {
    observer_->BreakerChanged(breaker_.state_name());
  }
}

double RedisClient::Random() { return std::uniform_real_distribution<double>(0.0, 1.0)(random_); }

bool RedisClient::IsAway() const {
  absl::MutexLock lock(&mu_);
  return !ready_[kWrites] || !ready_[kFirstRead] || breaker_.refuses(clock_.Monotonic());
}

L2Health RedisClient::Health() const {
  absl::MutexLock lock(&mu_);
  L2Health health;
  // The others are opened when they are needed.
  health.connected = ready_[kWrites] && ready_[kFirstRead];
  health.breaker = std::string(breaker_.state_name());
  health.address = address_.text();
  if (!health.connected) {
    health.problem = last_error_.ok() ? "not connected yet" : std::string(last_error_.message());
  } else {
    health.problem = version_problem_;
    if (!memory_problem_.empty()) {
      if (!health.problem.empty()) health.problem += "; ";
      health.problem += memory_problem_;
    }
  }
  health.endpoints.push_back({health.address, health.connected, health.breaker,
                              static_cast<int>(std::count(ready_.begin(), ready_.end(), true)),
                              health.problem});
  return health;
}

}  // namespace meridian
