#!/usr/bin/env python3
"""Writes eval/discriminant.json: what scikit-learn's linear discriminant analysis with a shrunken covariance
says of rows.

    pip install numpy==2.4.6 scikit-learn==1.9.1
    python tests/golden/discriminant_golden.py
"""
import json
import pathlib

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

OUTPUT = pathlib.Path(__file__).parent / "eval" / "discriminant.json"
CLASSES, EACH, WIDTH = 4, 6, 9

random = np.random.default_rng(20261130)
labels = np.repeat(np.arange(CLASSES), EACH)  # as many of each, so that the priors are equal
mixing = random.normal(size=(WIDTH, WIDTH))
rows = (random.normal(size=(CLASSES * EACH, WIDTH)) @ mixing + random.normal(size=(CLASSES, WIDTH))[labels]).astype(
    np.float32)
test = (random.normal(size=(5, WIDTH)) @ mixing).astype(np.float32)
answers = {}
for shrinkage in (0.1, 0.5, 1.0):
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(rows.astype(float), labels)
    answers[str(shrinkage)] = [[round(float(value), 9) for value in row]
                               for row in model.predict_proba(test.astype(float))]
OUTPUT.write_text(json.dumps({
    "rows": [[float(value) for value in row] for row in rows], "labels": labels.tolist(),
    "test": [[float(value) for value in row] for row in test], "probabilities": answers}) + "\n", encoding="utf-8")
