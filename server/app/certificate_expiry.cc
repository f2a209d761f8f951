#include "server/app/certificate_expiry.h"

#include <algorithm>

#include "server/l2/tls_certificates.h"

namespace meridian {

std::vector<CertificateFile> CertificateFilesOf(const RedisUrl& url) {
  std::vector<CertificateFile> files;
  if (!url.tls) return files;
  if (!url.tls->ca_file.empty()) files.push_back({url.tls->ca_file, /*authorities=*/true});
  if (!url.tls->certificate_file.empty()) files.push_back({url.tls->certificate_file});
  return files;
}

std::vector<CertificateFile> CertificateFilesOf(const TlsFiles& files) {
  if (files.empty()) return {};
  return {{files.authorities, /*authorities=*/true}, {files.certificate}};
}

std::map<std::string, absl::Time> CertificateExpiry::All() const {
  const absl::Duration now = clock_.Monotonic();
  {
    absl::MutexLock lock(&mu_);
    if (now - read_ < kKept) return ends_;
  }
  std::map<std::string, absl::Time> ends;
  for (const CertificateFile& one : files_()) {
    const absl::StatusOr<absl::Time> end =
        one.authorities ? AuthoritiesExpire(one.file) : ChainExpires(one.file);
    if (end.ok()) ends[one.file] = *end;
  }
  absl::MutexLock lock(&mu_);
  read_ = now;
  ends_ = std::move(ends);
  return ends_;
}

absl::Time CertificateExpiry::First() const {
  absl::Time first = absl::InfiniteFuture();
  for (const auto& [file, end] : All()) first = std::min(first, end);
  return first;
}

void CertificateExpiry::AddMetrics(MetricRegistry& registry) const {
  registry.AddGauges({"meridian_certificate_expiry_timestamp_seconds",
                      "When a certificate expires that this process uses, in seconds since 1970.",
                      {"file"}},
                     [this]() -> std::vector<MetricSample> {
                       std::vector<MetricSample> samples;
                       for (const auto& [file, end] : All()) {
                         samples.push_back({{file}, static_cast<double>(absl::ToUnixSeconds(end))});
                       }
                       return samples;
                     });
}

}  // namespace meridian
