// HttpGet fetches one page of a node or coordinator; MetricSum reads a number from /metrics.

#ifndef MERIDIAN_TESTS_SUPPORT_HTTP_PAGE_H_
#define MERIDIAN_TESTS_SUPPORT_HTTP_PAGE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace meridian {

struct HttpPage {
  int code = 0;
  std::string body;
};

// `address` is 127.0.0.1:port. Takes 5 s at most.
absl::StatusOr<HttpPage> HttpGet(const std::string& address, const std::string& path);

// Sum of all samples of `name` in Prometheus text whose labels contain every one of `labels`, such as
// `region="us"`. 0 when there is none.
double MetricSum(const std::string& text, const std::string& name,
                 const std::vector<std::string>& labels = {});

// The same from the /metrics of a process; 0 when it does not answer.
double FetchMetric(const std::string& http_address, const std::string& name,
                   const std::vector<std::string>& labels = {});

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_HTTP_PAGE_H_
