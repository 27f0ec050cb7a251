#!/usr/bin/env python3
"""Has llama.cpp apply the GGUF adapters that malina writes of adapters/, and compares with PEFT.

    check_gguf_adapters.py MALINA LLAMA_SERVER

Run by hand; numpy is needed. For each golden adapter without a head `malina adapter export` makes a GGUF adapter,
llama-server reads the tiny base with it (keys and values in float32), and the probabilities of the next token are
compared with those of PEFT's own logits, after the whole golden prompt and after its first tokens. Where llama.cpp
and the reference differ on the base alone already (it rounds activations where weights are half precision, and
ignores the window of a llama), that is the measure: an adapter must not differ by more than LIMIT or thrice that.
A prompt within the window tells the rest.
"""

import json
import math
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import numpy as np

GOLDEN = pathlib.Path(__file__).parent
LIMIT = 2e-3  # of a log-probability
LEAST = -30  # log-probabilities that are compared: below it float32 has no digits left
PROMPTS = (3, 8, 24)  # tokens; the shortest window of the bases is 8


class NotLoaded(Exception):
    """llama-server ended: its own words."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, tokens, count):
    # Of an answer that is no text, such as half of a character, llama-server tells no probabilities. They are those
    # before sampling, so a temperature that makes answers differ changes nothing of them.
    for seed in range(1, 33):
        answer = ask_once(port, tokens, count, seed)
        if "completion_probabilities" in answer:
            top = answer["completion_probabilities"][0]["top_logprobs"]
            return {entry["id"]: entry["logprob"] for entry in top}
    raise SystemExit("llama-server tells no probabilities")


def ask_once(port, tokens, count, seed):
    body = {"prompt": tokens, "n_predict": 1, "n_probs": count, "temperature": 100.0, "top_k": 0, "top_p": 1.0,
            "min_p": 0.0, "samplers": ["temperature"], "seed": seed, "cache_prompt": False}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/completion", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def log_probabilities(server, base, adapter, tokens, count):
    port = free_port()
    options = ["--lora", str(adapter)] if adapter else []
    process = subprocess.Popen(
        [server, "-m", str(base), *options, "--port", str(port), "-c", "256", "-np", "1", "-ctk", "f32", "-ctv", "f32",
         "-t", "1", "--no-warmup", "-fa", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise NotLoaded(process.stderr.read().decode()[-2000:])
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                return ask(port, tokens, count)
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        raise SystemExit("llama-server did not start")
    finally:
        process.stderr.close()
        process.kill()
        process.wait()


def log_softmax(logits):
    shifted = logits.astype(float) - logits.max()
    return shifted - math.log(np.exp(shifted).sum())


def largest_difference(found, expected):
    """Over tokens that are not too unlikely; and their number."""
    likely = [i for i in found if expected[i] > LEAST]
    return max((abs(found[i] - expected[i]) for i in likely), default=0.0), len(likely)


def base_logits(base, count):
    """The first golden prompt of the base alone, [tokens, count]; and its tokens."""
    prompt = json.loads(base.with_suffix(".json").read_text())["prompts"][0]
    values = np.fromfile(base.with_suffix(".f32"), np.float32)[prompt["logits"]:]
    return values[:len(prompt["tokens"]) * count].reshape(-1, count), prompt["tokens"]


def main():
    malina, server = sys.argv[1:3]
    failures = 0
    for file in sorted((GOLDEN / "adapters").glob("*.json")):
        golden = json.loads(file.read_text())
        if golden["labels"]:
            continue
        base = next(p for p in (GOLDEN / f / f"{golden['model']}.gguf" for f in ("tiny", "families")) if p.exists())
        logits = np.fromfile(file.with_suffix(".f32"), np.float32).reshape(len(golden["tokens"]), -1)
        alone, base_tokens = base_logits(base, logits.shape[1])
        with tempfile.TemporaryDirectory() as folder:
            adapter = pathlib.Path(folder, "adapter.gguf")
            subprocess.run([malina, "adapter", "export", file.with_suffix(""), adapter, "--base", base], check=True,
                           stdout=subprocess.DEVNULL)
            try:
                log_probabilities(server, base, None, golden["tokens"], 1)
            except NotLoaded as error:
                reason = next((line for line in str(error).splitlines() if "error" in line), "")
                print(f"not compared: {file.stem}: llama.cpp does not load the base: {reason.split(' E ')[-1]}")
                continue
            noise = 0.0
            for length in PROMPTS:
                tokens = golden["tokens"][:length]
                count = logits.shape[1]
                expected = log_softmax(logits[length - 1])
                found, compared = largest_difference(log_probabilities(server, base, adapter, tokens, count), expected)
                change, _ = largest_difference(log_probabilities(server, base, None, tokens, count), expected)
                here, _ = largest_difference(
                    log_probabilities(server, base, None, base_tokens[:length], count),
                    log_softmax(alone[length - 1]))
                if here > 1:
                    print(f"not compared: {file.stem}, {length} tokens: the base alone differs by {here:.2g}")
                    continue
                noise = max(noise, here)
                limit = max(LIMIT, 3 * noise)
                bad = found > limit
                failures += bool(bad)
                print(f"{'BEYOND ' if bad else ''}{file.stem}, {length} tokens: {found:.2g} over {compared} "
                      f"(allowed {limit:.2g}; the base alone {noise:.2g}; the adapter changes up to {change:.2g})",
                      flush=True)
    print(f"{failures} beyond what is allowed")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
