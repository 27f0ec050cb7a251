#!/usr/bin/env python3
"""Writes the starting inputs of the fuzz targets tokenizer_json and tokenizer_model.

    python3 fuzz/make_hugging_face_seeds.py

They are those cases of tests/broken_tokenizers that are legal, small vocabularies, so that mutation starts
behind the first checks.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "broken_tokenizers"))
import make_broken  # noqa: E402

JSON_FILES = ["tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json",
              "special_tokens_map.json", "added_tokens.json"]
JSON_CASES = {"json/byte-level", "json/sentence", "json/split", "json/metaspace", "json/merges-pairs",
              "json/no-fallback", "settings/usual", "settings/decoder-0", "settings/eos-odd-3",
              "settings/template-list"}
MODEL_CASES = {"model/whole", "model/no-bytes", "model/only-unknown", "model/type-unused", "model/type-user",
               "model/field-unknown", "model/charsmap", "model/kind-1", "model/piece-not-utf8"}


def main():
    for make in (make_broken.json_texts, make_broken.json_models, make_broken.json_added,
                 make_broken.json_steps, make_broken.models, make_broken.settings):
        make()
    for path, _, _, files in make_broken.CASES:
        name = path.replace("/", "-")
        if path in JSON_CASES:
            write("tokenizer_json", name, b"\0".join(files.get(f, b"") for f in JSON_FILES))
        if path in MODEL_CASES:
            write("tokenizer_model", name, files["tokenizer.model"])


def write(target, name, content):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.bin").write_bytes(content)


if __name__ == "__main__":
    main()
