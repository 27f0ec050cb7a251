#!/usr/bin/env python3
"""Makes adapters/: LoRA adapters that PEFT saves for the tiny models of families/ and tiny/, and what
Transformers and PEFT compute with them.

    pip install -r requirements.txt && python3 make_adapters.py [NAME...]

NAME/ is what save_pretrained writes. NAME.json says which model it is of, how many labels it has and which
tokens were read; NAME.f32 holds the logits: of the last token's state for a classifier of texts ([labels]), else
of every token ([tokens, labels or vocabulary]). The arithmetic is float32; values of files in half precision
were rounded to it before.
"""

import json
import pathlib
import shutil
import sys
import warnings
from dataclasses import dataclass

import numpy as np
import peft
import safetensors.torch
import torch
import transformers

import make_gradients as gradients

FOLDER = pathlib.Path(__file__).parent / "adapters"
TOKENS = 24


@dataclass
class Case:
    name: str
    model: str
    config: dict
    kind: torch.dtype = torch.float32
    task: str = "CAUSAL_LM"
    labels: int = 0


ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
CASES = [
    Case("llama_all_linear", "untied_f32", dict(r=4, lora_alpha=8, target_modules="all-linear")),
    Case(
        "llama_rslora_patterns", "window_8",
        dict(
            r=3, lora_alpha=5, use_rslora=True, target_modules=ATTENTION + ["down_proj"],
            rank_pattern={"q_proj": 5, r"layers\.1\.mlp\.down_proj": 2},
            alpha_pattern={r"^model\.layers\.0\.self_attn\.(k|v)_proj": 9, "k_proj": 2},
        ),
    ),
    Case("qwen2_regex", "qwen2", dict(r=2, target_modules=r".*\.layers\.1\.(self_attn\.(q|k|v)_proj|mlp\.(?!down)\w+_proj)")),
    Case("qwen3_classifier", "qwen3", dict(r=2, lora_alpha=6, target_modules=ATTENTION), task="SEQ_CLS", labels=5),
    Case(
        "phi2_tokens_f16", "phi2", dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "dense", "fc1", "fc2"]),
        kind=torch.float16, task="TOKEN_CLS", labels=3,
    ),
    Case("phi3_fused", "phi3", dict(r=2, lora_alpha=4, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"])),
    Case(
        "gemma3_layers_bf16", "gemma3",
        dict(r=2, lora_alpha=4, target_modules=["q_proj", "gate_proj"], layers_to_transform=[1, 5], layers_pattern="layers"),
        kind=torch.bfloat16,
    ),
    Case("stablelm_excluded", "stablelm", dict(r=2, target_modules=ATTENTION + ["up_proj"], exclude_modules=["layers.0.self_attn.o_proj"])),
    Case("mixtral_attention", "mixtral", dict(r=2, target_modules=ATTENTION)),
]  # fmt: skip


def classifier(model, case):
    """The same decoder under a head with labels."""
    name = type(model).__name__.replace("ForCausalLM", "")
    ending = "ForSequenceClassification" if case.task == "SEQ_CLS" else "ForTokenClassification"
    config = model.config.__class__(**{**model.config.to_dict(), "num_labels": case.labels})
    result = getattr(transformers, name + ending)(config)
    result.model.load_state_dict(model.model.state_dict())
    return result


def randomise(adapted, kind, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(adapted.named_parameters()):
            if "lora_" in name or "modules_to_save" in name:
                values = (torch.rand(parameter.shape, generator=generator) - 0.5) * 0.4
                parameter.copy_(values.to(kind).float())


def save(adapted, case):
    folder = FOLDER / case.name
    shutil.rmtree(folder, ignore_errors=True)
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_model.safetensors"
    if case.kind != torch.float32:
        tensors = {n: t.to(case.kind) for n, t in safetensors.torch.load_file(file).items()}
        safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
    config = json.loads((folder / "adapter_config.json").read_text())
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # PEFT keeps a set
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def make(number, case):
    model, _ = gradients.build(case.model)
    model.config._name_or_path = model.name_or_path = ""
    if case.labels:
        model = classifier(model, case)
    model = model.float().eval()
    torch.manual_seed(number)
    adapted = peft.get_peft_model(model, peft.LoraConfig(task_type=case.task, **case.config)).eval()
    randomise(adapted, case.kind, 3000 + number)
    ids = [(number * 29 + i * 31 + i * i * 7) % 200 for i in range(TOKENS)]
    with torch.no_grad():
        logits = adapted(torch.tensor([ids])).logits[0].numpy().astype(np.float32)
    logits.tofile(FOLDER / f"{case.name}.f32")
    index = {"model": case.model, "labels": case.labels, "max_abs_logit": float(np.abs(logits).max()), "tokens": ids}
    (FOLDER / f"{case.name}.json").write_text(json.dumps(index) + "\n")
    save(adapted, case)
    print(f"{case.name}: {logits.shape}, largest {index['max_abs_logit']:.3f}")


def main():
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for number, case in enumerate(CASES):
        if not sys.argv[1:] or case.name in sys.argv[1:]:
            make(number, case)


if __name__ == "__main__":
    main()
