#include "platform/tuning_report_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "platform/html_page.h"
#include "platform/tuning_findings_page.h"
#include "platform/tuning_plots.h"

namespace malina::platform {

namespace {

using tune::Rung;
using tune::TuningReport;
using Rows = HtmlPage::Rows;

class Page {
 public:
  Page(const TuningReport& report, const tune::TuningRequest& request,
       const tune::ManifestFacts& facts)
      : report_(report), request_(request), facts_(facts), page_(facts.name) {}

  std::string make() {
    summary();
    ladder();
    calibration();
    coverage();
    if (!report_.history.empty())
      add_training(page_, "Training of the adapter", report_.history, report_.losses,
                   request_.recipe);
    if (!report_.label_history.empty())
      add_training(page_, "Training of the adapter that writes labels", report_.label_history,
                   report_.label_losses, report_.label_recipe.value());
    if (!report_.search.empty()) add_search(page_, report_.search, request_.recipe.learning_rate);
    if (!report_.curves.empty()) add_curves(page_, report_.curves);
    labels();
    if (!report_.suspected.empty()) add_suspected(page_, report_);
    sources();
    return std::move(page_).finish();
  }

 private:
  void summary() {
    page_.add("<h1>{}</h1>\n", foreign(facts_.name));
    page_.add("<p class=\"verdict\">Chosen: {}</p>\n<p>{}.</p>\n",
              tune::name(report_.chosen_rung().members), sentence(report_.reason));
    page_.begin_facts();
    page_.fact("labels", grouped(report_.labels.size()));
    page_.fact("right on validation rows",
               with_interval(report_.chosen_rung().validation.accuracy));
    if (report_.test) {
      page_.fact("right on test rows", with_interval(report_.test->chosen.accuracy));
      if (report_.chosen != 0)
        page_.fact(
            "the linear baseline there",
            fmt::format("{}; McNemar's exact p = {:.3g}",
                        with_interval(report_.test->linear.accuracy), report_.test->p_value));
    }
    if (report_.scope)
      scope();
    else
      page_.fact("answers",
                 answered(report_.calibration.abstention, request_.calibration.target_accuracy,
                          request_.calibration.guarantee, false));
    page_.fact("made", escaped(facts_.created));
    page_.end_table();
  }

  void scope() {
    const auto& label = report_.labels[*report_.calibration.out_of_scope];
    const auto fact = [&](const char* rows, const eval::ScopeMeasures& scope) {
      page_.fact(
          fmt::format("out of scope, on {} rows", rows),
          fmt::format("{} of the texts of '{}' get no answer, {} of the others the right one",
                      percent(scope.recall), escaped(label), percent(scope.accuracy)));
    };
    fact("validation", *report_.scope);
    if (report_.test && report_.test->scope) fact("test", *report_.test->scope);
    page_.fact("abstains", fmt::format("where its probability is below {:.3f}",
                                       report_.calibration.abstention->threshold));
  }

  void ladder() {
    page_.add(
        "<h2>Methods</h2>\n<p>On rows that were not learned from{}, with 95 % intervals; p: "
        "against the linear baseline on the same rows, of answers by McNemar's exact test, of "
        "probabilities (Brier score, the less the better) by a paired t-test. From the cheapest "
        "on, "
        "each gives way to the cheapest dearer one that beats it with p &lt; {} in answers, or in "
        "probabilities with no fewer right; one that is always right stays.</p>\n",
        report_.rungs.front().all.rows() > 0
            ? " (so few are measured in turn: each is answered by a model that learned from others)"
            : "",
        request_.significance);
    Rows rows;
    for (std::size_t i = 0; i < report_.rungs.size(); ++i) {
      const Rung& rung = report_.rungs[i];
      rows.push_back({tune::name(rung.members) + (i == report_.chosen ? " <b>(kept)</b>" : ""),
                      grouped(rung.rows), percent(rung.validation.accuracy.value),
                      fmt::format("{} to {}", percent(rung.validation.accuracy.interval.low),
                                  percent(rung.validation.accuracy.interval.high)),
                      bar(rung.validation.accuracy), percent(rung.validation.macro_f1),
                      p_text(rung.p_value), fmt::format("{:.3f}", rung.brier),
                      p_text(rung.brier_p_value), duration(rung.seconds)});
    }
    page_.table("Methods, cheapest first",
                {{"method"},
                 {"rows", true},
                 {"right", true},
                 {"interval", true},
                 {"0 to 100 %"},
                 {"macro F1", true},
                 {"p", true},
                 {"Brier", true},
                 {"p", true},
                 {"time", true}},
                rows);
    if (!report_.retraining_left_out.empty())
      page_.add("<p>A second training on all rows was left out: {}.</p>\n",
                escaped(report_.retraining_left_out));
    if (report_.retrained)
      page_.add(
          "<p>Its adapter has then learned from all {} rows, for {} epochs; calibration and what "
          "is said of validation rows are of the one before.</p>\n",
          report_.retrained->rows, report_.retrained->epochs);
    if (!report_.labels_left_out.empty())
      page_.add("<p>Writing labels was left out: {}.</p>\n", escaped(report_.labels_left_out));
  }

  // --- how far probabilities can be believed ---

  void calibration() {
    page_.add(
        "<h2>Calibration</h2>\n<p>Temperature {:.3f}. The expected calibration error is the mean "
        "distance between confidence and the share that is right, over bins; few rows differ by "
        "chance, and by as much as it says if every confidence were exactly right.</p>\n",
        report_.calibration.temperature);
    Rows rows;
    const auto row = [&](std::string_view name, const eval::CalibrationMeasures& measures) {
      rows.push_back({std::string(name), fmt::format("{:.4f}", measures.expected_calibration_error),
                      fmt::format("{:.4f}", measures.calibration_error_by_chance),
                      fmt::format("{:.4f}", measures.brier),
                      fmt::format("{:.4f}", measures.negative_log_likelihood),
                      fmt::format("{:.4f}", measures.risk_coverage_area)});
    };
    row("validation rows, before", report_.before);
    row("validation rows, after", report_.after);
    if (report_.test) row("test rows", report_.test->measures);
    page_.table("Measures of calibration; less is better",
                {{"rows"},
                 {"expected calibration error", true},
                 {"by chance", true},
                 {"Brier score", true},
                 {"negative log-likelihood", true},
                 {"area under risk and coverage", true}},
                rows);
    std::span<const eval::ReliabilityBin> test;
    if (report_.test) test = report_.test->measures.bins;
    add_reliability(page_, report_.before.bins, report_.after.bins, test);
    page_.add(
        "<p>Sets that are to hold the right label for {} of texts keep every label of a "
        "probability of at least {:.4f}",
        percent(report_.calibration.conformal_coverage),
        1 - report_.calibration.conformal_quantile);
    if (report_.test)
      page_.add("; on test rows {} of them hold it, with {:.2f} labels on average",
                percent(report_.test->set_coverage), report_.test->set_size);
    page_.add_text(".</p>\n");
  }

  void coverage() {
    // With a label that is out of scope there is more to abstaining than a threshold.
    std::optional<double> threshold;
    if (report_.calibration.abstention && !report_.calibration.out_of_scope)
      threshold = report_.calibration.abstention->threshold;
    std::span<const eval::RiskCoveragePoint> test;
    if (report_.test) test = report_.test->answers.risk_coverage;
    add_coverage(page_, report_.answers.risk_coverage, test, threshold);
  }

  // --- labels ---

  void labels() {
    page_.add("<h2>Labels</h2>\n<p>Of the {} rows, the hardest first.</p>\n",
              report_.test ? "test" : "validation");
    const tune::AnswerReport& answers = report_.test ? report_.test->answers : report_.answers;
    std::vector<std::size_t> order(answers.classes.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    // Of one that no row bears and no answer was, nothing is known.
    const auto is_known = [&](std::size_t i) {
      return answers.classes[i].rows + answers.classes[i].predicted > 0;
    };
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      if (is_known(a) != is_known(b)) return is_known(a);
      return answers.classes[a].f1 < answers.classes[b].f1;
    });
    Rows rows;
    for (const std::size_t i : order) {
      const eval::ClassScore& score = answers.classes[i];
      if (!is_known(i)) {
        rows.push_back({foreign(report_.labels[i]), "0", "0", "–", "–", "–"});
        continue;
      }
      rows.push_back({foreign(report_.labels[i]), grouped(score.rows), grouped(score.predicted),
                      percent(score.precision), percent(score.recall), percent(score.f1)});
    }
    page_.table("How each label is found",
                {{"label"},
                 {"rows", true},
                 {"answered", true},
                 {"precision", true},
                 {"recall", true},
                 {"F1", true}},
                rows);
    if (answers.confusions.empty()) return;
    rows.clear();
    for (const eval::Confusion& pair : answers.confusions)
      rows.push_back({foreign(report_.labels[pair.expected]),
                      foreign(report_.labels[pair.predicted]), grouped(pair.rows)});
    page_.add_text("<h3>Taken for another</h3>\n");
    page_.table("The most confused labels", {{"label"}, {"answer"}, {"rows", true}}, rows);
  }

  // --- where it comes from ---

  void sources() {
    add_data(page_, {.training_rows = report_.training_rows,
                     .validation_rows = report_.validation_rows,
                     .test_rows = report_.test_rows,
                     .validation_from_training = report_.validation_from_training,
                     .training = report_.training_files,
                     .validation = report_.validation_files,
                     .test = report_.test_files,
                     .licence = report_.licence});
    page_.fact("texts that were cut", fmt::format("{}, after {} tokens", grouped(report_.truncated),
                                                  grouped(request_.form.max_tokens)));
    add_origin(page_, facts_.base_name, facts_.base_digest, facts_.base_licence, facts_.version);
  }

  const TuningReport& report_;
  const tune::TuningRequest& request_;
  const tune::ManifestFacts& facts_;
  HtmlPage page_;
};

}  // namespace

std::string tuning_report_page(const TuningReport& report, const tune::TuningRequest& request,
                               const tune::ManifestFacts& facts) {
  return Page(report, request, facts).make();
}

}  // namespace malina::platform
