// Plots as inline SVG for a page that fetches nothing: lines over x, and groups of bars. Colours
// are those of the page's classes bar-0, line-0, legend-0 and so on.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_CLIENT_CLI_SVG_PLOT_H_
#define MERIDIAN_CLIENT_CLI_SVG_PLOT_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace meridian::cli {

// Text for HTML and SVG, also between quotes; what is no UTF-8 is replaced.
std::string HtmlEscape(std::string_view text);

struct PlotLabels {
  std::string title;
  std::string x;
  std::string y;
};

struct PlotLine {
  std::string name;
  std::vector<std::pair<double, double>> points = {};  // x ascends.
};

struct PlotBars {
  std::string name;
  std::vector<double> values;  // One a category; not negative.
};

// "" without points.
std::string LinePlot(const PlotLabels& labels, const std::vector<PlotLine>& lines);
// "" without categories.
std::string BarPlot(const PlotLabels& labels, const std::vector<std::string>& categories,
                    const std::vector<PlotBars>& groups);

// 1, 2 or 5 times a power of ten, not below `value`: where an axis ends.
double RoundUp(double value);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_SVG_PLOT_H_
