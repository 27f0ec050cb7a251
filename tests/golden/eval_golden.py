#!/usr/bin/env python3
"""Writes eval/statistics.json: what SciPy, statsmodels and scikit-learn compute of the statistics, metrics,
calibration measures and the linear baseline of src/eval.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 statsmodels==0.15.0
    python tests/golden/eval_golden.py
"""
import json
import pathlib

import numpy as np
from scipy import optimize, stats
from sklearn import metrics
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

OUTPUT = pathlib.Path(__file__).parent / "eval" / "statistics.json"
random = np.random.default_rng(20261129)


def numbers(values):
    return [float(value) for value in values]


def distributions():
    probabilities = [1e-12, 1e-6, 0.025, 0.3, 0.5, 0.8, 0.975, 0.999999]
    shapes = [(0.5, 0.5), (1, 3), (30, 2), (2.5, 400), (900, 1100)]
    return {
        "normal_quantile": [[p, stats.norm.ppf(p)] for p in probabilities],
        "normal_cdf": [[x, stats.norm.cdf(x)] for x in (-8, -3, -0.5, 0, 1, 4)],
        "beta_cdf": [[x, a, b, stats.beta.cdf(x, a, b)] for a, b in shapes for x in (0.003, 0.2, 0.5, 0.93)],
        "beta_quantile": [[p, a, b, stats.beta.ppf(p, a, b)] for a, b in shapes for p in (0.01, 0.5, 0.95)],
        "binomial_cdf": [[k, n, p, stats.binom.cdf(k, n, p)]
                         for k, n, p in ((0, 10, 0.5), (3, 10, 0.3), (40, 100, 0.5), (1480, 3080, 0.5))],
    }


def tests():
    pairs = [(0, 0), (1, 0), (5, 5), (3, 12), (20, 41), (200, 260), (0, 17)]
    p_values = [0.01, 0.04, 0.03, 0.005, 0.5, 0.04]
    intervals = [(0, 20), (20, 20), (7, 9), (186, 204), (2810, 3080)]
    return {
        "mcnemar": [[b, c, mcnemar([[0, b], [c, 0]], exact=True).pvalue if b + c else 1.0] for b, c in pairs],
        "paired_t": [[numbers(differences), float(stats.ttest_1samp(differences, 0).pvalue)]
                     for differences in ([0.1, -0.2], [0.3, 0.1, 0.2, 0.05, -0.1], [1.0, 1.0, 1.0, 1.5],
                                         [-0.02, 0.01, -0.03, -0.04, 0.0, -0.01, 0.02, -0.05] * 25)],
        "holm": [p_values, numbers(multipletests(p_values, method="holm")[1])],
        "wilson": [[k, n, level, *map(float, proportion_confint(k, n, 1 - level, "wilson"))]
                   for k, n in intervals for level in (0.9, 0.95)],
        # One-sided at 0.95 each: the two-sided interval of 0.9.
        "clopper_pearson": [[k, n, *map(float, proportion_confint(k, n, 0.1, "beta"))] for k, n in intervals],
    }


def answers(rows, classes, accuracy):
    expected = random.integers(0, classes, rows)
    given = []
    for share in accuracy:
        wrong = random.random(rows) > share
        given.append(np.where(wrong, random.integers(0, classes, rows), expected))
    return expected, given


def f1(expected, given):
    return metrics.f1_score(expected, given, average="macro", zero_division=0)


def comparisons():
    expected, (first, second) = answers(300, 6, (0.7, 0.78))
    right_first, right_second = (first == expected).astype(float), (second == expected).astype(float)
    accuracy = stats.bootstrap((right_second, right_first), lambda a, b, axis=-1: a.mean(axis) - b.mean(axis),
                               paired=True, vectorized=True, n_resamples=100000, method="BCa", rng=random)
    index = np.arange(300)
    macro = stats.bootstrap((index,), lambda i: f1(expected[i], second[i]) - f1(expected[i], first[i]),
                            vectorized=False, n_resamples=4000, method="BCa", rng=random)
    # Swapped row by row, far enough to know p to about 0.002.
    seen = abs(f1(expected, second) - f1(expected, first))
    as_far = 0
    for _ in range(20000):
        swap = random.random(300) < 0.5
        as_far += abs(f1(expected, np.where(swap, first, second)) -
                      f1(expected, np.where(swap, second, first))) >= seen - 1e-12
    return {
        "expected": expected.tolist(), "first": first.tolist(), "second": second.tolist(),
        "accuracy": [metrics.accuracy_score(expected, first), metrics.accuracy_score(expected, second)],
        "macro_f1": [f1(expected, first), f1(expected, second)],
        "accuracy_interval": numbers(accuracy.confidence_interval),
        "macro_f1_interval": numbers(macro.confidence_interval),
        "macro_f1_p": (1 + as_far) / 20001,
    }


def calibration():
    rows, classes = 250, 5
    logits = random.normal(0, 2, (rows, classes))
    labels = np.array([random.choice(classes, p=np.exp(row / 1.7) / np.exp(row / 1.7).sum()) for row in logits])
    table = np.round(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), 6)
    table[:, 0] += 1 - table.sum(1)

    def loss(log_t):
        scaled = np.log(table) / np.exp(log_t)
        return -(scaled[np.arange(rows), labels] - np.log(np.exp(scaled).sum(1))).mean()

    confidence, answer = table.max(1), table.argmax(1)
    right = answer == labels
    bin_of = np.clip(np.ceil(confidence * 15) - 1, 0, 14).astype(int)
    ece = sum(abs(right[bin_of == b].mean() - confidence[bin_of == b].mean()) * (bin_of == b).mean()
              for b in range(15) if (bin_of == b).any())
    order = np.argsort(-confidence, kind="stable")
    risks = np.cumsum(~right[order]) / np.arange(1, rows + 1)
    scores = 1 - table[np.arange(rows), labels]
    return {
        "labels": labels.tolist(), "table": numbers(np.round(table, 9).ravel()), "classes": classes,
        "temperature": float(np.exp(optimize.minimize_scalar(loss, bounds=(-3, 3), method="bounded",
                                                             options={"xatol": 1e-10}).x)),
        "nll": metrics.log_loss(labels, table, labels=range(classes)),
        "brier": float(((table - np.eye(classes)[labels]) ** 2).sum(1).mean()),
        "ece": float(ece), "risk_coverage_area": float(risks.mean()),
        "conformal_quantile": float(np.quantile(scores, np.ceil(251 * 0.9) / 250, method="inverted_cdf")),
        "auroc_of_right": metrics.roc_auc_score(right, confidence),
    }


def baseline():
    words = ["karta", "Karty", "účet", "platba", "payment", "lost", "late", "kde", "je", "my"]
    texts, labels = [], []
    for i in range(90):
        label = int(random.integers(0, 3))
        # Spaces and letters at which both normalisations agree.
        texts.append(" ".join(words[int(random.integers(0, 10)) if random.random() < 0.5 else label * 3 + j % 3]
                              for j in range(int(random.integers(3, 8)))))
        labels.append(f"label {label}")
    features = FeatureUnion([
        ("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")),
        ("characters", TfidfVectorizer(analyzer="char", ngram_range=(2, 5), sublinear_tf=True))])
    rows = features.fit_transform(texts[:60])
    model = OneVsRestClassifier(LogisticRegression(C=5, solver="liblinear", tol=1e-8, max_iter=1000))
    model.fit(rows, labels[:60])
    unseen = features.transform(texts[60:])
    logits = np.stack([one.decision_function(unseen) for one in model.estimators_], axis=1)
    return {
        "train": texts[:60], "labels": labels[:60], "test": texts[60:], "cost": 5, "terms": int(rows.shape[1]),
        # A row's weights in falling order: which column is whose does not matter.
        "rows": [sorted(numbers(np.round(unseen[i].toarray()[0][unseen[i].toarray()[0] > 0], 7)), reverse=True)
                 for i in range(3)],
        "logits": [numbers(np.round(row, 7)) for row in logits],
        "probabilities": [numbers(np.round(row, 7)) for row in model.predict_proba(unseen)],
    }


def power_law():
    rows = np.array([120, 250, 500, 1000, 2000, 4000.0])
    errors = 2.1 * rows ** -0.45 + 0.04 + random.normal(0, 0.004, 6)
    weights = np.array([800, 900, 1000, 1500, 2000, 2500.0])
    fitted, _ = optimize.curve_fit(lambda n, a, b, c: a * n ** -b + c, rows, errors, p0=(1, 0.5, 0.01),
                                   sigma=weights ** -0.5, bounds=([0, 0.05, 0], [np.inf, 2, 1]), ftol=1e-15,
                                   xtol=1e-15, gtol=1e-15, max_nfev=100000)
    return {"rows": numbers(rows), "errors": numbers(errors), "weights": numbers(weights), "fitted": numbers(fitted)}


values = {"distributions": distributions(), "tests": tests(), "comparison": comparisons(),
          "calibration": calibration(), "baseline": baseline(), "power_law": power_law()}
OUTPUT.parent.mkdir(exist_ok=True)
OUTPUT.write_text(json.dumps(values, ensure_ascii=False, default=float) + "\n", encoding="utf-8")
