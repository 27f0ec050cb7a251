#!/usr/bin/env python3
"""Makes families/: a tiny random model of every family beside Llama, and what Transformers computes.

    pip install -r requirements.txt && python3 make_tiny_families.py [NAME...]

The files are those of make_tiny_models.py (which see): NAME.gguf, NAME.json, NAME.f32. All weights are
half precision, as the file holds them, except norms, biases and routers; the arithmetic is float32.
"""

import json
import pathlib
import sys
from dataclasses import dataclass, field

import gguf
import numpy as np
import torch
import transformers

import make_tiny_models as base
import tiny_vocabulary

FOLDER = pathlib.Path(__file__).parent / "families"
ARCH = gguf.MODEL_ARCH
COMMON = dict(
    vocab_size=tiny_vocabulary.SIZE,
    hidden_size=64,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    bos_token_id=tiny_vocabulary.SIZE - 3,
    eos_token_id=tiny_vocabulary.SIZE - 1,
    pad_token_id=None,
)
GEMMA = dict(
    hidden_size=96, num_attention_heads=3, num_key_value_heads=1, head_dim=32, num_hidden_layers=7,
    query_pre_attn_scalar=32, sliding_window=8, rms_norm_eps=1e-6, tie_word_embeddings=True,
)  # fmt: skip
LOCAL = dict(rope_type="default", rope_theta=1e4)


@dataclass
class Family:
    name: str
    kind: str  # of transformers: KIND + "Config", KIND + "ForCausalLM"
    arch: int
    config: dict = field(default_factory=dict)
    tokens: int = 40
    hidden: bool = False


FAMILIES = [
    Family("qwen2", "Qwen2", ARCH.QWEN2, dict(tie_word_embeddings=True, rms_norm_eps=1e-6)),
    Family(
        "qwen3", "Qwen3", ARCH.QWEN3,
        dict(head_dim=32, tie_word_embeddings=False, rms_norm_eps=1e-6, hidden_act="silu"),
    ),
    Family(
        "phi2", "Phi", ARCH.PHI2,
        dict(num_key_value_heads=4, layer_norm_eps=1e-5, hidden_act="gelu_new", tie_word_embeddings=False,
             rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5)),
    ),
    Family("phi3", "Phi3", ARCH.PHI3, dict(sliding_window=8, tie_word_embeddings=False)),
    Family(
        "phi3_long", "Phi3", ARCH.PHI3,
        dict(sliding_window=None, tie_word_embeddings=False, original_max_position_embeddings=32,
             rope_parameters=dict(
                 rope_type="longrope", rope_theta=1e4, original_max_position_embeddings=32,
                 short_factor=[1 + 0.05 * j for j in range(8)],
                 long_factor=[1.5 + 0.7 * j for j in range(8)])),
    ),
    Family(
        "mixtral", "Mixtral", ARCH.LLAMA,
        dict(num_local_experts=4, num_experts_per_tok=2, sliding_window=None, tie_word_embeddings=False,
             rope_parameters=dict(rope_type="default", rope_theta=1e6)),
    ),
    # Experts 1 and 3 have the same scores. PyTorch's topk leaves open which of them is taken; the lowest
    # index is the rule of this project, so here topk is a stable sort.
    Family(
        "mixtral_ties", "Mixtral", ARCH.LLAMA,
        dict(num_local_experts=4, num_experts_per_tok=2, sliding_window=None, tie_word_embeddings=False,
             num_hidden_layers=1, rope_parameters=dict(rope_type="default", rope_theta=1e6)),
    ),
    Family(
        "gemma3", "Gemma3", ARCH.GEMMA3,
        GEMMA | dict(rope_parameters=dict(
            full_attention=dict(rope_type="default", rope_theta=1e6), sliding_attention=LOCAL)),
        tokens=48,
    ),
    Family(
        "gemma3_scaled", "Gemma3", ARCH.GEMMA3,
        GEMMA | dict(sliding_window=64, rope_parameters=dict(
            full_attention=dict(rope_type="linear", rope_theta=1e6, factor=8.0), sliding_attention=LOCAL)),
    ),
    Family(
        "stablelm", "StableLm", ARCH.STABLELM,
        dict(layer_norm_eps=1e-5, use_qkv_bias=True, use_parallel_residual=False, tie_word_embeddings=False,
             rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.25)),
    ),
]  # fmt: skip


def build(family):
    suffix = "TextConfig" if family.kind == "Gemma3" else "Config"
    config = getattr(transformers, family.kind + suffix)(
        attn_implementation="eager", **(COMMON | family.config)
    )
    return getattr(transformers, family.kind + "ForCausalLM")(config).float().eval()


def randomise(family, model, random):
    base.randomise(model, random)
    for name, parameter in model.named_parameters():
        if family.kind == "Gemma3" and parameter.dim() == 1:
            parameter.data -= 1  # their norms multiply by 1 + weight
        elif name.endswith(".bias"):
            parameter.data = (parameter.data - 1) * 2  # around 0
        elif "experts" in name:  # [experts, rows, columns]
            parameter.data *= np.sqrt(parameter.shape[1] / parameter.shape[2])
        if family.name == "mixtral_ties" and parameter.shape == (4, 64):
            parameter.data[3] = parameter.data[1]


def half(parameter):
    """Rounds a weight to half precision, in the model too."""
    parameter.data = parameter.data.half().float()
    return parameter.detach().numpy().astype(np.float16)


def write_experts(writer, block, name, parameter):
    """Transformers keeps gate and up of all experts together: [experts, 2 * hidden, width]."""
    weight = half(parameter)
    if name.endswith("down_proj"):
        writer.add_tensor(f"{block}.ffn_down_exps.weight", weight)
        return
    rows = weight.shape[1] // 2
    writer.add_tensor(f"{block}.ffn_gate_exps.weight", np.ascontiguousarray(weight[:, :rows]))
    writer.add_tensor(f"{block}.ffn_up_exps.weight", np.ascontiguousarray(weight[:, rows:]))


def write_tensors(writer, family, model):
    config = model.config
    names = gguf.get_tensor_name_map(family.arch, config.num_hidden_layers)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, parameter in model.named_parameters():
        block = f"blk.{name.split('.')[2]}" if ".layers." in name else ""
        if ".experts." in name:
            write_experts(writer, block, name, parameter)
            continue
        if ".mlp.gate.weight" in name:  # Mixtral's router
            writer.add_tensor(f"{block}.ffn_gate_inp.weight", parameter.detach().numpy())
            continue
        stem, suffix = name.rsplit(".", 1)
        target = f"{names.get_name(stem)}.{suffix}"
        if parameter.dim() == 1:
            offset = 1 if family.kind == "Gemma3" else 0
            writer.add_tensor(target, parameter.detach().numpy() + np.float32(offset))
            continue
        weight = half(parameter)
        rows = heads.get(target.split(".")[-2]) if family.arch == ARCH.LLAMA else None
        writer.add_tensor(target, base.permute(weight, rows) if rows else weight)


def write_rope(writer, family, config, width):
    rope = config.rope_parameters
    full = rope.get("full_attention", rope)
    writer.add_rope_freq_base(full["rope_theta"])
    writer.add_rope_dimension_count(int(width * full.get("partial_rotary_factor", 1)))
    if full["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(full["factor"])
    if full["rope_type"] == "longrope":
        original = full["original_max_position_embeddings"]
        stretch = config.max_position_embeddings / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(stretch) / np.log(original))))
        for kind in ("short", "long"):
            factors = np.array(full[f"{kind}_factor"], dtype=np.float32)
            writer.add_tensor(f"rope_factors_{kind}.weight", factors)


def write_metadata(writer, family, config):
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_name(f"tiny {family.name}")
    writer.add_license("apache-2.0")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_vocab_size(config.vocab_size)
    if hasattr(config, "layer_norm_eps"):
        writer.add_layer_norm_eps(config.layer_norm_eps)
    else:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if width * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(width)
        writer.add_value_length(width)
    if family.kind in ("Gemma3", "Phi3") and config.sliding_window:
        writer.add_sliding_window(config.sliding_window)
    if family.kind == "StableLm":
        writer.add_parallel_residual(config.use_parallel_residual)
    if family.kind == "Mixtral":
        writer.add_expert_count(config.num_local_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
    write_rope(writer, family, config, width)
    tiny_vocabulary.write(writer)


def stable_topk(scores, count, dim=-1):
    values, indices = torch.sort(scores, dim=dim, descending=True, stable=True)
    return values[..., :count], indices[..., :count]


def make(number, family):
    random = np.random.default_rng(2000 + number)
    model = build(family)
    randomise(family, model, random)
    writer = gguf.GGUFWriter(FOLDER / f"{family.name}.gguf", gguf.MODEL_ARCH_NAMES[family.arch])
    write_metadata(writer, family, model.config)
    with torch.no_grad():
        write_tensors(writer, family, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    topk = torch.topk
    torch.topk = stable_topk if family.name == "mixtral_ties" else topk
    index, values = base.answer(family, model, random)
    torch.topk = topk
    (FOLDER / f"{family.name}.json").write_text(json.dumps(index, ensure_ascii=False) + "\n")
    values.tofile(FOLDER / f"{family.name}.f32")
    print(f"{family.name}: max |logit| {index['max_abs_logit']:.3f}, {values.nbytes} bytes of values")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    FOLDER.mkdir(exist_ok=True)
    for number, family in enumerate(FAMILIES):
        if len(sys.argv) == 1 or family.name in sys.argv[1:]:
            make(number, family)


if __name__ == "__main__":
    main()
