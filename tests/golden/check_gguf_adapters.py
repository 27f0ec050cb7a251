#!/usr/bin/env python3
"""Has llama.cpp apply the GGUF adapters that malina writes of adapters/, and compares with PEFT.

    check_gguf_adapters.py MALINA LLAMA_SERVER

Run by hand. For each golden adapter without a head: `malina adapter export` makes a GGUF adapter, llama-server
reads the tiny base with it (keys and values in float32), and the probabilities of the token after the golden
prompt are compared with those of PEFT's own logits.
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
LIMIT = 2e-3  # of a log-probability; llama.cpp rounds activations where weights are half precision


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, tokens, count):
    body = {"prompt": tokens, "n_predict": 1, "n_probs": count, "temperature": 1.0, "top_k": 0, "top_p": 1.0,
            "min_p": 0.0, "samplers": ["temperature"], "seed": 1, "cache_prompt": False}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/completion", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        top = json.load(answer)["completion_probabilities"][0]["top_logprobs"]
    return {entry["id"]: entry["logprob"] for entry in top}


def log_probabilities(server, base, adapter, tokens, count):
    port = free_port()
    options = ["--lora", str(adapter)] if adapter else []
    process = subprocess.Popen(
        [server, "-m", str(base), *options, "--port", str(port), "-c", "256", "-np", "1", "-ctk", "f32", "-ctv", "f32",
         "-t", "1", "--no-warmup", "-fa", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit(process.stderr.read().decode()[-2000:])
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


def main():
    malina, server = sys.argv[1:3]
    worst = 0
    for file in sorted((GOLDEN / "adapters").glob("*.json")):
        golden = json.loads(file.read_text())
        if golden["labels"]:
            continue
        base = next(p for p in (GOLDEN / f / f"{golden['model']}.gguf" for f in ("tiny", "families")) if p.exists())
        logits = np.fromfile(file.with_suffix(".f32"), np.float32).reshape(len(golden["tokens"]), -1)[-1].astype(float)
        expected = logits - logits.max()
        expected -= math.log(np.exp(expected).sum())
        with tempfile.TemporaryDirectory() as folder:
            adapter = pathlib.Path(folder, "adapter.gguf")
            subprocess.run([malina, "adapter", "export", file.with_suffix(""), adapter, "--base", base], check=True,
                           stdout=subprocess.DEVNULL)
            found = log_probabilities(server, base, adapter, golden["tokens"], len(expected))
            without = log_probabilities(server, base, None, golden["tokens"], len(expected))
        likely = [i for i in found if expected[i] > -12]
        difference = max(abs(found[i] - expected[i]) for i in likely)
        change = max(abs(without[i] - expected[i]) for i in likely if i in without)
        worst = max(worst, difference)
        print(f"{file.stem}: {difference:.2g} over {len(likely)} tokens (the adapter changes up to {change:.2g})")
    print(f"largest difference of a log-probability: {worst:.2g} ({'within' if worst <= LIMIT else 'BEYOND'} {LIMIT})")
    sys.exit(worst > LIMIT)


if __name__ == "__main__":
    main()
