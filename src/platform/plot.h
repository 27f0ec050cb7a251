// Plots as SVG that stands in a page (html_page.h), with a text for those who cannot see them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace malina::platform {

struct PlotAxis {
  std::string name = {};
  double low = 0, high = 1;
  bool percent = false;      // ticks of shares: "40 %"
  bool logarithmic = false;  // low is above 0
};

struct PlotPoint {
  double x, y;
  std::optional<std::pair<double, double>> whisker = {};  // from, to, along y
};

enum class PlotMark { line, dots, line_and_dots };

struct PlotSeries {
  std::string name;  // in the legend; "": not there
  PlotMark mark = PlotMark::line;
  std::vector<PlotPoint> points;
  std::vector<PlotPoint> curve = {};  // a line in the same look, such as a law fitted to the points
};

struct Plot {
  std::string title;
  std::string description;  // what it shows, in a sentence
  PlotAxis x, y;
  std::vector<PlotSeries> series;  // four at most have a look of their own
  // Bars that stand on the x axis, a fifth as high as the plot at most: how many rows are there.
  struct Bar {
    double from, to, height;  // height: in any unit
    std::string text;         // shown by pointing at it
  };
  std::vector<Bar> bars = {};
  std::vector<std::pair<PlotPoint, PlotPoint>> guides = {};  // thin lines to compare with
  std::optional<std::pair<double, std::string>> mark = {};   // upright line at x, and what it is
  int width = 460, height = 320;
};

// All names and texts are escaped here.
std::string figure(const Plot& plot);

// Ticks at 1, 2 or 5 times a power of ten, within [low, high], about `count` of them. On a
// logarithmic axis powers of ten, with 2 and 5 times these where they are few.
std::vector<double> ticks(const PlotAxis& axis, std::size_t count);

// An axis that holds all of the values, from 0 where that is near.
PlotAxis axis_of(std::string name, std::span<const double> values);

}  // namespace malina::platform
