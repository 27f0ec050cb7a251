#!/usr/bin/env python3
"""Writes adapters that break PEFT's form, or ask for what malina does not compute, each in one way:

    make_broken.py FOLDER

Every directory of FOLDER is golden/adapters/llama_all_linear with one change. FOLDER/table.tsv says of each
what a reader must make of it: "legal", or "refused" and words of which the message must hold one.
"""

import json
import pathlib
import shutil
import struct
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent / "golden/adapters/llama_all_linear"
PREFIX = "base_model.model.model.layers.0.self_attn.q_proj"


def read_tensors():
    data = (SOURCE / "adapter_model.safetensors").read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {
        name: (entry["dtype"], entry["shape"], data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]])
        for name, entry in header.items()
    }


def write_tensors(file, tensors):
    header, place = {}, 0
    for name, (kind, shape, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [place, place + len(data)]}
        place += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


class Maker:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.lines = []
        self.tensors = read_tensors()
        self.config = json.loads((SOURCE / "adapter_config.json").read_text())

    def copy(self, name, words):
        target = self.folder / name
        shutil.copytree(SOURCE, target)
        self.lines.append(f"{name}\t{'refused' if words else 'legal'}\t{words}\n")
        return target

    def with_config(self, name, words, drop=(), **changes):
        config = {k: v for k, v in {**self.config, **changes}.items() if k not in drop}
        (self.copy(name, words) / "adapter_config.json").write_text(json.dumps(config))

    def with_text(self, name, words, text):
        (self.copy(name, words) / "adapter_config.json").write_bytes(text)

    def with_tensors(self, name, words, change):
        tensors = dict(self.tensors)
        change(tensors)
        write_tensors(self.copy(name, words) / "adapter_model.safetensors", tensors)

    def configs(self):
        self.with_config("config-as-it-is", "")
        self.with_config("key-unknown", "", what_is_this=3)
        for key, value in (
            ("use_dora", True), ("use_qalora", True), ("alora_invocation_tokens", [1, 2]),
            ("target_parameters", ["mlp.experts"]), ("layer_replication", [[0, 1]]), ("lora_bias", True),
            ("trainable_token_indices", [3]), ("use_bdlora", {"nblocks": 2}), ("arrow_config", {"top_k": 1}),
            ("kasa_config", {"beta": 1}), ("monteclora_config", {"x": 1}), ("bias", "all"), ("bias", "lora_only"),
        ):  # fmt: skip
            self.with_config(f"sets-{key}-{value if isinstance(value, str) else ''}", key, **{key: value})
        for begin in ("pissa", "pissa_niter_4", "olora", "loftq", "corda", "lora_ga", "unheard-of"):
            self.with_config(f"begins-{begin}", "init_lora_weights", init_lora_weights=begin)
        for begin in ("gaussian", "eva", "orthogonal", False, None):
            self.with_config(f"begins-{begin}", "", init_lora_weights=begin)
        self.with_config("begins-as-number", "init_lora_weights", init_lora_weights=3)
        self.with_config("peft-type-missing", "peft_type", drop=["peft_type"])
        self.with_config("peft-type-other", "LORA", peft_type="IA3")
        self.with_config("peft-type-number", "peft_type", peft_type=5)
        self.with_config("task-other", "task_type", task_type="SEQ_2_SEQ_LM")
        self.with_config("task-classifier-without-head", "score", task_type="SEQ_CLS")
        self.with_config("task-missing", "", drop=["task_type"])
        self.with_config("base-name-number", "base_model_name_or_path", base_model_name_or_path=4)
        self.sizes()
        self.modules()

    def sizes(self):
        for rank in (0, -1, 1.5, "4", 1 << 40, True, [4]):
            self.with_config(f"rank-{rank}", "r is not|r ", r=rank)
        self.with_config("rank-that-tensors-do-not-have", "has shape", r=5)
        self.with_config("rank-missing", "has shape", drop=["r"])
        for number, alpha in enumerate(("8", None, [], True)):
            self.with_config(f"alpha-{number}", "" if alpha is None else "lora_alpha", lora_alpha=alpha)
        self.with_text("alpha-infinite", "not valid JSON|finite", json.dumps({**self.config, "lora_alpha": 7}).replace("7", "1e999").encode())
        self.with_config("alpha-huge", "scale", lora_alpha=1e300)
        self.with_config("rslora-number", "use_rslora", use_rslora=1)
        self.with_config("patterns-of-nothing", "", rank_pattern={}, alpha_pattern=None)
        self.with_config("rank-pattern-list", "rank_pattern", rank_pattern=[1])
        self.with_config("rank-pattern-wrong", "has shape", rank_pattern={"q_proj": 2})
        self.with_config("rank-pattern-no-expression", "rank_pattern", rank_pattern={"q_proj(": 4})
        self.with_config("rank-pattern-zero", "rank_pattern", rank_pattern={"q_proj": 0})
        self.with_config("alpha-pattern-text", "alpha_pattern", alpha_pattern={"q_proj": "x"})
        self.with_config("alpha-pattern-lookbehind", "alpha_pattern", alpha_pattern={"(?<=a)q_proj": 4})
        self.with_config("alpha-pattern-slow", "", alpha_pattern={"(a*)*(a*)*(a*)*b": 4})

    def modules(self):
        self.with_config("targets-missing", "target_modules", drop=["target_modules"])
        self.with_config("targets-empty", "target_modules", target_modules=[])
        self.with_config("targets-number", "target_modules", target_modules=[1])
        self.with_config("targets-object", "target_modules", target_modules={"q_proj": 1})
        self.with_config("targets-fewer", "does not name", target_modules=["q_proj"])
        self.with_config("targets-wrong-expression", "target_modules", target_modules="[q_proj")
        self.with_config("targets-expression-of-less", "does not name", target_modules=r".*\.1\..*")
        self.with_config("targets-expression", "", target_modules=r".*_proj")
        self.with_config("targets-all", "", target_modules="All-Linear")
        self.with_config("excluded", "does not name", exclude_modules=["q_proj"])
        self.with_config("layers-other", "does not name", layers_to_transform=[1], target_modules=[n for n in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")])
        self.with_config("layers-text", "layers_to_transform", layers_to_transform=["0"])
        self.with_config("layers-negative", "layers_to_transform", layers_to_transform=-1)
        self.with_config("saved-embedding", "modules_to_save", modules_to_save=["embed_tokens"])
        self.with_config("saved-head-alone", "", modules_to_save=["score"])

    def texts(self):
        self.with_text("text-empty", "not valid JSON", b"")
        self.with_text("text-list", "not an object", b"[]")
        self.with_text("text-cut", "not valid JSON", b'{"peft_type": "LORA"')
        self.with_text("text-twice", "twice", b'{"peft_type": "LORA", "peft_type": "LORA"}')
        self.with_text("text-no-utf8", "not valid JSON", b'{"peft_type": "\xff"}')
        self.with_text("text-deep", "deep", b"[" * 10000)

    def weights(self):
        a, b = PREFIX + ".lora_A.weight", PREFIX + ".lora_B.weight"
        (self.copy("weights-missing", "cannot open|No such") / "adapter_model.safetensors").unlink()
        target = self.copy("weights-pickle", "pickle")
        (target / "adapter_model.safetensors").rename(target / "adapter_model.bin")
        file = self.copy("weights-cut", "adapter_model") / "adapter_model.safetensors"
        file.write_bytes(file.read_bytes()[:-4])
        self.with_tensors("tensor-a-missing", "is missing", lambda t: t.pop(a))
        self.with_tensors("tensor-b-missing", "is missing", lambda t: t.pop(b))
        self.with_tensors("no-tensors", "holds no adapted layer|is missing", lambda t: t.clear())
        kind, shape, data = self.tensors[a]
        self.with_tensors("tensor-turned", "has shape", lambda t: t.update({a: (kind, shape[::-1], data)}))
        self.with_tensors("tensor-vector", "has shape", lambda t: t.update({a: (kind, [shape[0] * shape[1]], data)}))
        self.with_tensors("tensor-empty", "has shape", lambda t: t.update({a: (kind, [0, shape[1]], b"")}))
        self.with_tensors("tensor-int", "type I32", lambda t: t.update({a: ("I32", shape, data)}))
        for name, value in (("nan", float("nan")), ("infinite", float("inf"))):
            changed = struct.pack("<f", value) + data[4:]
            self.with_tensors(f"tensor-{name}", "finite", lambda t: t.update({a: (kind, shape, changed)}))
        for extra, words in (
            ("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", "DoRA"),
            ("base_model.model.model.embed_tokens.lora_embedding_A", "embedding"),
            ("base_model.model.lm_head.lora_A.weight", "output layer"),
            ("base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias", "bias"),
            ("base_model.model.model.layers.99.self_attn.q_proj.lora_A.weight", "is not of a layer"),
            ("base_model.model.model.layers.0.block_sparse_moe.experts.0.w1.lora_A.weight", "is not of a layer"),
            ("model.layers.0.self_attn.q_proj.lora_A.weight", "is not of a layer"),
            ("\\u001b[31m", "is not of a layer"),
        ):  # fmt: skip
            self.with_tensors(f"tensor-more-{len(self.lines)}", words, lambda t: t.update({extra: ("F32", [1], b"\0" * 4)}))
        head = "base_model.model.score.weight"
        self.with_tensors("head-unwanted", "asks for none|has shape", lambda t: t.update({head: ("F32", [1, 2], b"\0" * 8)}))
        self.with_tensors("head-vector", "has shape", lambda t: t.update({head: ("F32", [2], b"\0" * 8)}))


def main():
    maker = Maker(sys.argv[1])
    maker.configs()
    maker.texts()
    maker.weights()
    (maker.folder / "table.tsv").write_text("".join(maker.lines))
    print(f"{len(maker.lines)} adapters")


if __name__ == "__main__":
    main()
