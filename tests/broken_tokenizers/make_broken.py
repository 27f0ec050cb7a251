#!/usr/bin/env python3
"""Makes broken tokenizers of Hugging Face directories, and legal ones at the edge of being broken.

    make_broken.py DIRECTORY

Writes a directory for each case under json/ (tokenizer.json), model/ (tokenizer.model) and settings/
(the files beside them), and table.tsv: path, legal or refused, and words of the expected message
(alternatives with | between).
"""

import copy
import json
import os
import struct
import sys

CASES = []  # path, verdict, words, {file: bytes}
MARK = "\u2581"


def case(path, verdict, words, files):
    CASES.append((path, verdict, words, files))


# ---------------------------------------------------------------- tokenizer.json

LETTERS = [chr(b) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174 else None for b in range(256)]
for index, letter in enumerate(LETTERS):
    if letter is None:
        LETTERS[index] = chr(256 + sum(l is None for l in [
            chr(b) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174 else None for b in range(index)]))


def added(token, identity, **changes):
    return {"id": identity, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True, **changes}


BYTE_LEVEL = {
    "version": "1.0", "truncation": None, "padding": None,
    "added_tokens": [added("<s>", 258), added("</s>", 259)],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
              "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
              "vocab": {**{letter: i for i, letter in enumerate(LETTERS)}, "he": 256, "hel": 257},
              "merges": ["h e", "he l"]},
}
SENTENCE = {
    **BYTE_LEVEL,
    "added_tokens": [added("<unk>", 0), added("<s>", 1), added("</s>", 2)],
    "normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": MARK},
        {"type": "Replace", "pattern": {"String": " "}, "content": MARK}]},
    "pre_tokenizer": None,
    "post_processor": {"type": "TemplateProcessing",
                       "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                       "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
    "decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"},
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {**BYTE_LEVEL["model"], "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
              "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2,
                        **{f"<0x{b:02X}>": b + 3 for b in range(256)},
                        MARK: 259, "h": 260, "e": 261, "l": 262, "he": 263, MARK + "he": 264},
              "merges": ["h e", MARK + " he"]},
}


def encoded(document):
    return json.dumps(document, ensure_ascii=False).encode()


def json_case(name, verdict, words, base, *changes):
    """Each change is a path of keys and the new value; `...` removes the key."""
    document = copy.deepcopy(base)
    for *path, last, value in changes:
        place = document
        for key in path:
            place = place[key]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    case("json/" + name, verdict, words, {"tokenizer.json": encoded(document)})


def raw_json(name, verdict, words, content):
    case("json/" + name, verdict, words, {"tokenizer.json": content})


def json_texts():
    whole = encoded(BYTE_LEVEL)
    json_case("byte-level", "legal", "", BYTE_LEVEL)
    json_case("sentence", "legal", "", SENTENCE)
    raw_json("empty", "refused", "not valid JSON", b"")
    for i, at in enumerate((1, 20, 100, len(whole) // 2, len(whole) - 20, len(whole) - 1)):
        raw_json(f"cut-{i}", "refused", "not valid JSON", whole[:at])
    raw_json("behind", "refused", "not valid JSON", whole + b"x")
    raw_json("zero-behind", "refused", "not valid JSON", whole + b"\0")
    raw_json("spaces-behind", "legal", "", whole + b" \n\n")
    raw_json("not-utf8", "refused", "not valid JSON", whole.replace(b'"he"', b'"h\xff"'))
    raw_json("surrogate", "refused", "not valid JSON", whole.replace(b'"hel": 257', b'"\\ud800": 257'))
    raw_json("comment", "refused", "not valid JSON", whole.replace(b"{", b"{/* */", 1))
    raw_json("deep", "refused", "nested too deep", b'{"model":' + b"[" * 100000)
    raw_json("deep-in-merges", "refused", "entry 0 is not two pieces", b'{"model":{"merges":' + b"[" * 100000)
    raw_json("deep-in-vocabulary", "refused", "no number", b'{"model":{"vocab":{"a":' + b"[" * 100000)
    raw_json("deep-in-pieces", "refused", "nested too deep", b'{"model":{"vocab":' + b"[" * 100000)
    raw_json("key-twice", "refused", "'model' stands twice", b'{"model": {}, "model": {}}')
    for kind in ("[]", "1", "null", '"text"', "true"):
        raw_json("is-" + kind.strip('"[]') + str(len(kind)), "refused", "not an object", kind.encode())
    raw_json("no-model", "refused", "model is missing", b"{}")
    raw_json("page", "refused", "not valid JSON", b"<!DOCTYPE html><html></html>")
    raw_json("pointer", "refused", "not valid JSON", b"version https://git-lfs.github.com/spec/v1\n")


def json_models():
    for value in (None, 1, [], "BPE"):
        json_case(f"model-{value}", "refused", "model is missing or not an object", BYTE_LEVEL, ("model", value))
    for kind in ("Unigram", "WordPiece", "WordLevel", "bpe", ""):
        json_case(f"type-{kind}", "refused", f"model.type is '{kind}'", BYTE_LEVEL, ("model", "type", kind))
    json_case("type-1", "refused", "model.type", BYTE_LEVEL, ("model", "type", 1))
    json_case("type-missing", "legal", "", BYTE_LEVEL, ("model", "type", ...))
    json_case("unigram", "refused", "model.type is 'Unigram'", BYTE_LEVEL,
              ("model", {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.5]]}))
    for value in ([], None, 1, "x", [["a", 1]]):
        json_case(f"vocab-{json.dumps(value)[:6]}".replace("[", "list").replace('"', ""), "refused",
                  "model.vocab is not an object", BYTE_LEVEL, ("model", "vocab", value))
    json_case("vocab-missing", "refused", "model.vocab is not an object", BYTE_LEVEL, ("model", "vocab", ...))
    json_case("vocab-empty", "refused", "model.vocab is empty", BYTE_LEVEL, ("model", "vocab", {}))
    for name, value, words in (("negative", -1, "no natural number"), ("float", 1.5, "no natural number"),
                               ("text", "1", "no natural number"), ("null", None, "no natural number"),
                               ("true", True, "no natural number"), ("list", [1], "no number"),
                               ("object", {}, "no number"), ("large", 2**21, "more than malina reads"),
                               ("huge", 2**63, "more than malina reads"), ("twice", 5, "the id 5 is given to"),
                               ("beyond", 2**64, "no natural number")):
        json_case(f"id-{name}", "refused", words, BYTE_LEVEL, ("model", "vocab", "hel", value))
    json_case("id-gap", "legal", "", BYTE_LEVEL, ("model", "vocab", "hel", 1000))
    json_case("vocab-empty-text", "refused", "token 400 has no text", BYTE_LEVEL, ("model", "vocab", "", 400))
    raw_json("vocab-text-twice", "refused", "are both 'he'",
             encoded(BYTE_LEVEL).replace(b'"hel": 257', b'"he": 257').replace(b', "he l"', b""))
    for value in ({}, None, 1, "h e"):
        json_case(f"merges-{json.dumps(value)}".replace('"', ""), "refused", "model.merges is not an array",
                  BYTE_LEVEL, ("model", "merges", value))
    json_case("merges-missing", "refused", "model.merges is not an array", BYTE_LEVEL, ("model", "merges", ...))
    json_case("merges-empty", "legal", "", BYTE_LEVEL, ("model", "merges", []))
    json_case("merges-pairs", "legal", "", BYTE_LEVEL, ("model", "merges", [["h", "e"], ["he", "l"]]))
    json_case("merges-mixed", "legal", "", BYTE_LEVEL, ("model", "merges", ["h e", ["he", "l"]]))
    json_case("merges-repeated", "legal", "", BYTE_LEVEL, ("model", "merges", ["h e", "he l", "h e", "h e"]))
    for i, value in enumerate(("he", "", " ", "h ", " e", "h  e", "h e l", 1, None, [], ["h"], ["h", "e", "l"],
                               ["h", 1], ["h", ""], [["h", "e"]], {"h": "e"}, True, 1.5)):
        json_case(f"merge-{i}", "refused", "entry 1 is not two pieces", BYTE_LEVEL,
                  ("model", "merges", ["h e", value]))
    json_case("merge-unknown-left", "refused", "needs 'xyz', which is not in model.vocab", BYTE_LEVEL,
              ("model", "merges", ["xyz e"]))
    json_case("merge-unknown-right", "refused", "needs 'xyz', which is not in model.vocab", BYTE_LEVEL,
              ("model", "merges", ["h xyz"]))
    json_case("merge-unknown-result", "refused", "needs 'lh', which is not in model.vocab", BYTE_LEVEL,
              ("model", "merges", ["l h"]))
    json_case("dropout", "refused", "model.dropout", BYTE_LEVEL, ("model", "dropout", 0.1))
    json_case("dropout-0", "legal", "", BYTE_LEVEL, ("model", "dropout", 0.0))
    json_case("prefix", "refused", "continuing_subword_prefix", BYTE_LEVEL, ("model", "continuing_subword_prefix", "##"))
    json_case("suffix", "refused", "end_of_word_suffix", BYTE_LEVEL, ("model", "end_of_word_suffix", "</w>"))
    json_case("suffix-empty", "legal", "", BYTE_LEVEL, ("model", "end_of_word_suffix", ""))
    json_case("unknown-1", "refused", "unk_token is no text", BYTE_LEVEL, ("model", "unk_token", 1))
    json_case("unknown-not-there", "refused", "unk_token '<none>' is not in model.vocab", SENTENCE,
              ("model", "unk_token", "<none>"))
    for key in ("fuse_unk", "byte_fallback", "ignore_merges"):
        json_case(f"{key}-1", "refused", f"model.{key} is neither", BYTE_LEVEL, ("model", key, 1))
        json_case(f"{key}-missing", "legal", "", BYTE_LEVEL, ("model", key, ...))
    json_case("byte-level-fallback", "refused", "byte_fallback is set", BYTE_LEVEL, ("model", "byte_fallback", True))
    json_case("fallback-missing-byte", "refused", "not every byte", SENTENCE, ("model", "vocab", "<0x41>", ...))
    json_case("no-fallback-no-fuse", "refused", "fuse_unk is not set", SENTENCE,
              ("model", "byte_fallback", False), ("model", "fuse_unk", False))
    json_case("no-fallback", "legal", "", SENTENCE, ("model", "byte_fallback", False))


def json_added():
    for value in ({}, 1, "x", True):
        json_case(f"added-{json.dumps(value)}".replace('"', ""), "refused", "added_tokens is not an array",
                  BYTE_LEVEL, ("added_tokens", value))
    json_case("added-null", "legal", "", BYTE_LEVEL, ("added_tokens", None))
    json_case("added-missing", "legal", "", BYTE_LEVEL, ("added_tokens", ...))
    for i, value in enumerate((None, 1, "x", [])):
        json_case(f"added-entry-{i}", "refused", "entry 1 is not an object", BYTE_LEVEL, ("added_tokens", 1, value))
    for value in (..., None, "1", -1, 1.5, 2**21, 2**64):
        name = "missing" if value is ... else value
        json_case(f"added-id-{name}", "refused", "entry 1 has an id that is no token's", BYTE_LEVEL,
                  ("added_tokens", 1, "id", value))
    for value in (..., None, 1, []):
        name = "missing" if value is ... else json.dumps(value)
        json_case(f"added-content-{name}", "refused", "entry 1 has no content", BYTE_LEVEL,
                  ("added_tokens", 1, "content", value))
    json_case("added-content-empty", "refused", "added token 259 is empty", BYTE_LEVEL, ("added_tokens", 1, "content", ""))
    for key in ("special", "normalized", "lstrip", "rstrip", "single_word"):
        json_case(f"added-{key}-1", "refused", f"{key} is neither true nor false", BYTE_LEVEL,
                  ("added_tokens", 1, key, 1))
        json_case(f"added-{key}-missing", "legal", "", BYTE_LEVEL, ("added_tokens", 1, key, ...))
    json_case("added-single-word", "refused", "is single_word", BYTE_LEVEL, ("added_tokens", 1, "single_word", True))
    json_case("added-other-text", "refused", "is given to 'he' and to the added token '</s>'", BYTE_LEVEL,
              ("added_tokens", 1, "id", 256))
    json_case("added-same-id", "refused", "is given to '<s>' and to the added token '</s>'", BYTE_LEVEL,
              ("added_tokens", 1, "id", 258))
    json_case("added-same-text", "refused", "are both '<s>'", BYTE_LEVEL, ("added_tokens", 1, "content", "<s>"))
    json_case("added-gap", "legal", "", BYTE_LEVEL, ("added_tokens", 1, "id", 300))


def json_steps():
    level = BYTE_LEVEL["pre_tokenizer"]
    for key, kinds in (("normalizer", ("NFKC", "NFD", "Lowercase", "Strip", "StripAccents", "Precompiled",
                                       "BertNormalizer", "ByteLevel", "x")),
                       ("pre_tokenizer", ("Whitespace", "WhitespaceSplit", "BertPreTokenizer", "Punctuation",
                                          "UnicodeScripts", "CharDelimiterSplit", "x")),
                       ("post_processor", ("RobertaProcessing", "BertProcessing", "x")),
                       ("decoder", ("WordPiece", "CTC", "BPEDecoder", "x"))):
        for kind in kinds:
            json_case(f"{key}-{kind}", "refused", f"a {key} of type '{kind}'|neither ByteLevel nor Metaspace",
                      BYTE_LEVEL, (key, {"type": kind}))
        for value in ([], 1, "x", True):
            json_case(f"{key}-is-{json.dumps(value)}".replace('"', ""), "refused", f"a {key} is not an object",
                      BYTE_LEVEL, (key, value))
        json_case(f"{key}-without-type", "refused", f"a {key} has no type", BYTE_LEVEL, (key, {}))
        json_case(f"{key}-type-1", "refused", f"a {key} has no type", BYTE_LEVEL, (key, {"type": 1}))
        json_case(f"{key}-sequence-without-list", "refused", f"a {key} of type Sequence has no", BYTE_LEVEL,
                  (key, {"type": "Sequence"}))
    for i, value in enumerate((None, 1, "x", {})):
        json_case(f"sequence-{i}", "refused", "is not an array|neither", BYTE_LEVEL,
                  ("normalizer", {"type": "Sequence", "normalizers": value}))
    json_case("nfc", "legal", "", BYTE_LEVEL, ("normalizer", {"type": "NFC"}))
    json_case("no-pre-tokenizer", "refused", "neither ByteLevel nor Metaspace", BYTE_LEVEL, ("pre_tokenizer", None))
    json_case("prefix-space", "refused", "add_prefix_space", BYTE_LEVEL, ("pre_tokenizer", {**level, "add_prefix_space": True}))
    json_case("prefix-space-1", "refused", "neither true nor false", BYTE_LEVEL, ("pre_tokenizer", {**level, "add_prefix_space": 1}))
    json_case("no-split", "refused", "does not know", BYTE_LEVEL, ("pre_tokenizer", {**level, "use_regex": False}))

    def split(name, verdict, words, pattern, behavior="Isolated", **more):
        json_case(name, verdict, words, BYTE_LEVEL, ("pre_tokenizer", {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": False, **more},
            {**level, "use_regex": False}]}))
    qwen = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    split("split", "legal", "", {"Regex": qwen})
    split("split-unknown", "refused", r"does not know, the last is '[a-z]+'", {"Regex": "[a-z]+"})
    for i, look in enumerate(("(?=x)", "(?!x)", "(?<=x)", "(?<!x)")):
        split(f"split-looks-around-{i}", "refused", "looks around", {"Regex": r"\s+(?!\S)|a" + look})
    split("split-idiom-alone", "refused", "does not know", {"Regex": r"\s+(?!\S)"})
    split("split-invalid", "refused", "does not know", {"Regex": "(((["})
    split("split-long", "refused", "does not know", {"Regex": "a" * 100000})
    split("split-text", "refused", "cuts at the text", {"String": "x"})
    for i, pattern in enumerate((None, "x", {}, {"Regex": 1}, {"String": None}, [])):
        split(f"split-pattern-{i}", "refused", "pattern is neither", pattern)
    for behavior in ("Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous", "x"):
        split(f"split-{behavior}", "refused", f"behavior '{behavior}'", {"Regex": qwen}, behavior)
    split("split-behavior-1", "refused", "behavior is no text", {"Regex": qwen}, 1)
    split("split-inverted", "refused", "inverted", {"Regex": qwen}, invert=True)
    split("split-removed-inverted", "legal", "", {"Regex": qwen}, "Removed", invert=True)
    json_case("behind-byte-level", "refused", "stands behind ByteLevel", BYTE_LEVEL,
              ("pre_tokenizer", {"type": "Sequence", "pretokenizers": [level, level]}))
    json_case("marks-and-bytes", "refused", "behind a normalizer that marks spaces", BYTE_LEVEL,
              ("normalizer", SENTENCE["normalizer"]))

    json_case("prepend-other", "refused", "puts another text", SENTENCE, ("normalizer", "normalizers", 0, "prepend", "_"))
    json_case("prepend-nothing", "refused", "has no prepend", SENTENCE, ("normalizer", "normalizers", 0, "prepend", ...))
    json_case("replace-other", "refused", "replaces only a space", SENTENCE,
              ("normalizer", "normalizers", 1, "pattern", {"String": "x"}))
    json_case("replace-content", "refused", "replaces only a space", SENTENCE,
              ("normalizer", "normalizers", 1, "content", "x"))
    json_case("nfc-and-marks", "refused", "NFC", SENTENCE, ("normalizer", "normalizers", 0, {"type": "NFC"}))
    meta = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "first", "split": False}

    def metaspace(name, verdict, words, **changes):
        json_case(name, verdict, words, SENTENCE, ("normalizer", None), ("pre_tokenizer", {**meta, **changes}))
    metaspace("metaspace", "legal", "")
    metaspace("metaspace-split", "legal", "", split=True)
    metaspace("metaspace-scheme", "refused", "prepend_scheme 'x'", prepend_scheme="x")
    metaspace("metaspace-scheme-1", "refused", "prepend_scheme is no text", prepend_scheme=1)
    metaspace("metaspace-mark", "refused", "marks spaces by something other", replacement="_")
    json_case("metaspace-twice", "refused", "what a normalizer prepends too", SENTENCE, ("pre_tokenizer", meta))
    json_case("metaspace-across", "refused", "goes across words", SENTENCE, ("normalizer", None),
              ("pre_tokenizer", {**meta, "split": True}), ("model", "vocab", "e" + MARK, 265),
              ("model", "merges", ["h e", f"e {MARK}"]))
    single = SENTENCE["post_processor"]["single"]
    for i, (words, value) in enumerate((
            ("single is not an array", {}), ("neither token nor text", [1]), ("neither token nor text", [{}]),
            ("leaves the text out", []), ("leaves the text out", single[:1]),
            ("repeats the text", single + single[1:]), ("more than one token", single[:1] + single),
            ("token without id", [{"SpecialToken": {}}, single[1]]), ("token without id", [{"SpecialToken": {"id": 1}}, single[1]]),
            ("token without id", [{"SpecialToken": 1}, single[1]]),
            ("does not say the ids of 'x'", [{"SpecialToken": {"id": "x"}}, single[1]]))):
        json_case(f"template-{i}", "refused", words, SENTENCE, ("post_processor", "single", value))
    for i, (words, value) in enumerate((
            ("does not say the ids", {}), ("does not say the ids", {"<s>": 1}), ("does not say the ids", {"<s>": {"ids": 1}}),
            ("many tokens", {"<s>": {"ids": []}}), ("many tokens", {"<s>": {"ids": [1, 2]}}),
            ("bad id", {"<s>": {"ids": [-1]}}), ("bad id", {"<s>": {"ids": [2**40]}}), ("bad id", {"<s>": {"ids": ["1"]}}),
            ("beyond the vocabulary|is not the bos_token", {"<s>": {"ids": [5000]}}))):
        json_case(f"template-ids-{i}", "refused", words, SENTENCE, ("post_processor", "special_tokens", value))
    json_case("decoder-replace", "refused", "does something other", SENTENCE, ("decoder", "decoders", 0, "content", "x"))


# ---------------------------------------------------------------- tokenizer.model

def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value if isinstance(value, bytes) else value.encode()
    return varint(number << 3 | 2) + varint(len(data)) + data


def piece(text, score=0.0, kind=1):
    return field(1, field(1, text) + field(2, score) + field(3, kind))


CONTROLS = [piece("<unk>", 0.0, 2), piece("<s>", 0.0, 3), piece("</s>", 0.0, 3)]
BYTES = [piece(f"<0x{b:02X}>", 0.0, 6) for b in range(256)]
PIECES = [piece("he", -1.0), piece(MARK + "he", -2.0), piece(MARK, -3.0), piece("h", -4.0), piece("e", -5.0)]
TRAINER = field(2, field(3, 2) + field(35, 1))
NORMALIZER = field(3, field(1, "identity") + field(3, 1) + field(4, 0) + field(5, 1))
MODEL = b"".join(CONTROLS + BYTES + PIECES) + TRAINER + NORMALIZER
NO_BYTES = b"".join(CONTROLS + PIECES) + field(2, field(3, 2)) + NORMALIZER


def model_case(name, verdict, words, content):
    case("model/" + name, verdict, words, {"tokenizer.model": content})


def models():
    model_case("whole", "legal", "", MODEL)
    model_case("no-bytes", "legal", "", NO_BYTES)
    model_case("empty", "refused", "holds no pieces", b"")
    cuts = [1, 2, 3, 5, 9, 14, 20, 30, 100, 1000, len(MODEL) // 2, len(MODEL) - len(NORMALIZER) - 1,
            len(MODEL) - len(NORMALIZER) - 3, len(MODEL) - 1, len(MODEL) - 3, len(MODEL) - 8]
    for at in cuts:
        model_case(f"cut-{at}", "refused", "ends inside|holds no pieces|model_type is 1|pieces for", MODEL[:at])
    model_case("zeros", "refused", "number that no field has", bytes(64))
    model_case("ones", "refused", "more than 64 bits", b"\xff" * 64)
    model_case("text", "refused", "wire type|ends inside|number", b"Once upon a time there was a model.\n")
    model_case("page", "refused", "wire type|ends inside|number", b"<!DOCTYPE html>\n<html></html>")
    model_case("pointer", "refused", "wire type|ends inside|number", b"version https://git-lfs.github.com/spec/v1\n")
    model_case("json", "refused", "wire type|ends inside|number", encoded(BYTE_LEVEL))
    model_case("gguf", "refused", "wire type|ends inside|number", b"GGUF" + bytes(60))
    for wire in (3, 4, 6, 7):
        model_case(f"wire-{wire}", "refused", f"wire type {wire}, which is not read", MODEL + varint(9 << 3 | wire))
        model_case(f"wire-{wire}-inside", "refused", f"wire type {wire}", field(1, varint(9 << 3 | wire)) + MODEL)
    model_case("field-0", "refused", "number that no field has", MODEL + varint(2) + b"\0")
    model_case("field-large", "refused", "number that no field has", MODEL + varint(2**29 << 3) + b"\0")
    model_case("field-last", "legal", "", MODEL + varint((2**29 - 1) << 3) + b"\0")
    model_case("field-unknown", "legal", "", MODEL + field(100, "text") + field(200, 7) + field(300, 1.0))
    model_case("field-unknown-64", "legal", "", MODEL + varint(9 << 3 | 1) + bytes(8))
    model_case("field-unknown-64-cut", "refused", "ends inside of a field", MODEL + varint(9 << 3 | 1) + bytes(7))
    for name, length in (("1", 1), ("million", 10**6), ("32", 2**32), ("63", 2**63), ("64", 2**64 - 1)):
        model_case(f"length-{name}", "refused", "ends inside of a field", MODEL + varint(9 << 3 | 2) + varint(length))
        model_case(f"piece-length-{name}", "refused", "ends inside of a field", MODEL + varint(1 << 3 | 2) + varint(length))
        model_case(f"text-length-{name}", "refused", "ends inside of a field",
                   MODEL + field(1, varint(1 << 3 | 2) + varint(length)))
    model_case("varint-10", "legal", "", MODEL + varint(9 << 3) + b"\xff" * 9 + b"\x01")
    model_case("varint-10-large", "refused", "more than 64 bits", MODEL + varint(9 << 3) + b"\xff" * 9 + b"\x02")
    model_case("varint-11", "refused", "more than 64 bits", MODEL + varint(9 << 3) + b"\xff" * 10 + b"\x01")
    model_case("varint-long-zero", "legal", "", MODEL + varint(9 << 3) + b"\x80" * 9 + b"\x00")
    model_case("varint-unfinished", "refused", "ends inside of a number", MODEL + varint(9 << 3) + b"\x80")
    for number, name in ((1, "pieces"), (2, "trainer_spec"), (3, "normalizer_spec")):
        model_case(f"{name}-number", "refused", f"{name} has the wire type 0", MODEL + field(number, 1))
        model_case(f"{name}-float", "refused", f"{name} has the wire type 5", MODEL + field(number, 1.0))
    for number, name, value in ((1, "piece", 1), (1, "piece", 1.0), (2, "score", 1), (2, "score", "x"),
                                (3, "type", 1.0), (3, "type", "x")):
        model_case(f"piece-{name}-{type(value).__name__}", "refused", f"{name} has the wire type",
                   MODEL + field(1, field(number, value)))
    for number, name in ((3, "model_type"), (24, "treat_whitespace_as_suffix"), (35, "byte_fallback")):
        model_case(f"trainer-{name}-text", "refused", f"trainer_spec.{name} has the wire type 2",
                   MODEL + field(2, field(number, "x")))
    for number, name in ((46, "bos_piece"), (47, "eos_piece"), (48, "pad_piece")):
        model_case(f"trainer-{name}-number", "refused", f"trainer_spec.{name} has the wire type 0",
                   MODEL + field(2, field(number, 1)))
    for number, name, value in ((1, "name", 1), (2, "precompiled_charsmap", 1), (3, "add_dummy_prefix", "x"),
                                (4, "remove_extra_whitespaces", "x"), (5, "escape_whitespaces", "x")):
        model_case(f"normalizer-{name}", "refused", f"normalizer_spec.{name} has the wire type",
                   MODEL + field(3, field(number, value)))
    for kind in (0, 7, 8, 100, 2**32, 2**63):
        model_case(f"type-{kind}", "refused", f"has the type {kind}, not 1 to 6", piece("x", 0.0, kind) + MODEL)
    model_case("type-unused", "legal", "", MODEL + piece("x", 0.0, 5))
    model_case("type-user", "legal", "", MODEL + piece("x", 0.0, 4))
    model_case("piece-empty", "refused", "piece 264 is empty", MODEL + piece(""))
    model_case("piece-nothing", "refused", "piece 264 is empty", MODEL + field(1, b""))
    model_case("piece-not-utf8", "legal", "", MODEL + piece(b"\xff\xfe"))
    model_case("piece-zero", "legal", "", MODEL + piece(b"\0"))
    model_case("piece-twice", "refused", "piece 264 repeats an earlier one, 'he'", MODEL + piece("he"))
    model_case("piece-fields-twice", "legal", "", MODEL + field(1, field(1, "y") + field(1, "x")))
    model_case("score-nan", "refused", "score of piece 264 is not a number", MODEL + piece("x", float("nan")))
    model_case("score-infinite", "legal", "", MODEL + piece("x", float("-inf")))
    model_case("unknown-none", "refused", "0 pieces of type unknown", MODEL[len(CONTROLS[0]):])
    model_case("unknown-two", "refused", "2 pieces of type unknown", MODEL + piece("x", 0.0, 2))
    model_case("byte-spelling", "refused", "not of the form <0x41>", MODEL + piece("<0x4>", 0.0, 6))
    model_case("byte-without-fallback", "refused", "byte_fallback is not set", NO_BYTES + BYTES[0])
    model_case("byte-missing", "refused", "pieces for 255 bytes", MODEL.replace(BYTES[65], b""))
    model_case("bytes-missing", "refused", "pieces for 0 bytes", b"".join(CONTROLS + PIECES) + TRAINER + NORMALIZER)
    for kind, name in ((0, "none"), (1, "unigram"), (3, "word"), (4, "char"), (5, "unknown"), (2**40, "unknown")):
        model_case(f"kind-{kind}", "refused", f"model_type is {kind} ({name})", MODEL + field(2, field(3, kind)))
    model_case("kind-missing", "refused", "model_type is 1 (unigram)", b"".join(CONTROLS + PIECES) + NORMALIZER)
    model_case("charsmap", "refused", "rewrites characters by the rules 'nmt_nfkc'",
               MODEL + field(3, field(1, "nmt_nfkc") + field(2, b"\0\1\2")))
    model_case("charsmap-empty", "legal", "", MODEL + field(3, field(2, b"")))
    model_case("removes-spaces", "refused", "remove_extra_whitespaces", MODEL + field(3, field(4, 1)))
    model_case("no-normalizer", "refused", "remove_extra_whitespaces", b"".join(CONTROLS + BYTES + PIECES) + TRAINER)
    model_case("no-escapes", "refused", "escape_whitespaces", MODEL + field(3, field(5, 0)))
    model_case("suffix", "refused", "treat_whitespace_as_suffix", MODEL + field(2, field(24, 1)))
    model_case("no-prefix", "legal", "", MODEL + field(3, field(3, 0)))
    model_case("bos-other", "legal", "", MODEL + field(2, field(46, "he")))
    model_case("only-unknown", "legal", "", CONTROLS[0] + field(2, field(3, 2)) + NORMALIZER)
    for i in range(24):  # one byte wrong in the middle of the trainer's and the normalizer's fields
        at = len(MODEL) - 1 - i
        model_case(f"noise-{i}", "", "", MODEL[:at] + bytes([MODEL[at] ^ 0x55]) + MODEL[at + 1:])


# ---------------------------------------------------------------- the files beside them

def settings_case(name, verdict, words, base=BYTE_LEVEL, **files):
    content = {"tokenizer.json": encoded(base)} if isinstance(base, dict) else {"tokenizer.model": base}
    for key, value in files.items():
        file = "chat_template.jinja" if key == "template" else key + ".json"
        content[file] = value if isinstance(value, bytes) else encoded(value)
    case("settings/" + name, verdict, words, content)


def settings():
    good = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": True}
    settings_case("usual", "legal", "", tokenizer_config=good, generation_config={"eos_token_id": [258, 259]},
                  config={"vocab_size": 300, "eos_token_id": 259}, template=b"{{ messages }}",
                  special_tokens_map={"bos_token": "<s>"}, added_tokens={"<s>": 258})
    for name in ("tokenizer_config", "special_tokens_map", "added_tokens", "generation_config", "config",
                 "chat_template"):
        for i, content in enumerate((b"", b"{", b"[]", b"null", b"{}x", b'{"a":1,"a":2}', b"[" * 1000)):
            settings_case(f"{name}-{i}", "refused",
                          "not valid JSON|not an object|stands twice|nested", **{name: content})
    for key in ("add_bos_token", "add_eos_token", "add_prefix_space", "legacy"):
        settings_case(f"config-{key}", "refused", f"{key} is neither", tokenizer_config={key: "yes"})
        settings_case(f"config-{key}-null", "legal", "", tokenizer_config={key: None})
    for i, value in enumerate((1, [], {"content": 1}, True)):
        settings_case(f"bos-{i}", "refused", "bos_token is not the text", tokenizer_config={"bos_token": value})
    settings_case("bos-not-there", "legal", "", tokenizer_config={"bos_token": "<none>"})
    for i, value in enumerate(({}, "x", [1], [{}], [{"content": 1}])):
        settings_case(f"more-{i}", "refused", "additional_special_tokens", tokenizer_config={"additional_special_tokens": value})
    for i, (words, value) in enumerate((
            ("not an object", []), ("is not an object", {"300": 1}), ("has no content", {"300": {}}),
            ("is not the id", {"x": {"content": "a"}}), ("is not the id", {"-1": {"content": "a"}}),
            ("is not the id", {"99999999999999999999": {"content": "a"}}), ("is not the id", {"2097152": {"content": "a"}}),
            ("is not the id", {"1x": {"content": "a"}}), ("twice", {"300": {"content": "<a>"}, "0300": {"content": "<b>"}}),
            ("is given to '<s>'", {"258": {"content": "<x>"}}), ("are both '<s>'", {"300": {"content": "<s>"}}),
            ("is single_word", {"300": {"content": "<x>", "single_word": True}}))):
        settings_case(f"decoder-{i}", "refused", words, tokenizer_config={"added_tokens_decoder": value})
        settings_case(f"decoder-model-{i}", "refused", words.replace("<s>", "<s>"), MODEL,
                      tokenizer_config={"added_tokens_decoder": value if "258" not in value else {"1": {"content": "<x>"}}})
    for i, value in enumerate((1, {}, [1], [{}], [{"name": "a"}], [{"name": "a", "template": 1}],
                               [{"name": "a", "template": "x"}, {"name": "a", "template": "x"}])):
        settings_case(f"template-{i}", "refused", "chat_template", tokenizer_config={"chat_template": value})
    settings_case("templates-alike", "refused", "nearly the same name",
                  tokenizer_config={"chat_template": [{"name": "a b", "template": "x"}, {"name": "a_b", "template": "x"}]})
    settings_case("template-list", "legal", "",
                  tokenizer_config={"chat_template": [{"name": "default", "template": "x"}, {"name": "tool_use", "template": "y"}]})
    settings_case("template-json-1", "refused", "chat_template is not a text", chat_template={"chat_template": 1})
    for i, value in enumerate((0, -1, "x", 1.5, 2**21 + 1, 2**64, [])):
        settings_case(f"size-{i}", "refused", "vocab_size", config={"vocab_size": value})
    settings_case("size-short", "legal", "", config={"vocab_size": 259})
    settings_case("size-too-short", "refused", "which is not in model.vocab", config={"vocab_size": 100})
    settings_case("size-inner", "legal", "", config={"text_config": {"vocab_size": 400}})
    settings_case("size-inner-not-object", "legal", "", config={"text_config": 7})
    for i, value in enumerate(("x", 1.5, {}, True, [[1]], ["x"], 2**40)):
        settings_case(f"eos-{i}", "refused", "eos_token_id is not the id", generation_config={"eos_token_id": value})
        settings_case(f"config-eos-{i}", "refused", "eos_token_id is not the id", config={"eos_token_id": value})
    for i, value in enumerate((None, -1, [], [-1, 259], 1999)):
        settings_case(f"eos-odd-{i}", "legal", "", generation_config={"eos_token_id": value})
    for i, value in enumerate(("x", -1, None, [1], 2**40)):
        settings_case(f"added-{i}", "refused", "'<x>' is not the id", added_tokens={"<x>": value})
    settings_case("added-clash", "refused", "is given to '<s>'", added_tokens={"<x>": 258})
    settings_case("bos-of-template", "refused", "which is not the bos_token", SENTENCE, tokenizer_config={"bos_token": "</s>"})
    settings_case("model-added", "legal", "", MODEL, added_tokens={"<x>": 264},
                  tokenizer_config={"added_tokens_decoder": {"265": {"content": "<y>", "special": True, "rstrip": True}}})
    case("settings/both-alike", "legal", "", {"tokenizer.json": encoded(SENTENCE), "tokenizer.model": MODEL})
    case("settings/both-model-broken", "refused", "ends inside", {"tokenizer.json": encoded(SENTENCE), "tokenizer.model": MODEL[:-1]})
    case("settings/neither", "refused", "neither tokenizer.json nor tokenizer.model", {"config.json": b"{}"})


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for make in (json_texts, json_models, json_added, json_steps, models, settings):
        make()
    root = sys.argv[1]
    assert len({path for path, *_ in CASES}) == len(CASES), "two cases have the same name"
    for path, _, _, files in CASES:
        folder = os.path.join(root, path)
        os.makedirs(folder, exist_ok=True)
        for name, content in files.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
    with open(os.path.join(root, "table.tsv"), "w", encoding="utf-8") as file:
        for path, verdict, words, _ in CASES:
            file.write(f"{path}\t{verdict or 'either'}\t{words}\n")
    for part in ("json", "model", "settings"):
        broken = sum(row[0].startswith(part) and row[1] == "refused" for row in CASES)
        print(f"{part}: {broken} broken")


if __name__ == "__main__":
    main()
