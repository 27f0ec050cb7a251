#!/usr/bin/env python3
"""Makes gradients/: what PyTorch's autograd gives, in double precision, for low-rank adapters on the
tiny models of families/ and tiny/.

    pip install -r requirements.txt && python3 make_gradients.py [NAME...]

Each linear layer of a block is W + SCALE * B A, with A and B by the formula below, and the loss is the
sum of next-token losses over two texts, every other position counted half. NAME.json holds the loss,
NAME.f32 the gradients: by layer and by projection (query, key, value, output, gate, up, down, those that
the model has) that of A [RANK, inputs], then that of B [outputs, RANK]. Matrices stand as malina has
them: fused ones split, rows of queries and keys of the llama architecture interleaved. Experts and
routers have no adapter.

NAME.weights.json and NAME.weights.f32 hold the gradients of the model's own weights, without an adapter
and with the same loss: of each tensor by its name in the GGUF file, in that file's order of rows, the
norm of all of it and the values at 0, step, 2 step, and so on. Models with experts have none.
"""

import json
import pathlib
import sys

import numpy as np
import torch

import make_tiny_families as families
import make_tiny_models as tiny

FOLDER = pathlib.Path(__file__).parent / "gradients"
RANK, SCALE = 2, 2.0
TEXTS = (11, 40)  # tokens
SAMPLED = 384  # values of a tensor's gradient that are kept, at most


def formula(salt, rows, columns):
    """Uniform numbers within +-0.1 that any language can make: the high 24 bits of a 32-bit product."""
    index = np.arange(rows * columns, dtype=np.uint64) + np.uint64(salt * 100003 + 1)
    mixed = (index * np.uint64(2654435761)) % np.uint64(2**32)
    mixed = ((mixed ^ (mixed >> np.uint64(15))) * np.uint64(2246822519)) % np.uint64(2**32)
    unit = (mixed >> np.uint64(8)).astype(np.float64) / 2**24
    return ((unit - 0.5) * 0.2).astype(np.float32).astype(np.float64).reshape(rows, columns)


def tokens(salt, count):
    return [(salt * 53 + i * 37 + i * i * 11) % 200 for i in range(count)]


class NoWriter:
    """Takes the tensors of a file that is not written: writing rounds the model's weights."""

    def __getattr__(self, name):
        return lambda *arguments, **named: None


def build(name):
    for number, family in enumerate(families.FAMILIES):
        if family.name == name:
            random = np.random.default_rng(2000 + number)
            model = families.build(family)
            families.randomise(family, model, random)
            with torch.no_grad():
                families.write_tensors(NoWriter(), family, model)
            return model, family.arch == families.ARCH.LLAMA
    for number, variant in enumerate(tiny.VARIANTS):
        if variant.name == name:
            random = np.random.default_rng(1000 + number)
            model = tiny.build(variant)
            tiny.randomise(model, random)
            with torch.no_grad():
                tiny.write_tensors(NoWriter(), variant, model, random)
            return model, True
    raise SystemExit(f"no model is called {name}")


def rows_of(model, permuted):
    """(projection, weight, its rows in malina's order) of each layer, in malina's order."""
    config = model.config
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads

    def order(count, of_heads):
        rows = np.arange(count)
        return tiny.permute(rows[:, None], of_heads)[:, 0] if permuted else rows

    for layer in model.model.layers:
        modules = dict(layer.named_modules())
        weight = {n.rsplit(".", 1)[-1]: m.weight for n, m in modules.items() if isinstance(m, torch.nn.Linear)}
        found = []
        if "qkv_proj" in weight:
            width = config.hidden_size // heads
            q, k = heads * width, kv_heads * width
            rows = np.arange(q + 2 * k)
            parts = (rows[:q], rows[q : q + k], rows[q + k :])
            found += [(weight["qkv_proj"], part) for part in parts]
        else:
            for name, of_heads in (("q_proj", heads), ("k_proj", kv_heads)):
                found.append((weight[name], order(weight[name].shape[0], of_heads)))
            found.append((weight["v_proj"], np.arange(weight["v_proj"].shape[0])))
        output = weight.get("o_proj", weight.get("dense"))
        found.append((output, np.arange(output.shape[0])))
        if "gate_up_proj" in weight:
            half = weight["gate_up_proj"].shape[0] // 2
            found += [(weight["gate_up_proj"], np.arange(half)), (weight["gate_up_proj"], np.arange(half, 2 * half))]
        else:
            for name in ("gate_proj", "up_proj", "fc1"):
                if name in weight:
                    found.append((weight[name], np.arange(weight[name].shape[0])))
        down = weight.get("down_proj", weight.get("fc2"))
        if down is not None:
            found.append((down, np.arange(down.shape[0])))
        yield found


def loss_of(model):
    loss = 0
    for salt, count in enumerate(TEXTS):
        ids = torch.tensor([tokens(salt, count)])
        logits = model(ids).logits[0, :-1]
        each = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        loss = loss + (each * torch.tensor([1.0 if i % 2 == 0 else 0.5 for i in range(count - 1)])).sum()
    return loss


def make(name):
    model, permuted = build(name)
    model = model.double()
    if hasattr(model.config, "num_local_experts"):
        model.set_experts_implementation("eager")  # the fused one has no double precision
    topk = torch.topk
    torch.topk = families.stable_topk if name == "mixtral_ties" else topk
    pairs = []
    with torch.no_grad():
        for layer in rows_of(model, permuted):
            for weight, rows in layer:
                a = torch.from_numpy(formula(2 * len(pairs), RANK, weight.shape[1]))
                b = torch.from_numpy(formula(2 * len(pairs) + 1, len(rows), RANK))
                weight[rows] += SCALE * b @ a
                pairs.append((weight, rows, a, b))
    loss = loss_of(model)
    torch.topk = topk
    loss.backward()
    values = []
    for weight, rows, a, b in pairs:
        gradient = weight.grad[rows]
        values += [SCALE * b.T @ gradient, SCALE * gradient @ a.T]
    flat = np.concatenate([value.detach().numpy().ravel() for value in values]).astype(np.float32)
    flat.tofile(FOLDER / f"{name}.f32")
    (FOLDER / f"{name}.json").write_text(
        json.dumps({"loss": loss.item(), "matrices": 2 * len(pairs), "values": flat.size}) + "\n"
    )
    print(f"{name}: loss {loss.item():.6f}, {flat.nbytes} bytes")


class Collector(NoWriter):
    """Takes the gradients of a model whose weights were replaced by them, under the file's names."""

    def __init__(self):
        self.tensors = {}

    def add_tensor(self, name, tensor, raw_dtype=None):
        self.tensors[name] = np.array(tensor, dtype=np.float64)


class AsItIs:
    """In place of the encodings of a file: nothing is rounded."""

    encode = staticmethod(lambda weight, kind, random: weight)
    decode = staticmethod(lambda data, kind: data)


def gradients_in_file_order(name, model):
    """Through the very code that writes the file, so that names and rows are the file's."""
    collector = Collector()
    for parameter in model.parameters():
        parameter.data = parameter.grad
    family = next((each for each in families.FAMILIES if each.name == name), None)
    with torch.no_grad():
        if family:
            families.half, rounded = lambda parameter: parameter.detach().numpy(), families.half
            families.write_tensors(collector, family, model)
            families.half = rounded
            if family.kind == "Gemma3":  # a file holds 1 + weight
                for tensor in collector.tensors.values():
                    if tensor.ndim == 1:
                        tensor -= 1
        else:
            variant = next(each for each in tiny.VARIANTS if each.name == name)
            tiny.tiny_blocks, blocks = AsItIs, tiny.tiny_blocks
            tiny.write_tensors(collector, variant, model, None)
            tiny.tiny_blocks = blocks
    return collector.tensors


def make_weights(name):
    model, _ = build(name)
    model = model.double()
    if hasattr(model.config, "num_local_experts"):
        return
    loss = loss_of(model)
    loss.backward()
    tensors, values = {}, []
    for tensor, gradient in gradients_in_file_order(name, model).items():
        step = -(-gradient.size // SAMPLED)
        step += 1 - step % 2  # odd: all columns come up
        kept = gradient.ravel()[::step]
        tensors[tensor] = {"size": gradient.size, "step": step, "norm": float(np.linalg.norm(gradient))}
        values.append(kept)
    flat = np.concatenate(values).astype(np.float32)
    flat.tofile(FOLDER / f"{name}.weights.f32")
    (FOLDER / f"{name}.weights.json").write_text(
        json.dumps({"loss": loss.item(), "values": flat.size, "tensors": tensors}) + "\n"
    )
    print(f"{name}: loss {loss.item():.6f}, {len(tensors)} tensors, {flat.nbytes} bytes of weights' gradients")


def main():
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    names = sys.argv[1:] or ["untied_f32", "window_8"] + [f.name for f in families.FAMILIES]
    for name in names:
        make(name)
        make_weights(name)


if __name__ == "__main__":
    main()
