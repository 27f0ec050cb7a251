"""Golden tokens of small Hugging Face directories: what tokenizers and transformers give for them.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 transformers
    python tests/golden/hugging_face_golden.py

Writes tests/golden/hugging_face/NAME/: a directory as Hugging Face has it, with a small vocabulary
trained here, and golden.json with texts and their ids (no special tokens added), whether BOS and EOS
are added, and the name of the rule that malina should recognise.
"""

import io
import json
import pathlib
import shutil

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

import tokenizer_golden as rules

HERE = pathlib.Path(__file__).resolve().parent
OUTPUT = HERE / "hugging_face"
MARK = "\u2581"

SPECIALS = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
CHATS = [
    "<s>hello", "<s> hello", "hello</s>", "a<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    "x <|im_end|> y", "x  <|im_end|>  \n y", "<|im_start|>\u3000wide\u00a0<|im_end|>\u2003y", "<s></s>",
    " <s> ", "<s>\n<s>", "<tool>a</tool>", "a <tool> b </tool> c", "<tool><tool>  <tool>",
    "  <tool>", "x<tool>y", "x <left> y", "x \n<left>\n y", "<left>", "<right>  z", "a<right>\tb<right>",
    "<s><left> <right>", "<think>", "A\u030a \u00c5 \u212b e\u0301", "cafe\u0301 na\u00efve", "\u0344 \u1e9b\u0323",
    "1 12 123 1234 12345 3.14", "I'm I'M you'll YOU'LL", "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    "the the the", " the", "  the   end ", "\n\n\n", "\t\tx", f"{MARK}the{MARK}{MARK}x", f"a{MARK} b",
    "the cat sat on the mat. The end!", "if (x == 1) {\n    return foo_bar(x);\n}\n",
]


def texts():
    every = json.loads((HERE / "tokenizer" / "texts.json").read_text())
    return CHATS + rules.FIXED + every[len(rules.FIXED)::6]


def corpus():
    text = next((HERE / "perplexity").glob("*.txt")).read_text()[:60000]
    return [line for line in text.splitlines() if line] + [
        "1 12 123 1234 2024", "café naïve Führer", "привет мир", "日本語 テキスト", "if (x == 1) { return x; }",
        "  two  spaces   three", "foo_bar camelCase", "HELLO World"] * 20


def unmixed(inputs):
    """Without texts that spell the mark of spaces beside a space: malina matches user-defined marks
    in one spelling or the other."""
    return [t for t in inputs if f" {MARK}" not in t and f"{MARK} " not in t]


def write(name, tokenizer, adds_bos=False, adds_eos=False, files=None, inputs=None, **more):
    folder = OUTPUT / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    document = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(
        json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")
    for file, value in (files or {}).items():
        (folder / file).write_text(json.dumps(value, indent=1) + "\n")
    inputs = inputs or texts()
    save_golden(folder, inputs, [tokenizer.encode(t, add_special_tokens=False).ids for t in inputs],
                adds_bos, adds_eos, **more)


def save_golden(folder, inputs, ids, adds_bos, adds_eos, **more):
    golden = {"texts": inputs, "tokens": ids, "adds_bos": adds_bos, "adds_eos": adds_eos, **more}
    text = json.dumps(golden, ensure_ascii=True, separators=(",", ":"))
    (folder / "golden.json").write_text(text.replace("],[", "],\n[") + "\n")


def byte_level(steps, use_regex, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps, level]) if steps else level
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=450, special_tokens=SPECIALS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def split(*expressions, behavior="isolated", invert=False):
    return [pre_tokenizers.Split(Regex(e), behavior, invert) for e in expressions]


def add_flagged(tokenizer):
    tokenizer.add_special_tokens([AddedToken("<left>", lstrip=True, special=True, normalized=False),
                                  AddedToken("<right>", rstrip=True, special=True, normalized=False)])
    tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False),
                          AddedToken("</tool>", special=False, normalized=False, lstrip=True, rstrip=True),
                          AddedToken("   ", special=False, normalized=True)])


def template(bos=None, eos=None):
    parts = ([f"{bos[0]}:0"] if bos else []) + ["$A:0"] + ([f"{eos[0]}:0"] if eos else [])
    return processors.TemplateProcessing(single=" ".join(parts), pair=" ".join([*parts, "$B:1"]),
                                         special_tokens=[t for t in (bos, eos) if t])


def byte_level_directories():
    write("gpt2", byte_level([], True), pre="gpt-2")
    tokenizer = byte_level([pre_tokenizers.Digits(True)], True)
    add_flagged(tokenizer)
    write("smollm", tokenizer, pre="smollm")
    write("gpt2-nfc-ignore-merges", byte_level([], True, normalizers.NFC(), True), pre="gpt-2")

    tokenizer = byte_level(split(rules.QWEN), False, normalizers.NFC())
    add_flagged(tokenizer)
    write("qwen2", tokenizer, pre="qwen2", files={
        "tokenizer_config.json": {"add_bos_token": False, "bos_token": None, "eos_token": "<|im_end|>",
                                  "pad_token": "<s>", "unk_token": None}})
    write("qwen2-plain", byte_level(split(rules.QWEN), False), pre="hunyuan")

    tokenizer = byte_level(split(rules.RULES["llama-bpe"][0]), False, ignore_merges=True)
    add_flagged(tokenizer)
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), template(bos=("<s>", 0))])
    write("llama3", tokenizer, adds_bos=True, pre="llama-bpe", files={
        "tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>"},
        "config.json": {"vocab_size": 512, "eos_token_id": [1, 3]},
        "generation_config.json": {"eos_token_id": [1, 2]}})
    tokenizer.post_processor = template(bos=("<s>", 0), eos=("</s>", 1))
    write("llama3-bos-eos", tokenizer, adds_bos=True, adds_eos=True, pre="llama-bpe", files={
        "tokenizer_config.json": {"bos_token": {"content": "<s>"}, "eos_token": "</s>"}})
    write("olmo2", byte_level(split(rules.RULES["llama-bpe"][0]), False), pre="dbrx")
    write("llama3-nfc", byte_level(split(rules.RULES["llama-bpe"][0]), False, normalizers.NFC(), True),
          pre="llama-bpe")
    write("gpt4o-removed", byte_level(split(*rules.RULES["gpt-4o"], behavior="removed", invert=True), False),
          pre="gpt-4o")
    deepseek = [e.replace('\\"', '"') for e in rules.RULES["deepseek-v3"]]
    write("deepseek3-as-written", byte_level(split(*deepseek), False), pre="deepseek-v3")
    for name, directory in (("tekken", "tekken"), ("deepseek-v3", "deepseek3"),
                            ("deepseek-coder", "deepseek-coder"), ("qwen35", "qwen35"),
                            ("bloom", "bloom"), ("seed-coder", "seed-coder")):
        write(directory, byte_level(split(*rules.RULES[name]), False, ignore_merges=name == "tekken",
                                    normalizer=normalizers.NFC() if name == "qwen35" else None), pre=name)


def train_sentence_piece(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=model, model_type="bpe", vocab_size=700,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        character_coverage=0.999, num_threads=1, minloglevel=2, **options)
    return model.getvalue()


def pieces_of(model):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [(processor.id_to_piece(i), processor.get_score(i)) for i in range(processor.get_piece_size())]


def from_sentence_piece(model):
    """The same as merges, as transformers' converter makes them."""
    pieces = pieces_of(model)
    ids = {piece: i for i, (piece, _) in enumerate(pieces)}
    merges = []
    for piece, score in pieces:
        local = [(piece[:cut], piece[cut:], score) for cut in range(1, len(piece))
                 if piece[:cut] in ids and piece[cut:] in ids]
        merges += sorted(local, key=lambda m: (ids[m[0]], ids[m[1]]))
    merges = [m[:2] for m in sorted(merges, key=lambda m: m[2], reverse=True)]
    return Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))


SPECIAL = [AddedToken(t, special=True, normalized=False) for t in ("<unk>", "<s>", "</s>")]


def sentence_piece_json(model, prepend=False, replace=False, metaspace=None, gemma=False):
    tokenizer = from_sentence_piece(model)
    steps = ([normalizers.Prepend(MARK)] if prepend else []) + (
        [normalizers.Replace(" ", MARK)] if replace else [])
    if steps:
        tokenizer.normalizer = normalizers.Sequence(steps) if len(steps) > 1 else steps[0]
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=metaspace, split=False)
    if gemma:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    end = [] if gemma else [decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), *end])
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = template(bos=("<s>", 1))
    return tokenizer


def sentence_piece_directories():
    model = train_sentence_piece()
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True,
              "add_eos_token": False}
    files = {"tokenizer_config.json": config}
    tokenizer = sentence_piece_json(model, prepend=True, replace=True)
    write("llama2", tokenizer, adds_bos=True, files=files)
    add_flagged_sentence_piece(tokenizer)
    write("llama2-added", tokenizer, adds_bos=True, files=files)
    for scheme in ("first", "always", "never"):
        tokenizer = sentence_piece_json(model, metaspace=scheme)
        add_flagged_sentence_piece(tokenizer)
        write(f"metaspace-{scheme}", tokenizer, adds_bos=True, files=files)

    gemma = train_sentence_piece(user_defined_symbols=[MARK * n for n in range(2, 9)] + ["\n\n", "\n\n\n"],
                                 add_dummy_prefix=False)
    tokenizer = sentence_piece_json(gemma, replace=True, gemma=True)
    tokenizer.add_tokens([AddedToken(MARK * n, special=False, normalized=False) for n in range(2, 9)] +
                         [AddedToken("\n" * n, special=False, normalized=False) for n in (2, 3)])
    add_flagged_sentence_piece(tokenizer)
    write("gemma", tokenizer, adds_bos=True, files=files)
    tokenizer = sentence_piece_json(gemma, replace=True, gemma=True)
    tokenizer.add_tokens([AddedToken(MARK * n, special=False, normalized=True) for n in range(2, 9)])
    write("gemma-normalized", tokenizer, adds_bos=True, files=files, inputs=unmixed(texts()))

    for name, data in (("tokenizer-model", model), ("tokenizer-model-gemma", gemma)):
        folder = OUTPUT / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.model").write_bytes(data)
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
        processor = sentencepiece.SentencePieceProcessor(model_proto=data)
        plain = [t for t in unmixed(texts()) if not any(s in t for s in ("<s>", "</s>", "<unk>"))]
        save_golden(folder, plain, [processor.encode(t) for t in plain], True, False)


def add_flagged_sentence_piece(tokenizer):
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t in SPECIALS[2:]] +
        [AddedToken("<left>", lstrip=True, special=True, normalized=False),
         AddedToken("<right>", rstrip=True, special=True, normalized=False)])
    tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False),
                          AddedToken("</tool>", special=False, normalized=False, lstrip=True, rstrip=True)])


def main():
    byte_level_directories()
    sentence_piece_directories()


if __name__ == "__main__":
    main()
