#include "server/policy/origin_fields.h"

#include <algorithm>
#include <string>

#include "server/policy/field_values.h"

namespace meridian {
namespace {

// host:port; the host is a name, an IPv4 address or an IPv6 address in brackets.
absl::Status SetOriginAddress(const std::string& text, PolicyDraft* draft) {
  const size_t colon = text.rfind(':');
  const std::string host = text.substr(0, colon == std::string::npos ? 0 : colon);
  const bool prints =
      std::all_of(host.begin(), host.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  const bool plain = host.find_first_of("/@") == std::string::npos;
  const bool bracketed = !host.empty() && host.front() == '[' && host.back() == ']';
  if (host.empty() || !prints || !plain || (host.find(':') != std::string::npos && !bracketed) ||
      !ParseInteger(text.substr(colon + 1), 1, 65535).ok()) {
    return Bad(text, "host:port");
  }
  draft->policy.origin.address = text;
  return absl::OkStatus();
}

absl::Status SetOriginCaFile(const std::string& text, PolicyDraft* draft) {
  if (text.empty()) return absl::InvalidArgumentError("names no file");
  draft->policy.origin.ca_file = text;
  return absl::OkStatus();
}

}  // namespace

std::vector<PolicyField> OriginFields() {
  return {
      {"origin.address", "", "host:port",
       "Values that no tier has are loaded from this `OriginService`; empty: they are misses",
       "3-08, 4-01", SetOriginAddress, nullptr, nullptr,
       MERIDIAN_GET(QuotedUnlessEmpty(policy.origin.address))},
      {"origin.tls", "false", "true, false", "The origin is spoken to over TLS", "",
       MERIDIAN_SET(ReadBool(text, &policy.origin.tls)), nullptr, nullptr,
       MERIDIAN_GET(BoolText(policy.origin.tls))},
      {"origin.ca_file", "", "a PEM file",
       "Authorities that the origin's certificate is checked against; needs `tls: true`; empty: "
       "those of the system",
       "", SetOriginCaFile, nullptr, nullptr,
       MERIDIAN_GET(QuotedUnlessEmpty(policy.origin.ca_file))},
      {"origin.timeout", "1s", "1ms..60s",
       "A load that takes longer has failed, waiting in the node and all attempts included", "",
       MERIDIAN_SET(ReadShort(text, kShortest, &policy.origin.timeout)), nullptr, nullptr,
       MERIDIAN_GET(DurationText(policy.origin.timeout))},
      {"origin.soft_timeout", "50ms", "0..60s",
       "After this a caller who allows it (`max_stale`) is given the old value, and the load goes "
       "on; 0: at once",
       "", MERIDIAN_SET(ReadShort(text, absl::ZeroDuration(), &policy.origin.soft_timeout)),
       nullptr, nullptr, MERIDIAN_GET(DurationText(policy.origin.soft_timeout))},
      {"origin.concurrency", "16", "1..1000", "Calls to the origin at a time, of one node", "",
       MERIDIAN_SET(ReadCount(text, 1, 1000, &policy.origin.concurrency)), nullptr, nullptr,
       MERIDIAN_GET(absl::StrCat(policy.origin.concurrency))},
      {"origin.batch_window", "1ms", "0..1s", "A key waits so long for others to be loaded with it",
       "", MERIDIAN_SET(ReadShort(text, absl::ZeroDuration(), &policy.origin.batch_window)),
       nullptr, nullptr, MERIDIAN_GET(DurationText(policy.origin.batch_window))},
      {"origin.batch_size", "100", "1..1000", "Keys of one call to the origin, at most", "",
       MERIDIAN_SET(ReadCount(text, 1, 1000, &policy.origin.batch_size)), nullptr, nullptr,
       MERIDIAN_GET(absl::StrCat(policy.origin.batch_size))},
      {"origin.rate", "0", "0..1000000",
       "Keys a second that one node loads, also when it asks again; more wait; 0: as many as come", "",
       MERIDIAN_SET(ReadCount(text, 0, 1'000'000, &policy.origin.rate)), nullptr, nullptr,
       MERIDIAN_GET(absl::StrCat(policy.origin.rate))},
      {"origin.retries", "1", "0..5",
       "A call that the origin did not take (`UNAVAILABLE`) is made again so often, within "
       "`timeout`",
       "", MERIDIAN_SET(ReadCount(text, 0, 5, &policy.origin.retries)), nullptr, nullptr,
       MERIDIAN_GET(absl::StrCat(policy.origin.retries))},
      {"origin.negative_ttl", "10s", "0..365d",
       "How long it is remembered that the origin does not have a key, or that there is nothing to "
       "fill it with (`absent`, also without an origin); 0: not at all",
       "", MERIDIAN_SET(ReadDuration(text, absl::ZeroDuration(), &policy.origin.negative_ttl)),
       nullptr, nullptr, MERIDIAN_GET(DurationText(policy.origin.negative_ttl))},
      {"lease_ttl", "10s", "1ms..60s",
       "How long a caller who was given a lease (`want_lease`) may take to fill the key", "",
       MERIDIAN_SET(ReadShort(text, kShortest, &policy.lease_ttl)), nullptr, nullptr,
       MERIDIAN_GET(DurationText(policy.lease_ttl))},
  };
}

}  // namespace meridian
