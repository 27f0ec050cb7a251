#!/usr/bin/env python3
"""Writes the starting inputs of the tokenizer fuzz target: fuzz/corpus/tokenizer/*.bin.

The format is the one at the top of tokenizer_fuzz.cpp. Each seed is a vocabulary that is accepted (but
for the two named `cut`) and a text that uses it, so that mutation starts inside of encode().

    python3 fuzz/make_tokenizer_seeds.py
"""

import pathlib

FOLDER = pathlib.Path(__file__).parent / "corpus" / "tokenizer"

BYTE_LEVEL, ALL_BYTES, NO_SPACE_PREFIX, CUT_TYPES, CUT_SCORES, IDS = 1, 2, 4, 8, 16, 32
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
RULES = ["gpt-2", "smollm", "llama-bpe", "tekken", "gpt-4o", "falcon", "default", "bloom", "viking",
         "bailingmoe", "deepseek-llm", "deepseek-v3"]

UNICODE = "Köln 東京 \U0001f468‍\U0001f469 e\u0301 العربية \u00a0\u2003 Σς ſ"


def byte_letters():
    """How a byte-level vocabulary spells each byte."""
    letters, following = [], 0x100
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174:
            letters.append(chr(byte))
        else:
            letters.append(chr(following))
            following += 1
    return letters


def seed(text, flags=0, rule="gpt-2", pieces=(), merges=(), ids=()):
    """`pieces`: (text, type) or (text, type, score below 32); `merges`: pairs of pieces' texts."""
    known = []
    if flags & ALL_BYTES:
        known = byte_letters() if flags & BYTE_LEVEL else [*(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    data = bytearray([flags, RULES.index(rule), len(pieces)])
    for piece, kind, *score in pieces:
        spelled = piece.encode()
        assert len(spelled) < 10, piece
        data += bytes([kind | (score[0] if score else 0) << 3, len(spelled)]) + spelled
        known.append(piece)
    data.append(len(merges))
    for left, right in merges:
        first, second = known.index(left), known.index(right)
        # The target takes the second piece at (first * 7 + code); an odd code adds the joined piece.
        codes = [code for code in range(256) if (first * 7 + code) % len(known) == second]
        assert first < 256 and codes, f"{left} + {right} cannot be written"
        code = max(codes, key=lambda code: code & 1)
        data += bytes([first, code])
        if code & 1:
            known.append(left + right)
    assert bool(flags & IDS) == (len(ids) == 3)
    data += bytes(ids)
    return bytes(data) + (text if isinstance(text, bytes) else text.encode())


def normal(*pieces):
    return [(piece, NORMAL) for piece in pieces]


CHAT = [("<s>", CONTROL), ("</s>", CONTROL), ("<|user|>", CONTROL), ("<a>", USER_DEFINED)]
WORDS = normal("h", "e", "l", "o", "Ġ", "w", "r", "d", "he", "ll", "llo", "hello", "Ġw")
WORD_MERGES = [("h", "e"), ("l", "l"), ("ll", "o"), ("he", "llo"), ("Ġ", "w")]
SENTENCE = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL),
            *((piece, NORMAL, score) for piece, score in
              [("▁", 1), ("h", 1), ("e", 1), ("l", 1), ("o", 1), ("he", 9), ("ll", 8), ("llo", 7),
               ("hello", 6), ("▁he", 5), ("▁hello", 4)])]

SEEDS = {
    "byte-level-merges": seed("hello world", BYTE_LEVEL, pieces=WORDS, merges=WORD_MERGES),
    "byte-level-all-bytes": seed(bytes(range(256)), BYTE_LEVEL | ALL_BYTES),
    "byte-level-all-bytes-merges": seed(
        "hello the thing, 1234 times\r\n\r\n  don't", BYTE_LEVEL | ALL_BYTES, "llama-bpe",
        normal("he", "the", "ng"), [("h", "e"), ("t", "he"), ("n", "g"), ("i", "ng"), ("Ġ", "the")]),
    "byte-level-unicode": seed(UNICODE, BYTE_LEVEL | ALL_BYTES, "gpt-4o",
                               normal("Ã¶", "æĿ"), [("Ã", "¶"), ("æ", "Ŀ")]),
    "byte-level-written-and-merged": seed("Köln 東京 æĿ", BYTE_LEVEL | ALL_BYTES, "gpt-4o",
                                          [("Ã¶", NORMAL), ("æĿ", USER_DEFINED)],
                                          [("Ã", "¶"), ("æ", "Ŀ")]),
    "byte-level-written": seed("東 " + UNICODE, BYTE_LEVEL | ALL_BYTES, "llama-bpe",
                               [("æĿ", USER_DEFINED), ("æĿ±", USER_DEFINED)]),
    "byte-level-digits-and-case": seed("HTTPServer2 über 1234567 ÀÉ aB'LL", BYTE_LEVEL | ALL_BYTES, "tekken"),
    "byte-level-ideographs": seed("東京都は한국어 x=1;\n\tif", BYTE_LEVEL | ALL_BYTES, "deepseek-v3"),
    "byte-level-special": seed("<s><|user|>hello<a> </s><a", BYTE_LEVEL | ALL_BYTES, "smollm",
                               [*CHAT, *normal("he")], [("h", "e")]),
    "byte-level-special-ids": seed("<s>a</s>b", BYTE_LEVEL | ALL_BYTES | IDS, "falcon",
                                   [("x", CONTROL), ("ab", NORMAL)], ids=(0, 97, 98)),
    "byte-level-missing-bytes": seed("hello \xff abc", BYTE_LEVEL | IDS, "default",
                                     [("<unk>", UNKNOWN), *WORDS], WORD_MERGES, (0, 1, 0)),
    "sentence-piece": seed("hello  hello hell o", 0, pieces=SENTENCE),
    "sentence-piece-all-bytes": seed(bytes(range(256)), ALL_BYTES),
    "sentence-piece-unicode": seed(UNICODE + "▁▁", ALL_BYTES,
                                   pieces=[("ö", NORMAL, 2), ("東", NORMAL, 3),
                                           ("東京", NORMAL, 9), ("京", NORMAL, 4), ("▁東", NORMAL, 5)]),
    "sentence-piece-special": seed("<s>hello<a> hello</s><unk><|user|>", ALL_BYTES,
                                   pieces=[*SENTENCE, ("<|user|>", CONTROL), ("<a>", USER_DEFINED)]),
    "sentence-piece-user-defined": seed("\n\n<a> <a>x<a", ALL_BYTES | NO_SPACE_PREFIX,
                                        pieces=[("<a>", USER_DEFINED), ("\n\n", USER_DEFINED), *SENTENCE]),
    "sentence-piece-unused": seed("abcabc abc", ALL_BYTES,
                                  pieces=[("a", NORMAL, 1), ("b", NORMAL, 1), ("c", NORMAL, 1),
                                          ("ab", UNUSED, 9), ("abc", NORMAL, 5), ("bc", NORMAL, 3)]),
    "sentence-piece-joining-words": seed("a a a b", IDS,
                                         pieces=[("<unk>", UNKNOWN), ("▁", NORMAL, 1), ("a", NORMAL, 1),
                                                 ("a▁", NORMAL, 4), ("a▁a", NORMAL, 6), ("▁a", NORMAL, 5)],
                                         ids=(1, 200, 0)),
    "cut-types": seed("hello", CUT_TYPES, pieces=SENTENCE),
    "cut-scores": seed("hello", BYTE_LEVEL | CUT_SCORES, pieces=WORDS),
}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in SEEDS.items():
        (FOLDER / f"{name}.bin").write_bytes(data)
    print(f"{len(SEEDS)} seeds in {FOLDER}")


if __name__ == "__main__":
    main()
