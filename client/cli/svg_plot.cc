#include "client/cli/svg_plot.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/utf8.h"

namespace meridian::cli {
namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 260;
constexpr double kLeft = 64;
constexpr double kRight = 16;
constexpr double kTop = 28;
constexpr double kBottom = 44;
constexpr int kSteps = 4;  // Of the y axis.

std::string Number(double value) {
  return value < 1000 ? absl::StrFormat("%.4g", value) : absl::StrFormat("%.0f", value);
}
std::string At(double value) { return absl::StrFormat("%.1f", value); }

// From values to places on the picture.
struct Frame {
  double x_low = 0;
  double x_high = 1;
  double y_high = 1;

  double X(double x) const {
    const double width = kWidth - kLeft - kRight;
    return kLeft + (x_high > x_low ? (x - x_low) / (x_high - x_low) : 0.5) * width;
  }
  double Y(double y) const { return kHeight - kBottom - y / y_high * (kHeight - kTop - kBottom); }
};

std::string Text(double x, double y, std::string_view anchor, std::string_view text) {
  return absl::StrCat("<text x=\"", At(x), "\" y=\"", At(y), "\" text-anchor=\"",
                      std::string(anchor), "\">", HtmlEscape(text), "</text>");
}

std::string Begin(const PlotLabels& labels) {
  return absl::StrCat("<svg viewBox=\"0 0 ", kWidth, " ", kHeight, "\" role=\"img\" aria-label=\"",
                      HtmlEscape(labels.title), "\"><title>", HtmlEscape(labels.title), "</title>",
                      Text(kLeft, 16, "start", labels.y),
                      Text(kWidth - kRight, kHeight - 6, "end", labels.x));
}

// Lines across with their values.
std::string Grid(const Frame& frame) {
  std::string svg;
  for (int i = 0; i <= kSteps; ++i) {
    const double value = frame.y_high * i / kSteps;
    const std::string y = At(frame.Y(value));
    absl::StrAppend(&svg, "<line class=\"grid\" x1=\"", kLeft, "\" x2=\"", kWidth - kRight,
                    "\" y1=\"", y, "\" y2=\"", y, "\"/>",
                    Text(kLeft - 6, frame.Y(value) + 4, "end", Number(value)));
  }
  return svg;
}

// Names of the series, in their colours.
template <typename Series>
std::string Legend(const std::vector<Series>& all) {
  std::string svg;
  double x = kWidth - kRight;
  for (size_t i = all.size(); i-- > 0;) {
    absl::StrAppend(&svg, "<text class=\"legend-", i, "\" x=\"", At(x),
                    "\" y=\"16\" text-anchor=\"end\">", HtmlEscape(all[i].name), "</text>");
    x -= 8.0 * static_cast<double>(all[i].name.size()) + 16;
  }
  return svg;
}

}  // namespace

std::string HtmlEscape(std::string_view text) {
  const std::string clean = IsUtf8(text) ? std::string(text) : "(bytes)";
  std::string escaped;
  for (const char c : clean) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
    }
  }
  return escaped;
}

double RoundUp(double value) {
  if (!(value > 0)) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0, 10.0}) {
    if (value <= step * power * (1 + 1e-9)) return step * power;
  }
  return 10 * power;
}

std::string LinePlot(const PlotLabels& labels, const std::vector<PlotLine>& lines) {
  Frame frame;
  double y_most = 0;
  bool any = false;
  for (const PlotLine& line : lines) {
    for (const auto& [x, y] : line.points) {
      frame.x_low = any ? std::min(frame.x_low, x) : x;
      frame.x_high = any ? std::max(frame.x_high, x) : x;
      y_most = std::max(y_most, y);
      any = true;
    }
  }
  if (!any) return "";
  frame.y_high = RoundUp(y_most);
  std::string svg = absl::StrCat(Begin(labels), Grid(frame), Legend(lines));
  for (const double x : {frame.x_low, frame.x_high}) {
    absl::StrAppend(&svg, Text(frame.X(x), kHeight - kBottom + 18, "middle", Number(x)));
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].points.empty()) continue;
    std::string points;
    for (const auto& [x, y] : lines[i].points) {
      absl::StrAppend(&points, points.empty() ? "" : " ", At(frame.X(x)), ",", At(frame.Y(y)));
    }
    absl::StrAppend(&svg, "<polyline class=\"line-", i, "\" points=\"", points, "\"/>");
  }
  return svg + "</svg>";
}

std::string BarPlot(const PlotLabels& labels, const std::vector<std::string>& categories,
                    const std::vector<PlotBars>& groups) {
  if (categories.empty() || groups.empty()) return "";
  Frame frame;
  double y_most = 0;
  for (const PlotBars& bars : groups) {
    for (const double value : bars.values) y_most = std::max(y_most, value);
  }
  frame.y_high = RoundUp(y_most);
  std::string svg = absl::StrCat(Begin(labels), Grid(frame), Legend(groups));
  const double slot = (kWidth - kLeft - kRight) / static_cast<double>(categories.size());
  const double width = slot * 0.8 / static_cast<double>(groups.size());
  const size_t name_every = std::max<size_t>(1, categories.size() / 12);
  for (size_t c = 0; c < categories.size(); ++c) {
    const double left = kLeft + slot * (static_cast<double>(c) + 0.1);
    for (size_t g = 0; g < groups.size(); ++g) {
      if (c >= groups[g].values.size()) continue;
      const double value = groups[g].values[c];
      absl::StrAppend(&svg, "<rect class=\"bar-", g, "\" x=\"",
                      At(left + width * static_cast<double>(g)), "\" y=\"", At(frame.Y(value)),
                      "\" width=\"", At(width * 0.92), "\" height=\"",
                      At(frame.Y(0) - frame.Y(value)), "\"><title>", HtmlEscape(categories[c]),
                      ", ", HtmlEscape(groups[g].name), ": ", Number(value), "</title></rect>");
    }
    if (c % name_every == 0) {
      absl::StrAppend(&svg,
                      Text(left + slot * 0.4, kHeight - kBottom + 18, "middle", categories[c]));
    }
  }
  return svg + "</svg>";
}

}  // namespace meridian::cli
