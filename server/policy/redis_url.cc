#include "server/policy/redis_url.h"

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

constexpr uint64_t kMaxDatabase = std::numeric_limits<uint32_t>::max();

constexpr uint16_t kSentinelPort = 26379;

absl::Status Invalid(std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("Redis URL: ", ToAbsl(what),
                   "; expected redis[s]://[user:password@]host[:port][/db] or "
                   "redis+sentinel://[user:password@]host[:port],.../group[/db] or "
                   "redis+cluster://[user:password@]host[:port],..., then [?ca=FILE...]"));
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  return decoded;
}

absl::Status ParseCredentials(std::string_view text, RedisUrl* url) {
  const size_t colon = text.find(':');
  const auto user = PercentDecode(text.substr(0, colon));
  const auto password =
      PercentDecode(colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1));
  if (!user || !password) return Invalid("bad percent-encoding in the credentials");
  if (!user->empty() && password->empty()) return Invalid("a user without a password");
  url->user = *user;
  url->password = *password;
  return absl::OkStatus();
}

absl::Status ParsePort(std::string_view text, RedisAddress* address) {
  const absl::StatusOr<uint64_t> port = ParseInteger(text, 1, 65535);
  if (!port.ok()) return Invalid("the port must be 1-65535");
  address->port = static_cast<uint16_t>(*port);
  return absl::OkStatus();
}

absl::Status ParseDatabase(std::string_view text, RedisUrl* url) {
  if (text.empty()) return absl::OkStatus();
  const absl::StatusOr<uint64_t> database = ParseInteger(text, 0, kMaxDatabase);
  if (!database.ok()) return Invalid("the database must be a number");
  url->database = static_cast<uint32_t>(*database);
  return absl::OkStatus();
}

absl::Status ParseHostPort(std::string_view text, RedisAddress* address) {
  std::string_view rest;
  if (!text.empty() && text.front() == '[') {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return Invalid("'[' without ']'");
    address->host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') return Invalid("unexpected text after ']'");
  } else {
    const size_t colon = text.find(':');
    address->host = text.substr(0, colon);
    if (colon != std::string_view::npos) rest = text.substr(colon);
  }
  if (address->host.empty()) return Invalid("no host");
  for (const char c : address->host) {
    if (c <= ' ' || c == 0x7f) return Invalid("the host has a space or control character");
  }
  return rest.empty() ? absl::OkStatus() : ParsePort(rest.substr(1), address);
}

absl::Status ParseSeeds(std::string_view text, RedisUrl* url) {
  for (const absl::string_view seed : absl::StrSplit(ToAbsl(text), ',')) {
    RedisAddress address;
    if (url->shape == RedisShape::kSentinel) address.port = kSentinelPort;
    RETURN_IF_ERROR(ParseHostPort({seed.data(), seed.size()}, &address));
    url->seeds.push_back(std::move(address));
  }
  if (url->shape == RedisShape::kStandalone && url->seeds.size() > 1) {
    return Invalid("several hosts");
  }
  return absl::OkStatus();
}

absl::Status ParseNat(std::string_view text, RedisUrl* url) {
  for (const absl::string_view word : absl::StrSplit(ToAbsl(text), ',')) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(word, absl::MaxSplits('/', 1));
    RedisAddress announced;
    RedisAddress reached;
    if (!ParseHostPort(pair.first, &announced).ok() || !ParseHostPort(pair.second, &reached).ok()) {
      return Invalid("nat must be HOST:PORT/HOST:PORT[,...], as announced / as reached from here");
    }
    if (!url->nat.emplace(std::move(announced), std::move(reached)).second) {
      return Invalid("nat names an announced address twice");
    }
  }
  return absl::OkStatus();
}

// What follows the hosts: [/db], with sentinels /group[/db].
absl::Status ParsePath(std::string_view text, RedisUrl* url) {
  if (url->shape == RedisShape::kSentinel) {
    const size_t slash = text.find('/');
    const auto group = PercentDecode(text.substr(0, slash));
    if (!group || group->empty()) return Invalid("sentinels need the name of a group");
    for (const char c : *group) {
      if (c <= ' ' || c == 0x7f) return Invalid("the group has a space or control character");
    }
    url->group = *group;
    text = slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
  }
  RETURN_IF_ERROR(ParseDatabase(text, url));
  if (url->shape == RedisShape::kCluster && url->database != 0) {
    return Invalid("a Redis Cluster has database 0 only");
  }
  return absl::OkStatus();
}

// Where the value of a parameter of the query goes; nullptr: unknown, or not a text.
std::string* TextParameter(std::string_view name, RedisUrl* url) {
  if (name == "sentinel_user") return &url->sentinel_user;
  if (name == "sentinel_password") return &url->sentinel_password;
  if (!url->tls) return nullptr;
  if (name == "ca") return &url->tls->ca_file;
  if (name == "cert") return &url->tls->certificate_file;
  if (name == "key") return &url->tls->key_file;
  if (name == "server_name") return &url->tls->server_name;
  return nullptr;
}

absl::Status ParseParameter(std::string_view text, RedisUrl* url) {
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const auto value = PercentDecode(equals == std::string_view::npos ? std::string_view()
                                                                    : text.substr(equals + 1));
  if (!value || value->empty()) return Invalid("a parameter of the query without a value");
  if (std::string* target = TextParameter(name, url)) {
    // A name that ends early for who checks it would be no check.
    const bool is_secret = name.substr(0, 9) == "sentinel_";
    for (const char c : is_secret ? std::string() : *value) {
      if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
        return Invalid("ca, cert, key and server_name must have no control characters");
      }
    }
    *target = *value;
    return absl::OkStatus();
  }
  if (name == "nat") return ParseNat(*value, url);
  // Another name is not shown: it may be the rest of a password with a '?' in it.
  if (name != "tls" && name != "replica_reads" && (name != "verify" || !url->tls)) {
    return Invalid(
        "a query knows ca, cert, key, server_name and verify (with TLS), sentinel_user and "
        "sentinel_password (with sentinels), tls, replica_reads and nat");
  }
  const absl::StatusOr<bool> flag = ParseBool(*value);
  if (!flag.ok()) return Invalid("tls, verify and replica_reads must be true or false");
  if (name == "verify") url->tls->verify = *flag;
  if (name == "replica_reads") url->replica_reads = *flag;
  return absl::OkStatus();
}

absl::Status ParseQuery(std::string_view text, RedisUrl* url) {
  if (text.find('@') != std::string_view::npos) {
    return Invalid("'?' in a password and '@' in a query must be percent-encoded (%3F, %40)");
  }
  const std::vector<std::string> parameters = absl::StrSplit(ToAbsl(text), '&');
  for (const std::string& parameter : parameters) {
    if (url->shape == RedisShape::kStandalone && absl::StartsWith(parameter, "replica_reads=")) {
      return Invalid("replica_reads is for redis+sentinel:// and redis+cluster://");
    }
    if (url->shape == RedisShape::kStandalone && absl::StartsWith(parameter, "nat=")) {
      return Invalid("nat is for redis+sentinel:// and redis+cluster://");
    }
    if (url->shape == RedisShape::kStandalone && absl::StartsWith(parameter, "tls=")) {
      return Invalid("tls is for redis+sentinel:// and redis+cluster://; use rediss://");
    }
    if (url->shape != RedisShape::kSentinel && absl::StartsWith(parameter, "sentinel_")) {
      return Invalid("sentinel_user and sentinel_password are for redis+sentinel://");
    }
    if (absl::StartsWith(parameter, "tls=")) {  // Before the parameters that need it.
      const auto value = PercentDecode(std::string_view(parameter).substr(4));
      if (value && ParseBool(*value).value_or(false)) url->tls.emplace();
    }
  }
  for (const std::string& parameter : parameters) RETURN_IF_ERROR(ParseParameter(parameter, url));
  if (!url->sentinel_user.empty() && url->sentinel_password.empty()) {
    return Invalid("sentinel_user without sentinel_password");
  }
  if (url->tls && url->tls->certificate_file.empty() != url->tls->key_file.empty()) {
    return Invalid("cert and key go together");
  }
  return absl::OkStatus();
}

}  // namespace

std::string RedisAddress::text() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

RedisAddress RedisUrl::ReachedAt(const RedisAddress& announced) const {
  const auto it = nat.find(announced);
  return it == nat.end() ? announced : it->second;
}

std::string RedisUrl::address() const {
  const auto append_seed = [](std::string* out, const RedisAddress& seed) {
    out->append(seed.text());
  };
  const std::string hosts = absl::StrJoin(seeds, ",", append_seed);
  return group.empty() ? hosts : absl::StrCat(group, "@", hosts);
}

absl::StatusOr<RedisUrl> ParseRedisUrl(std::string_view text) {
  const size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return Invalid("no scheme");
  const std::string_view scheme = text.substr(0, scheme_end);
  if (scheme != "redis" && scheme != "rediss" && scheme != "redis+sentinel" &&
      scheme != "redis+cluster") {
    return Invalid("unknown scheme");
  }

  RedisUrl url;
  if (scheme == "rediss") url.tls.emplace();
  if (scheme == "redis+sentinel") url.shape = RedisShape::kSentinel;
  if (scheme == "redis+cluster") url.shape = RedisShape::kCluster;
  std::string_view rest = text.substr(scheme_end + 3);
  if (rest.find('#') != std::string_view::npos) return Invalid("no fragment is known");
  if (const size_t question = rest.find('?'); question != std::string_view::npos) {
    RETURN_IF_ERROR(ParseQuery(rest.substr(question + 1), &url));
    rest = rest.substr(0, question);
  }
  // The last '@': a password may hold one that somebody forgot to encode.
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    RETURN_IF_ERROR(ParseCredentials(rest.substr(0, at), &url));
    rest = rest.substr(at + 1);
  }
  const size_t slash = rest.find('/');
  RETURN_IF_ERROR(ParseSeeds(rest.substr(0, slash), &url));
  RETURN_IF_ERROR(ParsePath(
      slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1), &url));
  return url;
}

}  // namespace meridian
