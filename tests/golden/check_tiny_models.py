#!/usr/bin/env python3
"""Checks tiny/ a second way: a plain float64 forward pass over what the GGUF files themselves say.

It shares no code with Transformers, pairs rotary values as GGUF's llama architecture does (2j, 2j+1),
and so proves that the files' permutation, keys and rope factors mean what the golden logits hold.
"""

import json
import pathlib
import sys

import gguf
import numpy as np

FOLDER = pathlib.Path(__file__).parent / "tiny"


class File:
    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.fields = {k: f.contents() for k, f in reader.fields.items()}
        self.tensors = {
            t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64)
            for t in reader.tensors
        }

    def key(self, name, default=None):
        return self.fields.get("llama." + name, default)


def norm(x, weight, epsilon):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * weight


def rotate(x, file, factors):
    """x: [tokens, heads, width]."""
    width = x.shape[-1]
    frequency = file.key("rope.freq_base", 1e4) ** (-np.arange(0, width, 2) / width) / factors
    if file.key("rope.scaling.type") == "linear":
        frequency = frequency / file.key("rope.scaling.factor")
    angle = np.arange(len(x))[:, None, None] * frequency
    even, odd = x[..., 0::2], x[..., 1::2]
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1).reshape(x.shape)


def attention(x, block, file, factors):
    heads, kv_heads = file.key("attention.head_count"), file.key("attention.head_count_kv")
    width = file.key("attention.key_length", x.shape[1] // heads)
    tokens = len(x)
    q = rotate((x @ block("attn_q").T).reshape(tokens, heads, width), file, factors)
    k = rotate((x @ block("attn_k").T).reshape(tokens, kv_heads, width), file, factors)
    v = (x @ block("attn_v").T).reshape(tokens, kv_heads, width)
    position = np.arange(tokens)
    distance = position[:, None] - position[None, :]
    visible = (distance >= 0) & (distance < file.key("attention.sliding_window", tokens))
    output = np.empty_like(q)
    for head in range(heads):
        shared = head * kv_heads // heads
        score = q[:, head] @ k[:, shared].T / np.sqrt(width)
        weight = np.exp(np.where(visible, score - score.max(-1, keepdims=True), -np.inf))
        output[:, head] = weight / weight.sum(-1, keepdims=True) @ v[:, shared]
    return output.reshape(tokens, -1) @ block("attn_output").T


def forward(file, tokens):
    """The logits, [tokens, vocab], and the states: the embeddings, after each layer, after the norm."""
    epsilon = file.key("attention.layer_norm_rms_epsilon")
    embedding = file.tensors["token_embd.weight"]
    factors = file.tensors.get("rope_freqs.weight", 1.0)
    x = embedding[tokens]
    states = [x]
    for layer in range(file.key("block_count")):
        block = lambda name: file.tensors[f"blk.{layer}.{name}.weight"]
        x = x + attention(norm(x, block("attn_norm"), epsilon), block, file, factors)
        y = norm(x, block("ffn_norm"), epsilon)
        gate = y @ block("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ block("ffn_up").T)) @ block("ffn_down").T
        states.append(x)
    x = norm(x, file.tensors["output_norm.weight"], epsilon)
    states.append(x)
    return x @ file.tensors.get("output.weight", embedding).T, np.stack(states)


def check(path):
    index = json.loads(path.read_text())
    values = np.fromfile(path.with_suffix(".f32"), dtype="<f4")
    file = File(path.with_suffix(".gguf"))
    worst = 0.0
    for prompt in index["prompts"]:
        logits, states = forward(file, prompt["tokens"])
        golden = values[prompt["logits"] :][: logits.size].reshape(logits.shape)
        worst = max(worst, np.abs(golden - logits).max())
        if "hidden" in prompt:
            golden = values[prompt["hidden"] :][: states.size].reshape(states.shape)
            worst = max(worst, np.abs(golden - states).max())
    share = worst / max(1.0, index["max_abs_logit"])
    print(f"{'ok  ' if share < 2e-5 else 'FAIL'} {index['name']}: max difference {worst:.2e} ({share:.1e})")
    return share < 2e-5


if __name__ == "__main__":
    results = [check(path) for path in sorted(FOLDER.glob("*.json"))]
    sys.exit(0 if results and all(results) else 1)
