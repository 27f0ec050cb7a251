#include "platform/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "platform/html_page.h"

namespace malina::platform {

namespace {

constexpr double kLeft = 52, kRight = 26, kTop = 8, kBottom = 42, kLegend = 18;
constexpr std::size_t kLooks = 4;

std::string number(double value, const PlotAxis& axis) {
  if (axis.percent) return fmt::format("{:g} %", std::round(1e4 * value) / 100);
  if (std::abs(value) >= 10000 && value == std::floor(value))
    return grouped(static_cast<std::uint64_t>(std::abs(value)));
  return fmt::format("{:g}", std::round(1e6 * value) / 1e6);
}

class Drawing {
 public:
  explicit Drawing(const Plot& plot) : plot_(plot) {
    named_ = static_cast<std::size_t>(
        std::count_if(plot.series.begin(), plot.series.end(),
                      [](const PlotSeries& series) { return !series.name.empty(); }));
    if (named_ < 2) named_ = 0;  // one line needs no legend
  }

  std::string draw() {
    add("<figure><figcaption>{0}</figcaption><svg width=\"{1}\" height=\"{2:.0f}\" viewBox=\"0 0 "
        "{1} {2:.0f}\" role=\"img\" aria-label=\"{0}\"><desc>{3}</desc>\n",
        escaped(plot_.title), plot_.width, height(), escaped(plot_.description));
    axes();
    bars();
    for (const auto& [from, to] : plot_.guides)
      add("<line class=\"guide\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
          x(from.x), y(from.y), x(to.x), y(to.y));
    if (plot_.mark) mark();
    for (std::size_t i = 0; i < plot_.series.size(); ++i) series(plot_.series[i], i % kLooks + 1);
    legend();
    text_ += "</svg></figure>\n";
    return std::move(text_);
  }

 private:
  template <typename... Arguments>
  void add(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    text_ += fmt::format(format, std::forward<Arguments>(arguments)...);
  }

  double height() const { return plot_.height + kLegend * static_cast<double>(named_); }
  double bottom() const { return plot_.height - kBottom; }
  static double place(double value, const PlotAxis& axis) {
    if (axis.logarithmic)
      return std::log(std::max(value, axis.low) / axis.low) / std::log(axis.high / axis.low);
    return (value - axis.low) / (axis.high - axis.low);
  }
  double x(double value) const {
    return kLeft + place(value, plot_.x) * (plot_.width - kLeft - kRight);
  }
  double y(double value) const { return bottom() - place(value, plot_.y) * (bottom() - kTop); }

  void axes() {
    const double right = plot_.width - kRight;
    for (const double tick : ticks(plot_.y, 5))
      add("<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/><text "
          "x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
          kLeft, right, y(tick), kLeft - 6, y(tick) + 4, number(tick, plot_.y));
    for (const double tick : ticks(plot_.x, 6))
      add("<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/><text "
          "x=\"{0:.1f}\" y=\"{3:.1f}\" text-anchor=\"middle\">{4}</text>\n",
          x(tick), kTop, bottom(), bottom() + 16, number(tick, plot_.x));
    add("<line class=\"axis\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/><line "
        "class=\"axis\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{3:.1f}\" y2=\"{2:.1f}\"/>\n",
        kLeft, right, bottom(), kTop);
    add("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", (kLeft + right) / 2,
        bottom() + 34, escaped(plot_.x.name));
    add("<text transform=\"translate(11 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
        (kTop + bottom()) / 2, escaped(plot_.y.name));
  }

  void bars() {
    double most = 0;
    for (const Plot::Bar& bar : plot_.bars) most = std::max(most, bar.height);
    for (const Plot::Bar& bar : plot_.bars) {
      const double height = most > 0 ? (bottom() - kTop) / 5 * bar.height / most : 0;
      add("<rect class=\"area\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
          "height=\"{:.1f}\"><title>{}</title></rect>\n",
          x(bar.from) + 0.5, bottom() - height, std::max(x(bar.to) - x(bar.from) - 1, 0.5), height,
          escaped(bar.text));
    }
  }

  void mark() {
    const double place = x(plot_.mark->first);
    const bool late = place > plot_.width / 2.0;  // then its text stands before it
    add("<line class=\"mark\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/><text "
        "x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"{5}\">{6}</text>\n",
        place, kTop, bottom(), place + (late ? -5 : 5), kTop + 12, late ? "end" : "start",
        escaped(plot_.mark->second));
  }

  void series(const PlotSeries& series, std::size_t look) {
    if (series.mark != PlotMark::dots) line(series.points, look);
    line(series.curve, look);
    for (const PlotPoint& point : series.points) {
      if (point.whisker)
        add("<line class=\"whisker d{0}\" x1=\"{1:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" "
            "y2=\"{3:.1f}\"/>\n",
            look, x(point.x), y(point.whisker->first), y(point.whisker->second));
      if (series.mark == PlotMark::line && series.points.size() > 1) continue;
      dot(x(point.x), y(point.y), look,
          fmt::format("{}: {}", number(point.x, plot_.x), number(point.y, plot_.y)));
    }
  }

  void line(const std::vector<PlotPoint>& points, std::size_t look) {
    if (points.size() < 2) return;
    add("<polyline class=\"line s{}\" points=\"", look);
    for (const PlotPoint& point : points)
      add("{:.1f},{:.1f} ", x(point.x), y(std::clamp(point.y, plot_.y.low, plot_.y.high)));
    text_ += "\"/>\n";
  }

  // A circle, a square, a triangle, a diamond: they differ without colour.
  void dot(double x, double y, std::size_t look, const std::string& title) {
    switch (look) {
      case 1:
        add("<circle class=\"d1\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\">", x, y);
        break;
      case 2:
        add("<path class=\"d2\" d=\"M{:.1f} {:.1f}h7v7h-7z\">", x - 3.5, y - 3.5);
        break;
      case 3:
        add("<path class=\"d3\" d=\"M{:.1f} {:.1f}l4 7h-8z\">", x, y - 4);
        break;
      default:
        add("<path class=\"d4\" d=\"M{:.1f} {:.1f}l4 4l-4 4l-4 -4z\">", x, y - 4);
    }
    add("<title>{}</title></{}>\n", escaped(title), look == 1 ? "circle" : "path");
  }

  void legend() {
    if (named_ == 0) return;
    double top = plot_.height + 8;
    for (std::size_t i = 0; i < plot_.series.size(); ++i) {
      const PlotSeries& one = plot_.series[i];
      if (one.name.empty()) continue;
      const std::size_t look = i % kLooks + 1;
      if (one.mark != PlotMark::dots || !one.curve.empty())
        add("<line class=\"line s{0}\" x1=\"{1:.1f}\" x2=\"{2:.1f}\" y1=\"{3:.1f}\" "
            "y2=\"{3:.1f}\"/>",
            look, kLeft, kLeft + 30, top - 4);
      if (one.mark != PlotMark::line) dot(kLeft + 15, top - 4, look, one.name);
      add("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", kLeft + 38, top, escaped(one.name));
      top += kLegend;
    }
  }

  const Plot& plot_;
  std::size_t named_;
  std::string text_;
};

}  // namespace

std::string figure(const Plot& plot) { return Drawing(plot).draw(); }

std::vector<double> ticks(const PlotAxis& axis, std::size_t count) {
  std::vector<double> result;
  if (axis.logarithmic) {
    const bool few = axis.high / axis.low < 300;
    for (double power = std::pow(10, std::floor(std::log10(axis.low))); power <= axis.high;
         power *= 10)
      for (const double factor : {1.0, 2.0, 5.0})
        if ((few || factor == 1) && factor * power >= axis.low && factor * power <= axis.high)
          result.push_back(factor * power);
    return result;
  }
  const double wide = (axis.high - axis.low) / static_cast<double>(count);
  const double power = std::pow(10, std::floor(std::log10(wide)));
  const double step = wide <= 2 * power ? 2 * power : wide <= 5 * power ? 5 * power : 10 * power;
  const double slack = 1e-9 * step;  // what 0.1 leaves of rounding
  for (double i = std::ceil((axis.low - slack) / step); i * step <= axis.high + slack; ++i)
    result.push_back(i * step + 0.0);  // no -0
  return result;
}

PlotAxis axis_of(std::string name, std::span<const double> values) {
  PlotAxis axis{.name = std::move(name)};
  if (values.empty()) return axis;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  axis.low = *low, axis.high = *high;
  if (axis.low > 0 && axis.low < axis.high / 2) axis.low = 0;
  const double room = axis.high > axis.low ? (axis.high - axis.low) * 0.05 : 0.5;
  axis.high += room;
  if (axis.low != 0) axis.low -= room;
  return axis;
}

}  // namespace malina::platform
