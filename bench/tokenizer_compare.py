#!/usr/bin/env python3
"""Tokens per second beside Hugging Face tokenizers (Rust), one thread, same vocabulary, same text.

    bench/tokenizer_compare.py --program build/bench/bench/tokenizer_benchmark MODEL.gguf [TEXT ...]

Without TEXT it takes the sources and the reference papers of this tree. Needs Python 3.9 with pip;
the other side is installed once into $MALINA_SCRATCH (default /tmp/malina-peer), outside the tree.
Both sides are timed in processor seconds, the best of several runs, in turns; the ids must be equal
or the comparison fails. --check exits with 3 where a ratio is below 1.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import venv

PACKAGES = ("tokenizers==0.23.3", "gguf==0.19.0")
TREE = pathlib.Path(__file__).resolve().parent.parent
DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORDS = (r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")


class Failure(Exception):
    """One sentence for the user."""


def peer_python():
    """The interpreter of an environment that has the packages."""
    home = pathlib.Path(os.environ.get("MALINA_SCRATCH", "/tmp/malina-peer")) / "tokenizers"
    python = home / "bin" / "python"
    stamp = home / "packages.txt"
    if not stamp.exists() or stamp.read_text() != "\n".join(PACKAGES):
        venv.create(home, with_pip=True, clear=True)
        done = subprocess.run([str(python), "-m", "pip", "-q", "install", *PACKAGES], check=False)
        if done.returncode != 0:
            raise Failure("pip could not install " + " ".join(PACKAGES))
        stamp.write_text("\n".join(PACKAGES))
    return python


def peer_tokenizer(path):
    """The same vocabulary as a Hugging Face tokenizer."""
    import gguf  # pylint: disable=import-outside-toplevel,import-error
    from tokenizers import (  # pylint: disable=import-outside-toplevel,import-error
        Regex, Tokenizer, models, normalizers, pre_tokenizers)

    fields = gguf.GGUFReader(path).fields

    def field(name, default=None):
        return fields[name].contents() if name in fields else default

    tokens = field("tokenizer.ggml.tokens")
    vocabulary = {token: i for i, token in enumerate(tokens)}
    if field("tokenizer.ggml.model") == "llama":
        # Merges from scores: a pair of pieces whose joined text is a piece, the best score first.
        scores = field("tokenizer.ggml.scores")
        types = field("tokenizer.ggml.token_type")
        usable = {t: i for t, i in vocabulary.items() if types[i] in (1, 4, 5)}
        merges = []
        for token, i in usable.items():
            for cut in range(1, len(token)):
                if token[:cut] in usable and token[cut:] in usable:
                    merges.append((-scores[i], i, usable[token[:cut]], token[:cut], token[cut:]))
        merges = [(left, right) for _, _, _, left, right in sorted(merges)]
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, fuse_unk=True,
                                         unk_token=tokens[0]))
        steps = [normalizers.Prepend("▁")] if field("tokenizer.ggml.add_space_prefix", True) else []
        tokenizer.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "▁")])
        return tokenizer
    merges = []
    for line in field("tokenizer.ggml.merges"):
        space = line.index(" ", 1)
        merges.append((line[:space], line[space + 1:]))
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    pre = field("tokenizer.ggml.pre")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    if pre in ("gpt-2", "phi-2"):
        tokenizer.pre_tokenizer = level
    elif pre in DIGITS:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), level])
    elif pre in ("qwen2", "llama-bpe"):
        split = Regex(CONTRACTIONS + WORDS % ("" if pre == "qwen2" else "{1,3}"))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(split, "isolated"), bare])
    else:
        raise Failure(f"this comparison does not know the pre-tokeniser {pre!r}")
    return tokenizer


def digest(tokens):
    value = 14695981039346656037
    for token in tokens:
        value = ((value ^ token) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def peer_side(model, files):
    """Runs inside the environment: answers each line on standard input with one measurement."""
    tokenizer = peer_tokenizer(model)
    texts = {file: pathlib.Path(file).read_bytes().decode() for file in files}
    print("ready", flush=True)
    for line in sys.stdin:
        text = texts[line.rstrip("\n")]
        begin = time.process_time()
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        seconds = time.process_time() - begin
        print(json.dumps([len(ids), digest(ids), seconds]), flush=True)


def default_texts(scratch):
    """Prose and code of this tree, each as one file."""
    scratch.mkdir(parents=True, exist_ok=True)
    result = []
    for name, patterns in (("prose", ("**/*.md", "tests/golden/perplexity/text.txt")),
                           ("code", ("src/**/*.cpp", "src/**/*.h"))):
        files = sorted(file for pattern in patterns for file in TREE.glob(pattern)
                       if "build" not in file.parts)
        path = scratch / f"{name}.txt"
        path.write_text("\n".join(file.read_text(errors="replace") for file in files))
        result.append(str(path))
    return result


def compare(options):
    scratch = pathlib.Path(os.environ.get("MALINA_SCRATCH", "/tmp/malina-peer"))
    python = peer_python()
    files = options.text or default_texts(scratch)
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
    worst = float("inf")
    with subprocess.Popen([str(python), __file__, "--peer", options.model, *files], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as peer:
        if peer.stdout.readline() != "ready\n":
            raise Failure("the other side did not start")
        print(f"{'text':24} {'MB':>7} {'tokens':>9} {'malina MB/s':>12} {'peer MB/s':>10} {'ratio':>7}")
        for file in files:
            ratios, ours, theirs = [], 0, 0
            for _ in range(options.rounds):
                done = subprocess.run([options.program, options.model, file], text=True,
                                      stdout=subprocess.PIPE, check=False)
                if done.returncode != 0:
                    raise Failure(f"{options.program} failed with code {done.returncode}")
                _, size, count, ids, seconds = done.stdout.rstrip("\n").split("\t")
                peer.stdin.write(file + "\n")
                peer.stdin.flush()
                peer_count, peer_ids, peer_seconds = json.loads(peer.stdout.readline())
                if (int(count), ids) != (peer_count, peer_ids):
                    raise Failure(f"{file}: {count} tokens here, {peer_count} there, or other ids")
                ours = max(ours, int(size) / 1e6 / float(seconds))
                theirs = max(theirs, int(size) / 1e6 / peer_seconds)
                ratios.append(peer_seconds / float(seconds))
            ratio = statistics.median(ratios)
            worst = min(worst, ratio)
            print(f"{pathlib.Path(file).name:24} {int(size) / 1e6:7.2f} {int(count):9} {ours:12.1f}"
                  f" {theirs:10.2f} {ratio:7.1f}")
        peer.stdin.close()
    return 3 if options.check and worst < 1 else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model")
    parser.add_argument("text", nargs="*")
    parser.add_argument("--program", help="the built tokenizer_benchmark")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        peer_side(options.model, options.text)
        return 0
    if not options.program or not os.access(options.program, os.X_OK):
        parser.error("--program: build the preset bench and name its tokenizer_benchmark")
    try:
        return compare(options)
    except Failure as failure:
        print(f"tokenizer_compare: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
