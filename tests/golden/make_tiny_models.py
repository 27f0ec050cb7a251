#!/usr/bin/env python3
"""Makes tiny/: random models of the Llama family as GGUF files, and what Transformers computes with them.

    pip install -r requirements.txt && python3 make_tiny_models.py

Each NAME.gguf is a complete model. NAME.f32 holds little-endian float32 values; NAME.json says what:
`prompts`: `tokens` (and `text`, where the tokens are those of a text), and `logits`, the index in
NAME.f32 of the first of [tokens, vocab] values. `hidden`, where present, is the index of the first of
[layers + 2, tokens, width] values: the embeddings, each layer's output, then that of the final norm.
All were computed in float32 with the weights exactly as the file holds them.
"""

import json
import math
import pathlib
import sys
from dataclasses import dataclass, field

import gguf
import numpy as np
import torch
import transformers

import tiny_blocks
import tiny_vocabulary

Type = gguf.GGMLQuantizationType
FOLDER = pathlib.Path(__file__).parent / "tiny"
TEXT = "The cat and 1212 of them; é"


@dataclass
class Variant:
    name: str
    config: dict = field(default_factory=dict)  # over BASE
    kind: Type | dict = Type.F16  # of every matrix, or by the tensor's short name ("attn_q")
    embedding: Type | None = None  # of token_embd, where it differs
    mistral: bool = False
    tokens: int = 40
    hidden: bool = False


BASE = dict(
    vocab_size=tiny_vocabulary.SIZE,
    hidden_size=64,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    rms_norm_eps=1e-5,
    tie_word_embeddings=True,
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=10000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
LINEAR = dict(rope_type="linear", rope_theta=1e4, factor=4.0)
K_TYPES = dict(
    attn_q=Type.Q4_K, attn_k=Type.Q5_K, attn_v=Type.Q6_K, attn_output=Type.Q3_K,
    ffn_gate=Type.Q2_K, ffn_up=Type.IQ4_XS, ffn_down=Type.Q4_K,
)  # fmt: skip
WIDE = dict(hidden_size=256, intermediate_size=256, num_key_value_heads=1, num_hidden_layers=1)

VARIANTS = [
    Variant("untied_f32", dict(tie_word_embeddings=False), Type.F32, hidden=True),
    Variant("tied_f16", dict(rope_parameters=dict(rope_type="default", rope_theta=1e5))),
    Variant("tied_bf16", kind=Type.BF16),
    Variant("one_kv_head", dict(num_key_value_heads=1)),
    Variant("all_kv_heads", dict(num_key_value_heads=4, intermediate_size=96)),
    # Also an epsilon that is large enough to show.
    Variant(
        "head_width",
        dict(head_dim=32, num_key_value_heads=1, num_hidden_layers=1, rms_norm_eps=1e-2),
    ),
    Variant("rope_linear", dict(rope_parameters=LINEAR, num_hidden_layers=1)),
    Variant("rope_llama3", dict(rope_parameters=LLAMA3), tokens=64),
    Variant("window_8", dict(sliding_window=8), mistral=True, tokens=48),
    Variant("window_64", dict(sliding_window=64, rms_norm_eps=1e-6), mistral=True),
    *(
        Variant(kind.name.lower(), kind=kind, tokens=24)
        for kind in (Type.Q8_0, Type.Q4_0, Type.Q5_0, Type.Q5_1, Type.IQ4_NL, Type.MXFP4)
    ),
    Variant("q4_1", kind=Type.Q4_1, embedding=Type.Q8_0, tokens=24),  # as SmolLM2's file
    Variant("k_types", WIDE, K_TYPES, embedding=Type.Q6_K, tokens=24),
]


def build(variant):
    """The model with random weights; norms too, so that a forgotten one shows."""
    numbers = BASE | variant.config
    numbers |= dict(bos_token_id=numbers["vocab_size"] - 3, eos_token_id=numbers["vocab_size"] - 1)
    if variant.mistral:
        config = transformers.MistralConfig(attn_implementation="eager", **numbers)
        model = transformers.MistralForCausalLM(config)
    else:
        config = transformers.LlamaConfig(attn_implementation="eager", **numbers)
        model = transformers.LlamaForCausalLM(config)
    return model.float().eval()


def randomise(model, random):
    for name, parameter in model.named_parameters():
        value = random.standard_normal(parameter.shape)
        if parameter.dim() == 1:
            value = 1 + 0.25 * value
        else:  # queries and keys larger: attention that prefers some tokens, so that a window shows
            gain = 2.0 if "q_proj" in name or "k_proj" in name else 1.0
            value *= gain / math.sqrt(parameter.shape[1])
            if "embed_tokens" in name or "lm_head" in name:
                value *= 4
        parameter.data = torch.from_numpy(value.astype(np.float32))


def permute(weight, heads):
    """Rows from Hugging Face's half-split pairs to GGUF's interleaved ones (LlamaModel.permute)."""
    shape = (heads, 2, weight.shape[0] // heads // 2, weight.shape[1])
    return weight.reshape(shape).swapaxes(1, 2).reshape(weight.shape)


def unpermute(weight, heads):
    shape = (heads, weight.shape[0] // heads // 2, 2, weight.shape[1])
    return weight.reshape(shape).swapaxes(1, 2).reshape(weight.shape)


def gguf_name(name):
    base, suffix = name.rsplit(".", 1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 8)
    return f"{names.get_name(base)}.{suffix}"


def kind_of(variant, name):
    short = name.split(".")[-2]
    if short in ("token_embd", "output") and variant.embedding is not None:
        return variant.embedding
    return variant.kind[short] if isinstance(variant.kind, dict) else variant.kind


def write_tensors(writer, variant, model, random):
    """Writes every weight, and puts into the model what the file's bytes mean."""
    config = model.config
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, parameter in model.named_parameters():
        target = gguf_name(name)
        if parameter.dim() == 1:
            writer.add_tensor(target, parameter.numpy())
            continue
        kind = kind_of(variant, target)
        rows = heads.get(target.split(".")[-2])
        weight = parameter.numpy()
        if rows:
            weight = permute(weight, rows)
        data = tiny_blocks.encode(np.ascontiguousarray(weight), kind, random)
        meaning = tiny_blocks.decode(data, kind)
        if rows:
            meaning = unpermute(meaning, rows)
        parameter.data = torch.from_numpy(np.ascontiguousarray(meaning))
        writer.add_tensor(target, data, raw_dtype=kind)


def llama3_factors(rope, width):
    """The rope_freqs tensor, as convert_hf_to_gguf.py computes it."""
    factors = []
    low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    for frequency in 1.0 / (rope["rope_theta"] ** (np.arange(0, width, 2, dtype=np.float32) / width)):
        length = 2 * math.pi / frequency
        if length < high:
            factors.append(1.0)
        elif length > low:
            factors.append(rope["factor"])
        else:
            smooth = rope["original_max_position_embeddings"] / length - rope["low_freq_factor"]
            smooth /= rope["high_freq_factor"] - rope["low_freq_factor"]
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    assert len(set(factors)) > 2, "the scaling must have all three ranges"
    return np.array(factors, dtype=np.float32)


def write_metadata(writer, variant, config):
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    writer.add_name(f"tiny {variant.name}")
    writer.add_license("apache-2.0")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(rope["rope_theta"])
    if width * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(width)
        writer.add_value_length(width)
    if variant.mistral:
        writer.add_sliding_window(config.sliding_window)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(rope, width))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    tiny_vocabulary.write(writer)


def prompts(variant, random):
    """A long one of random tokens, and a text; the short text also ends inside a page or a tile."""
    tokens = random.integers(0, tiny_vocabulary.SIZE, variant.tokens).tolist()
    text = TEXT if variant.tokens >= 40 else "The cat, and"
    encoded = tiny_vocabulary.tokenizer().encode(text, add_special_tokens=False).ids
    return [dict(tokens=tokens), dict(text=text, tokens=encoded)]


@torch.no_grad()
def answer(variant, model, random):
    """The index and the values of the golden answers."""
    values, index = [], dict(name=variant.name, max_abs_logit=0.0, prompts=prompts(variant, random))
    layers = []
    hooks = [l.register_forward_hook(lambda m, i, o: layers.append(o)) for l in model.model.layers]
    size = 0
    for prompt in index["prompts"]:
        layers.clear()
        tokens = torch.tensor([prompt["tokens"]])
        logits = model(tokens).logits[0]
        prompt["logits"] = size
        index["max_abs_logit"] = max(index["max_abs_logit"], logits.abs().max().item())
        values.append(logits)
        size += logits.numel()
        if variant.hidden:
            states = [o[0] if isinstance(o, tuple) else o for o in layers]
            states = torch.cat(
                [model.model.embed_tokens(tokens), *states, model.model.norm(states[-1])]
            )
            prompt["hidden"] = size
            values.append(states)
            size += states.numel()
    for hook in hooks:
        hook.remove()
    return index, np.concatenate([v.numpy().astype("<f4").ravel() for v in values])


def make(number, variant):
    random = np.random.default_rng(1000 + number)
    model = build(variant)
    randomise(model, random)
    writer = gguf.GGUFWriter(FOLDER / f"{variant.name}.gguf", "llama")
    write_metadata(writer, variant, model.config)
    with torch.no_grad():
        write_tensors(writer, variant, model, random)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    index, values = answer(variant, model, random)
    (FOLDER / f"{variant.name}.json").write_text(json.dumps(index, ensure_ascii=False) + "\n")
    values.tofile(FOLDER / f"{variant.name}.f32")
    print(f"{variant.name}: max |logit| {index['max_abs_logit']:.3f}, {values.nbytes} bytes of values")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    FOLDER.mkdir(exist_ok=True)
    names = sys.argv[1:]
    for number, variant in enumerate(VARIANTS):
        if not names or variant.name in names:
            make(number, variant)


if __name__ == "__main__":
    main()
