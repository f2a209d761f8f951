#include "server/l2/sentinel_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/resilience/backoff.h"
#include "server/l2/resp_writer.h"

namespace meridian {
namespace {

constexpr double kJitter = 0.2;

Connection::Bytes BytesOf(std::initializer_list<std::string_view> arguments) {
  return std::make_shared<const std::string>(CommandOf(arguments));
}

}  // namespace

SentinelWatch::SentinelWatch(EventLoop& loop, const Clock& clock, const RedisUrl& url,
                             SentinelOptions options, TlsContext* tls, Events events)
    : clock_(clock),
      url_(url),
      options_(options),
      events_(std::move(events)),
      address_command_(BytesOf({"SENTINEL", "get-master-addr-by-name", url.group})),
      epoch_command_(BytesOf({"SENTINEL", "MASTER", url.group})),
      replicas_command_(BytesOf({"SENTINEL", "REPLICAS", url.group})),
      random_(std::random_device()()),
      timer_(loop, [this] { Ask(); }) {
  ConnectionOptions connection;
  connection.connect_timeout = options.timeout;
  connection.command_timeout = options.timeout;
  deaf_.resize(url_.seeds.size());
  for (size_t i = 0; i < url_.seeds.size(); ++i) {
    const RedisAddress& sentinel = url_.seeds[i];
    queries_.push_back(std::make_unique<Connection>(loop, clock, sentinel, tls, connection,
                                                    Handshake(false), Connection::Events()));
    Connection::Events hints;
    hints.ready = [this, i] { deaf_[i].clear(); };
    hints.down = [this, i](const absl::Status& why, DownCause, bool) {
      deaf_[i] = std::string(why.message());
    };
    hints.push = [this](const Reply& message) { OnMessage(message); };
    subscriptions_.push_back(std::make_unique<Connection>(loop, clock, sentinel, tls, connection,
                                                          Handshake(true), std::move(hints)));
    queries_.back()->Start();
    subscriptions_.back()->Start();
  }
  Ask();
}

SentinelWatch::~SentinelWatch() { closing_ = true; }

std::vector<Connection::HandshakeStep> SentinelWatch::Handshake(bool subscribe) const {
  std::vector<Connection::HandshakeStep> steps;
  if (!url_.sentinel_password.empty()) {
    steps.push_back({url_.sentinel_user.empty()
                         ? CommandOf({"AUTH", url_.sentinel_password})
                         : CommandOf({"AUTH", url_.sentinel_user, url_.sentinel_password}),
                     StatusOfReply});
  }
  if (subscribe) {
    steps.push_back({CommandOf({"SUBSCRIBE", "+switch-master"}), StatusOfReply});
  } else {
    steps.push_back({CommandOf({"PING"}), StatusOfReply});
  }
  return steps;
}

void SentinelWatch::Hurry() {
  hurry_until_ = clock_.Monotonic() + options_.hurry_for;
  if (outstanding_ > 0) {
    again_ = true;
  } else {
    timer_.Start(absl::ZeroDuration());
  }
}

void SentinelWatch::OnMessage(const Reply& message) {
  if (message.elements.size() != 3) return;
  // "<group> <old ip> <old port> <new ip> <new port>"
  if (absl::StartsWith(ToAbsl(message.elements[2].text()), absl::StrCat(url_.group, " "))) Hurry();
}

void SentinelWatch::Ask() {
  if (outstanding_ > 0) return;
  answers_.assign(queries_.size(), Answer());
  outstanding_ = 3 * queries_.size();
  const absl::Duration deadline = clock_.Monotonic() + options_.timeout;
  for (size_t i = 0; i < queries_.size(); ++i) {
    queries_[i]->Send("", address_command_, deadline,
                      [this, i](absl::StatusOr<Reply> reply) { TakeAddress(i, std::move(reply)); });
    queries_[i]->Send("", epoch_command_, deadline,
                      [this, i](const absl::StatusOr<Reply>& reply) { TakeEpoch(i, reply); });
    queries_[i]->Send("", replicas_command_, deadline,
                      [this, i](const absl::StatusOr<Reply>& reply) { TakeReplicas(i, reply); });
  }
}

void SentinelWatch::TakeAddress(size_t sentinel, absl::StatusOr<Reply> reply) {
  Answer& answer = answers_[sentinel];
  if (reply.ok()) {
    if (absl::Status error = StatusOfReply(*reply); !error.ok()) reply = std::move(error);
  }
  answer.status = reply.status();
  int port = 0;
  if (reply.ok() && reply->elements.size() == 2 &&
      absl::SimpleAtoi(ToAbsl(reply->elements[1].text()), &port) && port > 0 && port < 65536) {
    answer.view.primary =
        RedisAddress{std::string(reply->elements[0].text()), static_cast<uint16_t>(port)};
  }
  OneAnswered();
}

void SentinelWatch::TakeReplicas(size_t sentinel, const absl::StatusOr<Reply>& reply) {
  for (size_t i = 0; reply.ok() && i < reply->elements.size(); ++i) {
    RedisAddress address;
    int port = 0;
    std::string_view flags;
    const std::vector<Reply>& fields = reply->elements[i].elements;
    for (size_t field = 0; field + 1 < fields.size(); field += 2) {
      const std::string_view value = fields[field + 1].text();
      if (fields[field].text() == "ip") address.host = value;
      if (fields[field].text() == "port" && !absl::SimpleAtoi(ToAbsl(value), &port)) port = 0;
      if (fields[field].text() == "flags") flags = value;
    }
    if (address.host.empty() || port < 1 || port > 65535) continue;
    if (absl::StrContains(ToAbsl(flags), "down") ||
        absl::StrContains(ToAbsl(flags), "disconnected")) {
      continue;
    }
    address.port = static_cast<uint16_t>(port);
    answers_[sentinel].replicas.push_back(std::move(address));
    if (answers_[sentinel].replicas.size() == kMaxReplicas) break;
  }
  OneAnswered();
}

// The fields of a sentinel's view, name and value in turn.
void SentinelWatch::TakeEpoch(size_t sentinel, const absl::StatusOr<Reply>& reply) {
  for (size_t i = 0; reply.ok() && i + 1 < reply->elements.size(); i += 2) {
    if (reply->elements[i].text() != "config-epoch") continue;
    if (!absl::SimpleAtoi(ToAbsl(reply->elements[i + 1].text()), &answers_[sentinel].view.epoch)) {
      answers_[sentinel].view.epoch = 0;
    }
  }
  OneAnswered();
}

void SentinelWatch::OneAnswered() {
  if (--outstanding_ == 0 && !closing_) Decide();
}

std::string SentinelWatch::ProblemOf(size_t sentinel) const {
  const Answer& answer = answers_[sentinel];
  if (!answer.status.ok()) return std::string(answer.status.message());
  if (!answer.view.primary) return absl::StrCat("it does not know the group ", url_.group);
  if (belief_.IsStale(answer.view)) {
    return absl::StrCat("it is out of date and not believed: it says that ",
                        answer.view.primary->text(), " is the primary of epoch ", answer.view.epoch,
                        ", and epoch ", belief_.epoch(), " is known");
  }
  if (!deaf_[sentinel].empty()) return absl::StrCat("no hints come from it: ", deaf_[sentinel]);
  return "";
}

void SentinelWatch::Decide() {
  std::vector<SentinelBelief::Answer> views;
  for (const Answer& answer : answers_) views.push_back(answer.view);
  const std::optional<size_t> best = belief_.Judge(views, clock_.Monotonic());
  std::vector<L2Sentinel> sentinels;
  std::string stale;  // What is wrong with one of those that are out of date, and
  std::string away;   // with one that does not answer.
  bool reached = false;
  for (size_t i = 0; i < answers_.size(); ++i) {
    sentinels.push_back({url_.seeds[i].text(), ProblemOf(i)});
    if (answers_[i].status.ok()) reached = true;
    if (!answers_[i].status.ok()) away = sentinels[i].problem;
    if (belief_.IsStale(views[i])) stale = sentinels[i].problem;
  }
  const bool hurry = clock_.Monotonic() < hurry_until_;
  const double random = std::uniform_real_distribution<double>(0.0, 1.0)(random_);
  timer_.Start(std::exchange(again_, false)
                   ? absl::ZeroDuration()
                   : WithJitter(hurry ? options_.hurry : options_.poll, kJitter, random));
  events_.asked(sentinels);
  if (best) {
    const RedisAddress primary = *views[*best].primary;
    const std::vector<RedisAddress> replicas = answers_[*best].replicas;
    events_.found(primary, belief_.epoch(), replicas);
  } else if (!stale.empty()) {
    events_.lost(absl::UnavailableError(absl::StrCat("L2_UNAVAILABLE: no sentinel of ",
                                                     url_.address(), " is up to date: ", stale)));
  } else if (reached) {
    events_.lost(absl::UnavailableError(
        absl::StrCat("L2_UNAVAILABLE: no sentinel of ", url_.address(), " knows this group")));
  } else {
    events_.lost(absl::UnavailableError(
        absl::StrCat("L2_UNAVAILABLE: no sentinel of ", url_.address(), " answers: ", away)));
  }
}

}  // namespace meridian
