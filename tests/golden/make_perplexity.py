#!/usr/bin/env python3
"""Makes perplexity/reference.json: the perplexity of perplexity/text.txt by Transformers in float32.

    python3 make_perplexity.py SmolLM2-135M-Instruct.Q4_1.gguf

The whole file is tokenised once, without special tokens; windows of 512 tokens follow each other, the
last one shorter; SmolLM2 adds no BOS. Every token of a window but its first is scored; the perplexity
is exp of the mean. `window_sums` are the sums of the negative natural log-probabilities per window,
`correct` the tokens of it that were also the likeliest; `standard_error` is the perplexity's (by the
delta method: perplexity · deviation of a token's score / √scored).
"""

import json
import math
import pathlib

import torch

import smollm2

FOLDER = pathlib.Path(__file__).parent / "perplexity"
WINDOW = 512


@torch.no_grad()
def main():
    path = smollm2.arguments(__doc__)
    model, text = smollm2.model(path), smollm2.Text(path)
    tokens = text.encode((FOLDER / "text.txt").read_text(encoding="utf-8"))
    scores, sums, correct = [], [], []
    for start in range(0, len(tokens), WINDOW):
        window = torch.tensor(tokens[start : start + WINDOW])
        logits = model(window[None]).logits[0, :-1]
        logprobs = logits.double().log_softmax(-1)
        losses = -logprobs[torch.arange(len(window) - 1), window[1:]]
        scores += losses.tolist()
        sums.append(round(float(losses.sum()), 6))
        correct.append(int((logits.argmax(-1) == window[1:]).sum()))
        print(f"{start + len(window)} of {len(tokens)}", flush=True)
    mean = sum(scores) / len(scores)
    deviation = math.sqrt(sum((s - mean) ** 2 for s in scores) / (len(scores) - 1))
    result = dict(
        sha256=smollm2.SHA256,
        perplexity=round(math.exp(mean), 8),
        mean=round(mean, 10),
        standard_error=round(math.exp(mean) * deviation / math.sqrt(len(scores)), 8),
        tokens=len(tokens),
        scored=len(scores),
        windows=len(sums),
        first_tokens=tokens[:32],
        window_sums=sums,
        correct=correct,
    )
    (FOLDER / "reference.json").write_text(json.dumps(result, indent=1) + "\n")
    print(result["perplexity"])


if __name__ == "__main__":
    main()
