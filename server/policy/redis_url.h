// RedisUrl is where a Redis is, how to log in, and how to be sure that it is the right one:
//
//   redis://[user[:password]@]host[:port][/db]       one Redis
//   rediss://[user[:password]@]host[:port][/db]      the same over TLS
//   redis+sentinel://[user[:password]@]host[:port][,host[:port]...]/group[/db]
//                                                    the primary of a group that sentinels watch
//   redis+cluster://[user[:password]@]host[:port][,host[:port]...]
//                                                    a Redis Cluster, found through these servers
//
// A query sets the rest: tls=true (sentinels with their group, and clusters), ca=FILE (default:
// the system's authorities), cert=FILE and key=FILE (our own certificate), server_name=NAME (that
// the server must prove; default: the host), verify=false; sentinel_user and sentinel_password;
// replica_reads=true (sentinels and clusters: reads whose primary cannot be reached ask a replica);
// nat=ANNOUNCED/REACHED[,...] (sentinels and clusters: where a server that they announce as host:port
// is reached from here, when that is elsewhere; sentinels and first servers are named as reached).
// User, password and values of the query may be percent-encoded; an IPv6 host stands in brackets.
// Errors and address() never show the password.

#ifndef MERIDIAN_SERVER_POLICY_REDIS_URL_H_
#define MERIDIAN_SERVER_POLICY_REDIS_URL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace meridian {

struct RedisAddress {
  std::string host;
  uint16_t port = 6379;

  // host:port, for logs and status pages.
  std::string text() const;
  friend auto operator<=>(const RedisAddress&, const RedisAddress&) = default;
};

// Files are PEM.
struct RedisTls {
  std::string ca_file;           // Empty: the system's authorities.
  std::string certificate_file;  // Empty: none; else with key_file.
  std::string key_file;
  std::string server_name;  // Empty: the host.
  bool verify = true;       // false: encrypted, but anybody may be at the other end.
};

enum class RedisShape { kStandalone, kSentinel, kCluster };

struct RedisUrl {
  RedisShape shape = RedisShape::kStandalone;
  std::vector<RedisAddress> seeds;  // The Redis itself, the sentinels, or servers of the cluster.
  std::string group;                // kSentinel: the name of what they watch.
  std::string user;                 // Empty: Redis' default user.
  std::string password;             // Empty: no AUTH.
  uint32_t database = 0;
  std::string sentinel_user;
  std::string sentinel_password;  // Empty: no AUTH with sentinels.
  std::optional<RedisTls> tls;
  bool replica_reads = false;
  std::map<RedisAddress, RedisAddress> nat;  // As announced -> as reached from here.

  RedisAddress ReachedAt(const RedisAddress& announced) const;
  // host:port, or group@host:port,..., for logs and status pages.
  std::string address() const;
};

// Returns kInvalidArgument saying which part is wrong. At least one seed.
absl::StatusOr<RedisUrl> ParseRedisUrl(std::string_view url);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_REDIS_URL_H_
