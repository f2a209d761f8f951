// FakeFigureTransport keeps calls until the test answers them.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_FIGURES_FAKE_FIGURE_TRANSPORT_H_
#define MERIDIAN_TESTS_UNIT_SERVER_FIGURES_FAKE_FIGURE_TRANSPORT_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "server/figures/figure_transport.h"

namespace meridian {

class FakeFigureTransport final : public FigureTransport {
 public:
  struct Asked {
    std::string address;
    admin::v1::WhatIfRequest request;
    Done<admin::v1::WhatIfResponse> done;
  };

  void KeepOnly(const std::vector<std::string>& addresses) override { kept = addresses; }
  void GetFigures(const std::string& address, absl::Duration,
                  Done<admin::v1::GetFiguresResponse> done) override {
    asked.push_back(address);
    waiting[address] = std::move(done);
  }
  void WhatIf(const std::string& address, const admin::v1::WhatIfRequest& request, absl::Duration,
              Done<admin::v1::WhatIfResponse> done) override {
    what_ifs.push_back({address, request, std::move(done)});
  }
  void GetAnalytics(const std::string&, const std::string&, absl::Duration,
                    Done<admin::v1::GetAnalyticsResponse> done) override {
    done(analytics);
  }

  std::vector<std::string> kept;
  std::vector<std::string> asked;
  std::map<std::string, Done<admin::v1::GetFiguresResponse>> waiting;
  std::vector<Asked> what_ifs;
  absl::StatusOr<admin::v1::GetAnalyticsResponse> analytics = absl::UnavailableError("silent");
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_FIGURES_FAKE_FIGURE_TRANSPORT_H_
