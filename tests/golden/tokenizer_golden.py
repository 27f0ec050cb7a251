"""Golden tokens: what Hugging Face tokenizers and sentencepiece give for texts of every kind.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 gguf==0.19.0
    python tests/golden/tokenizer_golden.py [SHARED_VOCABULARIES]

Writes tests/golden/tokenizer/: texts.json, one file a vocabulary with the ids of each text, and
pieces.json with the lengths of the pieces that each pre-tokeniser's own regular expressions cut.
Texts hold only characters that Unicode 14 knows: newer ones change their class with the version of
the tables, which is no matter of tokenisation.
"""

import json
import pathlib
import random
import sys
import unicodedata

import gguf
import sentencepiece
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE / "tokenizer"

WORDS = (
    "the of Hello world I'm you're WE'VE don't it's café naïve Führer über привет мир 日本語 テキスト"
    " 한국어 العربية עברית ไทย हिन्दी 你好 func( int main() { return 0; } <html> </div> == != += -> ::"
    " // /* */ 3.14159 1,000,000 2024-01-01 http://example.com/a?b=c&d=e foo_bar camelCase"
    " PascalCase ALLCAPS 😀 👨‍👩‍👧 🇩🇪 ½ Ⅻ ١٢٣ x² ﬁ ǅ ſ 'ſ ß ﷽ ▁ ▁▁ <s> </s> <unk> <0x41>"
    " <|endoftext|> <|im_start|> \u00a0 \u3000 \u2028 \u0085 \u200b \ufeff é ñ a\u0301 \u0301 \u0308"
).split(" ")
SPACES = [" ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\t\t", " \n", "\n ", "     ",
          " " * 20, "\u00a0", "\u3000", "\v", "\f", ""]
RANGES = [
    (0x20, 0x7E), (0x00, 0x7F), (0x80, 0x2FF), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF),
    (0x900, 0xDFF), (0xE00, 0xFFF), (0x1000, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2FFF),
    (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFD), (0x10000, 0x1FFFF),
    (0x1F300, 0x1FAFF), (0x20000, 0x2FFFF),
]
TRICKY = "aAbBzZ'sStTrReElLvVmMdD019 \n\r\t.,;:!?-_/\\(){}<>|=+*&^%$#@~`\"éßſ½日あ한\u0301😀"
FIXED = [
    "", " ", "  ", "\n", "a", "a b", "  a", "a  ", "a\n  b", " \n x", "  \r\n\n y  ", "x   ",
    "'S 'T 'RE 'ſ don'ſ", " 12345 678901", "ABCdef GHI日本XY", "Xǅab\u0301C", "e\u0301\u0323 é",
    "<s>x</s> <s> y", "\u1100\u1161\u11a8 \uac01", "if (x==1) {\n\treturn x/2;\n}\n",
]


def make_texts(count=180):
    source = random.Random(20240501)

    def characters(ranges, length):
        return "".join(chr(source.randint(*source.choice(ranges))) for _ in range(length))

    texts = list(FIXED)
    while len(texts) < count:
        kind = source.randrange(5)
        if kind == 0:
            text = characters([source.choice(RANGES)], source.randint(1, 24))
        elif kind == 1:
            text = characters(RANGES, source.randint(1, 24))
        elif kind == 2:
            text = "".join(source.choice(WORDS) + source.choice(SPACES)
                           for _ in range(source.randint(1, 16)))
        elif kind == 3:
            text = "".join(source.choice(TRICKY) for _ in range(source.randint(1, 50)))
        else:
            text = source.choice(["a", "A", " ", "\n", "0", "é", "日", "😀", "\t", "ab", "= ", "' ",
                                  "!\n"]) * source.randint(1, 60)
        # Python 3.11 has the tables of Unicode 14.
        texts.append("".join(c for c in text if unicodedata.category(c) not in ("Cn", "Cs")))
    return texts


LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙ"
    "ὛὝ\u1f5f-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌ\u1fd0-\u1fd3\u1fd6-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴ"
    "ℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⲳⳲꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
GPT2 = (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s"
         r"|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + TAIL)
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
             r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|" + TAIL)
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
WIDE = "[一-龥\u0800-一가-\ud7ff]+"
RULES = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "qwen2": [QWEN],
    "qwen35": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
               r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + TAIL],
    "llama-bpe": [QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)],
    "seed-coder": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}"
                   r"| ?[^\s\p{L}\p{N}\r\n]+|" + TAIL],
    "ufakzeka": [QWEN[len(CONTRACTIONS) + 1:]],
    "minicpm5": [r"\p{N}{1,3}", QWEN.replace(r"\p{N}|", r"\p{N}+|", 1)],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}"
                   r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "tekken": [CASED % ("", "", "")],
    "gpt-4o": [CASED % (CONTRACTIONS + "?", CONTRACTIONS + "?", "{1,3}")],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "deepseek-llm": [r"[\r\n]", r"\s?[" + LETTERS + "]+",
                     "\\s?[!-/:-~！-／：-～\u2018-\u201f\u3000-\u3002]+", r"\s+$", WIDE, r"\p{N}+"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", WIDE, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK3],
}


def pieces(texts):
    result = {}
    for name, expressions in RULES.items():
        splitter = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(e), "isolated") for e in expressions])
        result[name] = [[len(piece.encode()) for piece, _ in splitter.pre_tokenize_str(text)]
                        for text in texts]
    return result


def from_gguf(path, digits):
    """A byte-level tokenizer from the vocabulary and the merges of a GGUF file."""
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = []
    for line in fields["tokenizer.ggml.merges"].contents():
        space = line.index(" ", 1)
        merges.append((line[:space], line[space + 1:]))
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.Digits(True), level]) if digits else level)
    return tokenizer


def write(name, value):
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    (OUTPUT / name).write_text(text.replace("],[", "],\n[") + "\n")


def main():
    shared = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "../../../shared/vocab")
    OUTPUT.mkdir(exist_ok=True)
    texts = make_texts()
    write("texts.json", texts)
    write("pieces.json", pieces(texts))

    def hugging_face(name, vocabulary, tokenizer):
        write(name + ".json", {
            "vocabulary": vocabulary, "parse_special": True,
            "tokens": [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]})

    for name, digits in (("gpt-2", False), ("starcoder", True)):
        vocabulary = f"ggml-vocab-{name}.gguf"
        tokenizer = from_gguf(shared / vocabulary, digits)
        write(name + ".json", {
            "vocabulary": vocabulary, "parse_special": False,
            "tokens": [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]})
    hugging_face("phi-2", "phi-2.tokenizer.json",
                 Tokenizer.from_file(str(shared / "phi-2.tokenizer.json")))
    # The same pieces as tokenizer.model.v1, which has the scores that the test needs.
    hugging_face("mistral-v1-hf", "tokenizer.model.v1",
                 Tokenizer.from_file(str(shared / "mistral-v1.tokenizer.json")))
    hugging_face("llama-hf", "llama.tokenizer.json",
                 Tokenizer.from_file(str(shared / "llama.tokenizer.json")))
    for name, file in (("mistral-v1", "tokenizer.model.v1"),
                       ("mistral-v2", "mistral_instruct_tokenizer_240216.model.v2"),
                       ("mistral-v3", "mistral_instruct_tokenizer_240323.model.v3")):
        processor = sentencepiece.SentencePieceProcessor(str(shared / file))
        write(name + ".json", {"vocabulary": file, "parse_special": False,
                               "tokens": [processor.encode(t) for t in texts]})


if __name__ == "__main__":
    main()
