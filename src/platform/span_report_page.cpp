#include "platform/span_report_page.h"

#include <fmt/format.h>

#include "platform/html_page.h"
#include "platform/tuning_findings_page.h"
#include "platform/tuning_plots.h"

namespace malina::platform {

namespace {

using tune::SpanMeasures;
using tune::SpanReport;
using tune::SpanRung;
using Rows = HtmlPage::Rows;

class Page {
 public:
  Page(const SpanReport& report, const tune::SpanRequest& request, const tune::SpanFacts& facts)
      : report_(report), request_(request), facts_(facts), page_(facts.name) {}

  std::string make() {
    summary();
    methods();
    calibration();
    std::optional<double> threshold;
    if (report_.calibration.abstention) threshold = report_.calibration.abstention->threshold;
    std::span<const eval::RiskCoveragePoint> test;
    if (report_.test) test = report_.test->answers.risk_coverage;
    add_coverage(page_, report_.after.risk_coverage, test, threshold);
    if (!report_.history.empty())
      add_training(page_, "Training of the adapter", report_.history, report_.losses,
                   request_.recipe, {.accuracy = "token accuracy", .f1 = "F1 of spans"});
    if (!report_.search.empty())
      add_search(page_, report_.search, request_.recipe.learning_rate, "F1 of spans");
    if (!report_.curves.empty()) add_curves(page_, report_.curves);
    if (report_.test) types();
    sources();
    return std::move(page_).finish();
  }

 private:
  void summary() {
    const SpanRung& chosen = report_.rungs[report_.chosen];
    page_.add("<h1>{}</h1>\n", foreign(facts_.name));
    page_.add("<p class=\"verdict\">Chosen: {}</p>\n<p>{}.</p>\n", tune::name(chosen.method),
              sentence(report_.reason));
    if (report_.refitted_rows)
      page_.add(
          "<p>It has then learned from all {} rows; calibration and what is said of validation "
          "rows "
          "are of the one before.</p>\n",
          grouped(*report_.refitted_rows));
    if (!report_.refitting_left_out.empty())
      page_.add("<p>A second training on all rows was left out: {}.</p>\n",
                escaped(report_.refitting_left_out));
    page_.begin_facts();
    page_.fact("types of spans", grouped(report_.types.size()));
    page_.fact("F1 of spans on validation rows", percent(chosen.validation.spans.f1()));
    page_.fact("wholly right of these", with_interval(chosen.validation.exact));
    if (report_.test) {
      page_.fact("F1 of spans on test rows", percent(report_.test->chosen.spans.f1()));
      page_.fact("wholly right of test rows", with_interval(report_.test->chosen.exact));
      if (report_.chosen != 0)
        page_.fact("the linear tagger there",
                   fmt::format("F1 {}, wholly right {}; McNemar's exact p = {:.3g}",
                               percent(report_.test->linear.spans.f1()),
                               with_interval(report_.test->linear.exact), report_.test->p_value));
    }
    page_.fact("answers", answered(report_.calibration.abstention, request_.target_accuracy,
                                   request_.guarantee, true));
    if (report_.test && report_.calibration.abstention)
      page_.fact("answers of test rows",
                 fmt::format("{}, {} of these wholly right", percent(report_.test->answered),
                             percent(report_.test->answered_exact)));
    page_.fact("made", escaped(facts_.created));
    page_.end_table();
  }

  void methods() {
    page_.add(
        "<h2>Methods</h2>\n<p>On {} rows that were not learned from, with 95 % intervals; p: "
        "against the linear tagger, of texts wholly right by McNemar's exact test, of wrong spans "
        "(missed, or found where there is none; mean of a text) by a paired t-test. The adapter is "
        "kept where more texts are right with p &lt; {}, or no fewer with less wrong spans.</p>\n",
        grouped(report_.validation_rows), request_.significance);
    Rows rows;
    for (std::size_t i = 0; i < report_.rungs.size(); ++i) {
      const SpanRung& rung = report_.rungs[i];
      const SpanMeasures& measures = rung.validation;
      rows.push_back(
          {std::string(tune::name(rung.method)) + (i == report_.chosen ? " <b>(kept)</b>" : ""),
           percent(measures.spans.f1()), percent(measures.spans.precision()),
           percent(measures.spans.recall()), percent(measures.exact.value),
           fmt::format("{} to {}", percent(measures.exact.interval.low),
                       percent(measures.exact.interval.high)),
           p_text(rung.p_value), fmt::format("{:.2f}", rung.errors), p_text(rung.errors_p_value),
           duration(rung.seconds)});
    }
    page_.table("Methods, cheapest first",
                {{"method"},
                 {"F1", true},
                 {"precision", true},
                 {"recall", true},
                 {"whole texts right", true},
                 {"interval", true},
                 {"p", true},
                 {"wrong spans", true},
                 {"p", true},
                 {"time", true}},
                rows);
  }

  void calibration() {
    page_.add(
        "<h2>Calibration</h2>\n<p>Temperature {:.3f}. Of whole answers; the expected calibration "
        "error is the mean distance between their probability and the share that is wholly right, "
        "over bins; few rows differ by chance, and by as much as it says if every probability were "
        "exactly right.</p>\n",
        report_.calibration.temperature);
    Rows rows;
    const auto row = [&](std::string_view name, const tune::SpanAnswers& answers) {
      rows.push_back({std::string(name), fmt::format("{:.4f}", answers.calibration_error),
                      fmt::format("{:.4f}", answers.error_by_chance),
                      fmt::format("{:.4f}", answers.risk_coverage_area)});
    };
    row("validation rows, before", report_.before);
    row("validation rows, after", report_.after);
    if (report_.test) row("test rows", report_.test->answers);
    page_.table("Measures of calibration; less is better",
                {{"rows"},
                 {"expected calibration error", true},
                 {"by chance", true},
                 {"area under risk and coverage", true}},
                rows);
    std::span<const eval::ReliabilityBin> test;
    if (report_.test) test = report_.test->answers.bins;
    add_reliability(page_, report_.before.bins, report_.after.bins, test);
  }

  void types() {
    page_.add_text("<h2>Types</h2>\n");
    Rows rows;
    for (const auto& type : report_.test->types)
      rows.push_back({foreign(type.name), grouped(type.spans.expected), grouped(type.spans.found),
                      percent(type.spans.precision()), percent(type.spans.recall()),
                      percent(type.spans.f1())});
    page_.table("How the spans of each type are found in the test rows",
                {{"type"},
                 {"spans", true},
                 {"found", true},
                 {"precision", true},
                 {"recall", true},
                 {"F1", true}},
                rows);
  }

  void sources() {
    DataSources sources{.training_rows = report_.training_rows,
                        .validation_rows = report_.validation_rows,
                        .test_rows = report_.test_rows,
                        .validation_from_training = report_.validation_from_training,
                        .training = report_.training_files,
                        .validation = report_.validation_files,
                        .test = report_.test_files,
                        .licence = report_.licence};
    add_data(page_, sources);
    page_.fact("spans that overlap a longer one", grouped(report_.overlapping));
    page_.fact("texts that were cut", fmt::format("{}, after {} tokens", grouped(report_.truncated),
                                                  grouped(request_.form.max_tokens)));
    add_origin(page_, report_.uses_adapter() ? facts_.base_name : "",
               report_.uses_adapter() ? facts_.base_digest : "", facts_.base_licence,
               facts_.version);
  }

  const SpanReport& report_;
  const tune::SpanRequest& request_;
  const tune::SpanFacts& facts_;
  HtmlPage page_;
};

}  // namespace

std::string span_report_page(const SpanReport& report, const tune::SpanRequest& request,
                             const tune::SpanFacts& facts) {
  return Page(report, request, facts).make();
}

}  // namespace malina::platform
