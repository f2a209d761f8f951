// TlsContext makes the TLS sessions of the connections to one Redis: whom to trust, what name the
// server must prove, and which certificate to show.
//
// TLS 1.2 or newer. Promise: a session never accepts a server whose certificate is not signed by
// the CA, or is not for the server's name, unless the settings say verify=false. Files that have
// changed are read again before the next session, so that certificates can be renewed while a node
// runs; when the new ones cannot be read, the old ones stay in use. Cost: a stat of each file per
// session. Thread safety: none; all on the loop's thread after Create.

#ifndef MERIDIAN_SERVER_L2_TLS_CONTEXT_H_
#define MERIDIAN_SERVER_L2_TLS_CONTEXT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/policy/redis_url.h"

struct bufferevent;
struct ssl_ctx_st;
struct ssl_st;

namespace meridian {

class TlsContext {
 public:
  // Returns kInvalidArgument naming the file that cannot be used, and why.
  static absl::StatusOr<std::unique_ptr<TlsContext>> Create(RedisTls settings);
  ~TlsContext();

  // A session with a server that was found under `host`. The caller owns it.
  absl::StatusOr<ssl_st*> NewSession(const std::string& host);

  // Why TLS has ended the connection `bev` to `host`, for people; empty when TLS has not.
  std::string ProblemOf(bufferevent* bev, const std::string& host) const;

 private:
  explicit TlsContext(RedisTls settings) : settings_(std::move(settings)) {}

  absl::StatusOr<ssl_ctx_st*> Load() const;
  // Changes whenever one of the files does.
  std::string Fingerprint() const;
  const std::string& ServerName(const std::string& host) const;

  const RedisTls settings_;
  ssl_ctx_st* context_ = nullptr;
  std::string loaded_;  // Fingerprint of what is, or could not be, loaded.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_TLS_CONTEXT_H_
