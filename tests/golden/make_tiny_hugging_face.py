#!/usr/bin/env python3
"""Makes families_hf/: directories of safetensors with the weights of tiny models of tiny/ and families/.

    pip install -r requirements.txt && python3 make_tiny_hugging_face.py [NAME...]

Each NAME/ is what save_pretrained writes of the model from which NAME.gguf and its golden values were
made: config.json, safetensors and tokenizer. Matrices have the type that they have in NAME.gguf (but
IN_FULL), vectors and routers are float32. OLD are those whose config.json is put into the form of Transformers 4.
"""

import json
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers

import make_tiny_families as families
import make_tiny_models as tiny
import tiny_vocabulary

FOLDER = pathlib.Path(__file__).parent / "families_hf"
TINY = ["tied_bf16", "rope_linear", "rope_llama3", "window_8"]
FAMILIES = ["qwen2", "qwen3", "phi2", "phi3_long", "mixtral_ties", "gemma3", "stablelm"]
OLD = ["rope_linear", "phi3_long", "phi2"]
SHARDED = {"mixtral_ties": "70KB"}
IN_FULL = ["rope_linear"]  # float32, though NAME.gguf has float16
TYPES = {tiny.Type.F32: torch.float32, tiny.Type.F16: torch.float16, tiny.Type.BF16: torch.bfloat16}


class NoWriter:
    """In place of a GGUF writer: writing puts into the model what the file's bytes mean."""

    def add_tensor(self, *args, **kinds):
        pass


def models():
    """(name, the model with the weights of NAME.gguf, the type of its matrices)"""
    for number, variant in enumerate(tiny.VARIANTS):
        if variant.name in TINY:
            random = np.random.default_rng(1000 + number)
            model = tiny.build(variant)
            tiny.randomise(model, random)
            with torch.no_grad():
                tiny.write_tensors(NoWriter(), variant, model, random)
            yield variant.name, model, TYPES[variant.kind]
    for number, family in enumerate(families.FAMILIES):
        if family.name in FAMILIES:
            random = np.random.default_rng(2000 + number)
            model = families.build(family)
            families.randomise(family, model, random)
            with torch.no_grad():
                families.write_tensors(NoWriter(), family, model)
            yield family.name, model, torch.float16


def as_stored(model, kind):
    """The weights in the types in which they are to stand in the files."""
    def stored(name, value):
        router = name.endswith("mlp.gate.weight")
        return value.float() if value.dim() == 1 or router else value.to(kind)

    return {
        name: stored(name, value).contiguous()
        for name, value in model.state_dict().items()
        if not (model.config.tie_word_embeddings and name == "lm_head.weight")
    }


def in_old_form(config):
    """config.json as Transformers 4 has it."""
    rope = config.pop("rope_parameters")
    config.pop("layer_types", None)
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.57.1"
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        config["sliding_window_pattern"] = config.pop("_sliding_window_pattern")
        rope = rope["full_attention"]
    config["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    if original := rope.pop("original_max_position_embeddings", None):
        config["original_max_position_embeddings"] = original
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    return dict(sorted(config.items()))


def make(name, model, kind):
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    model.config.dtype = kind
    model.save_pretrained(folder, state_dict=as_stored(model, kind), max_shard_size=SHARDED.get(name, "5GB"))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tiny_vocabulary.tokenizer(),
        bos_token=tiny_vocabulary.SPECIALS[0],
        eos_token=tiny_vocabulary.SPECIALS[2],
    )
    tokenizer.chat_template = tiny_vocabulary.TEMPLATE
    tokenizer.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if name in OLD:
        path.write_text(json.dumps(in_old_form(config), indent=2) + "\n")
    for file in folder.iterdir():
        file.chmod(0o644)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {len(list(folder.iterdir()))} files, {size} bytes")


def main():
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for name, model, kind in models():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            make(name, model, torch.float32 if name in IN_FULL else kind)


if __name__ == "__main__":
    main()
