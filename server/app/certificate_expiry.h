// CertificateExpiry says when the certificates expire that a process uses: its own and the
// authorities by which it judges others.
//
// Cost: the files are read at most once in kKept, by whoever asks then. A file that cannot be read
// is left out: who uses it says so.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_APP_CERTIFICATE_EXPIRY_H_
#define MERIDIAN_SERVER_APP_CERTIFICATE_EXPIRY_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/telemetry/metric_registry.h"
#include "common/tls/tls_files.h"
#include "server/policy/redis_url.h"

namespace meridian {

struct CertificateFile {
  std::string file;
  bool authorities = false;
};

// Those that a Redis is reached with; none without TLS.
std::vector<CertificateFile> CertificateFilesOf(const RedisUrl& url);

// Those of the own listeners; none without TLS.
std::vector<CertificateFile> CertificateFilesOf(const TlsFiles& files);

class CertificateExpiry {
 public:
  static constexpr absl::Duration kKept = absl::Minutes(1);
  using Files = std::function<std::vector<CertificateFile>()>;

  // `clock` outlives this. `files` may be called by any thread.
  CertificateExpiry(Files files, const Clock& clock) : files_(std::move(files)), clock_(clock) {}

  // By file.
  std::map<std::string, absl::Time> All() const ABSL_LOCKS_EXCLUDED(mu_);
  // InfiniteFuture: there are none.
  absl::Time First() const;

  // meridian_certificate_expiry_timestamp_seconds; this outlives the registry's last use.
  void AddMetrics(MetricRegistry& registry) const;

 private:
  const Files files_;
  const Clock& clock_;
  mutable absl::Mutex mu_;
  mutable absl::Duration read_ ABSL_GUARDED_BY(mu_) = -absl::InfiniteDuration();
  mutable std::map<std::string, absl::Time> ends_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_CERTIFICATE_EXPIRY_H_
