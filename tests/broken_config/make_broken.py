#!/usr/bin/env python3
"""Makes Hugging Face directories whose config.json is broken, or legal but odd, or does not fit the weights.

    make_broken.py DIRECTORY

writes the directories and `table.tsv`: a line a directory, with its path, the verdict (`refused` or
`legal`) and words of which the message must hold one, separated by `|`. The weights are links to those
of tests/golden/families_hf. The table is made by the calls of `refused` and `legal` below.

The files are the same in every run.
"""

import copy
import json
import os
import pathlib
import sys

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "families_hf"
CASES = []  # (path, verdict, words, name of the golden directory, text of config.json)
NONE = object()  # the key is taken out


def config_of(name):
    return json.loads((GOLDEN / name / "config.json").read_text())


def changed(name, changes):
    config = config_of(name)
    for key, value in changes.items():
        place, *rest = key.split(".")
        target = config
        if rest:
            target, place = config[place], rest[0]
        if value is NONE:
            del target[place]
        else:
            target[place] = copy.deepcopy(value)
    return json.dumps(config)


def case(path, verdict, words, name, content):
    assert path not in (other[0] for other in CASES), path
    if isinstance(content, dict):
        content = changed(name, content)
    CASES.append((path, verdict, words, name, content))


def refused(path, words, content, name="tied_bf16"):
    case(path, "refused", words, name, content)


def legal(path, content, name="tied_bf16"):
    case(path, "legal", "", name, content)


# Of each kind of key: what it must not be.
NO_SIZES = {"text": "64", "list": [64], "object": {}, "true": True, "negative": -1, "zero": 0, "fraction": 1.5,
            "large": 2**63, "larger": 2**64, "null": None}
NO_NUMBERS = {"text": "1e-5", "list": [1e-5], "object": {}, "true": True, "zero": 0, "negative": -1.0,
              "large": 1e300}


def sizes():
    for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
                "max_position_embeddings"):
        for kind, value in NO_SIZES.items():
            refused(f"size/{key}-{kind}", f"{key} is|has no {key}", {key: value})
        if key != "max_position_embeddings":
            refused(f"size/{key}-absent", f"has no {key}", {key: NONE})
    for key in ("num_key_value_heads", "head_dim"):
        for kind, value in NO_SIZES.items():
            if kind != "null":
                refused(f"size/{key}-{kind}", f"{key} is", {key: value})
    for key in ("num_local_experts", "num_experts_per_tok"):
        for kind in ("text", "zero", "negative", "large"):
            refused(f"size/{key}-{kind}", f"{key} is", {key: NO_SIZES[kind]}, "mixtral_ties")
    for kind in ("text", "zero", "negative", "fraction", "larger", "list"):
        refused(f"size/window-{kind}", "sliding_window is", {"sliding_window": NO_SIZES[kind]}, "window_8")
    for kind, value in NO_NUMBERS.items():
        refused(f"number/epsilon-{kind}", "rms_norm_eps is", {"rms_norm_eps": value})
        refused(f"number/base-{kind}", "rope_theta is", {"rope_parameters.rope_theta": value})
        refused(f"number/factor-{kind}", "factor is", {"rope_parameters.factor": value}, "rope_llama3")
    for kind, value in (("text", "true"), ("number", 1), ("list", [])):
        refused(f"flag/tie-{kind}", "tie_word_embeddings is", {"tie_word_embeddings": value})


def classes():
    for kind, value in (("null", None), ("text", "LlamaForCausalLM"), ("empty", []), ("number", [1]),
                        ("object", {}), ("nested", [["LlamaForCausalLM"]])):
        refused(f"class/{kind}", 'has no "architectures"', {"architectures": value})
    refused("class/absent", 'has no "architectures"', {"architectures": NONE})
    for name, near in (("LlamaModel", "LlamaForCausalLM"), ("LLamaForCausalLM", "LlamaForCausalLM"),
                       ("Qwen4ForCausalLM", "Qwen"), ("BertForMaskedLM", "those are"), ("", "those are"),
                       ("\x1b[31m", "'\\x1b[31m'")):
        refused(f"class/name-{name.encode().hex()[:20] or 'empty'}", near, {"architectures": [name]})
    for method in ("gptq", "awq", "bitsandbytes", "fp8"):
        refused(f"quantised/{method}", f"quantised by '{method}'",
                {"quantization_config": {"quant_method": method, "bits": 4}})
    refused("quantised/unnamed", "a method that it does not name", {"quantization_config": {"bits": 4}})
    refused("quantised/list", "a method that it does not name", {"quantization_config": []})
    legal("quantised/null", {"quantization_config": None})
    legal("class/two", {"architectures": ["LlamaForCausalLM", "Other"]})


def texts():
    whole = json.dumps(config_of("tied_bf16"))
    for end in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        refused(f"text/cut-{end}", "is not valid JSON", whole[:end])
    for name, content in (("comma", whole[:-1] + ",}"), ("two", whole + whole), ("comment", "// x\n" + whole),
                          ("page", "<html>404</html>"), ("pointer", "version https://git-lfs.github.com/spec/v1"),
                          ("zero", whole + "\0"), ("nan", whole[:-1] + ', "x": NaN}')):
        refused(f"text/{name}", "is not valid JSON", content)
    refused("text/twice", "key 'vocab_size' stands twice", whole[:-1] + ', "vocab_size": 283}')
    refused("text/deep", "nested more than 64 deep", whole[:-1] + ', "x": ' + "[" * 10000)
    for name, content in (("list", "[]"), ("text", '"x"'), ("number", "3"), ("null", "null")):
        refused(f"text/is-{name}", "is not a JSON object", content)
    legal("text/byte-order-mark", "\ufeff" + whole)
    legal("text/more-keys", {"x": [[[1]]], "y": {"z": None}})


def rotary():
    for kind, value in (("text", "x"), ("list", []), ("number", 1)):
        refused(f"rotary/parameters-{kind}", "rope_parameters is not an object", {"rope_parameters": value})
    for kind in ("ntk", "", "mrope", "\x1b"):
        refused(f"rotary/type-{kind.encode().hex() or 'empty'}", "the rotary scaling is",
                {"rope_parameters.rope_type": kind})
    refused("rotary/type-number", "rope_type is not a text", {"rope_parameters.rope_type": 1})
    for kind in ("yarn", "dynamic"):
        refused(f"rotary/{kind}", f"'{kind}'", {"rope_parameters.rope_type": kind, "rope_parameters.factor": 2.0})
    for key in ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"):
        refused(f"rotary/llama3-no-{key}", f"has no {key}", {f"rope_parameters.{key}": NONE}, "rope_llama3")
    refused("rotary/llama3-ranges", "is not above low_freq_factor", {"rope_parameters.low_freq_factor": 4.0},
            "rope_llama3")
    for key in ("short_factor", "long_factor"):
        for kind, value in (("absent", NONE), ("short", [1.0]), ("text", "x"), ("null", None)):
            refused(f"rotary/{key}-{kind}", f"{key} is not a list of 8", {f"rope_scaling.{key}": value}, "phi3_long")
        for kind, value in (("zero", 0), ("negative", -1), ("text", "1"), ("huge", 1e300)):
            refused(f"rotary/{key}-holds-{kind}", f"{key} is", {f"rope_scaling.{key}": [1.0] * 7 + [value]},
                    "phi3_long")
    for kind, value in (("one", 1), ("zero", 0), ("fraction", 32.5), ("text", "32")):
        refused(f"rotary/original-{kind}", "original_max_position_embeddings is",
                {"original_max_position_embeddings": value}, "phi3_long")
    for kind, value in (("zero", 0), ("negative", -0.5), ("above", 1.5)):
        refused(f"rotary/share-{kind}", "partial_rotary_factor is", {"partial_rotary_factor": value}, "phi2")
    refused("rotary/odd-share", "rope.dimension_count is 5", {"partial_rotary_factor": 0.32}, "phi2")
    refused("rotary/windowed-scaling", "have a rotary scaling",
            {"rope_parameters.sliding_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, "gemma3")
    refused("rotary/full-is-text", "is not an object", {"rope_parameters.full_attention": "x"}, "gemma3")
    refused("rotary/windowed-is-text", "is not an object", {"rope_parameters.sliding_attention": "x"}, "gemma3")


def mechanisms():
    for kind in ("relu", "gelu", "gelu_new", "", "\x07"):
        refused(f"activation/{kind.encode().hex() or 'empty'}", "the activation is", {"hidden_act": kind})
    refused("activation/number", "hidden_act is", {"hidden_act": 1})
    refused("activation/gemma", "the activation is 'gelu'", {"hidden_activation": "gelu"}, "gemma3")
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        refused(f"mechanism/{key}", f"{key} is '30.0'", {key: 30.0}, "gemma3")
    refused("mechanism/both-directions", "use_bidirectional_attention is", {"use_bidirectional_attention": True},
            "gemma3")
    refused("mechanism/norms-of-queries", "qk_layernorm is", {"qk_layernorm": True}, "phi2")
    refused("mechanism/parallel", "use_parallel_residual is true", {"use_parallel_residual": True}, "stablelm")
    refused("mechanism/scale", "query_pre_attn_scalar is 96", {"query_pre_attn_scalar": 96}, "gemma3")
    refused("mechanism/scale-zero", "query_pre_attn_scalar is 0", {"query_pre_attn_scalar": 0}, "gemma3")
    types = config_of("gemma3")["layer_types"]
    for kind, value in (("short", types[1:]), ("long", types + types[:1]), ("empty", []), ("text", "x")):
        refused(f"layers/{kind}", "layer_types is not a list of 7", {"layer_types": value}, "gemma3")
    for kind, value in (("other", "chunked_attention"), ("number", 1), ("null", None)):
        refused(f"layers/holds-{kind}", "layer_types holds", {"layer_types": [value] + types[1:]}, "gemma3")
    refused("layers/other-order", "have a sliding window, not in the order", {"layer_types": types[::-1]}, "gemma3")
    refused("layers/all-full", "have a sliding window, not in the order",
            {"layer_types": ["full_attention"] * 7}, "gemma3")
    refused("layers/no-width", "sliding_window is missing", {"sliding_window": None}, "gemma3")
    refused("layers/half-of-qwen", "have a sliding window, not in the order",
            {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 8}, "qwen2")


def weights():
    refused("weights/more-layers", "tensor 'model.layers.2.input_layernorm.weight' is missing", {"num_hidden_layers": 3})
    refused("weights/fewer-layers", "is not one that family llama of 1 layers has", {"num_hidden_layers": 1})
    refused("weights/other-width", "shape", {"hidden_size": 128, "head_dim": 16})
    refused("weights/other-heads", "shape|not an even number", {"num_attention_heads": 8})
    refused("weights/other-kv-heads", "shape|not an even number", {"num_key_value_heads": 1})
    refused("weights/kv-heads-no-part", "is not a multiple of", {"num_key_value_heads": 3}, "qwen2")
    refused("weights/other-hidden", "shape", {"intermediate_size": 64})
    refused("weights/other-vocabulary", "but vocab_size in config.json is 300", {"vocab_size": 300})
    refused("weights/more-experts", "experts.4.w1.weight' is missing", {"num_local_experts": 5}, "mixtral_ties")
    refused("weights/fewer-experts", "is not one that family mixtral", {"num_local_experts": 3}, "mixtral_ties")
    refused("weights/of-another-family", "is missing|is not one that family", {"architectures": ["Qwen3ForCausalLM"]})
    refused("weights/width-no-multiple", "is not a multiple of num_attention_heads",
            {"num_attention_heads": 3}, "qwen2")


def main():
    directory = sys.argv[1]
    for make in (sizes, classes, texts, rotary, mechanisms, weights):
        make()
    table = []
    for path, verdict, words, name, content in CASES:
        folder = os.path.join(directory, path)
        os.makedirs(folder, exist_ok=True)
        for file in (GOLDEN / name).iterdir():
            if ".safetensors" in file.name:
                os.symlink(file, os.path.join(folder, file.name))
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            file.write(content)
        table.append(f"{path}\t{verdict}\t{words}\n")
    with open(os.path.join(directory, "table.tsv"), "w", encoding="utf-8") as file:
        file.writelines(table)
    count = sum(case[1] == "refused" for case in CASES)
    print(f"{count} broken directories and {len(CASES) - count} legal ones")


if __name__ == "__main__":
    main()
