#!/usr/bin/env python3
"""Makes real/NAME/: what Transformers answers with a real model, in float32 on the dequantised weights.

    python3 make_real_models.py NAME FILE.gguf       NAME as scripts/fetch_model.sh has it

answers.json is that of make_smollm2.py (which see), but that all answers are made in one batch, since the
weights of a large model are read once a step; what is said of each is from a pass of its own. A model without a chat template continues the
first text of each chat as it is. perplexity.json is that of make_perplexity.py, over the first
TOKENS tokens of its text; a model that adds a BOS has it at the start of each window, and it counts.
"""

import argparse
import hashlib
import json
import math
import pathlib

import gguf
import jinja2
import torch
import transformers

import make_smollm2

FOLDER = pathlib.Path(__file__).parent
TOKENS, WINDOW = 4096, 512


class Text:
    """Transformers' tokenizer of the GGUF file, and the file's template."""

    def __init__(self, path):
        self.tokens = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        fields = gguf.GGUFReader(path).fields
        get = lambda key: fields[key].contents() if key in fields else None
        bos = get("tokenizer.ggml.add_bos_token")
        # Where the file does not say: true for SentencePiece.
        self.adds_bos = (get("tokenizer.ggml.model") == "llama") if bos is None else bos
        self.bos = get("tokenizer.ggml.bos_token_id") if self.adds_bos else None
        template = get("tokenizer.chat_template")
        self.template = None
        if template:
            environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
            self.template = environment.from_string(template)

    def encode(self, text):
        return self.tokens.encode(text, add_special_tokens=False)

    def chat(self, messages):
        text = next(m["content"] for m in messages if m["role"] == "user")
        if self.template:
            text = self.template.render(messages=messages, add_generation_prompt=True)
        tokens = self.encode(text)
        if self.bos is not None and tokens[:1] != [self.bos]:
            tokens = [self.bos, *tokens]
        return text, tokens


def perplexity(model, text):
    own = WINDOW - (1 if text.adds_bos else 0)
    tokens = text.encode((FOLDER / "perplexity/text.txt").read_text(encoding="utf-8"))[:TOKENS]
    scores = []
    for start in range(0, len(tokens), own):
        window = ([text.bos] if text.adds_bos else []) + tokens[start : start + own]
        logprobs = model(torch.tensor([window])).logits[0, :-1].double().log_softmax(-1)
        scores += (-logprobs[torch.arange(len(window) - 1), window[1:]]).tolist()
    mean = sum(scores) / len(scores)
    return dict(perplexity=round(math.exp(mean), 8), tokens=len(tokens), scored=len(scores))


def greedy_together(model, prompts, count=make_smollm2.ANSWER_TOKENS):
    """The greedy answers of prompts of different lengths, padded on the left."""
    longest = max(map(len, prompts))
    step = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    answers, cache = [], None
    for _ in range(count):
        output = model(step, attention_mask=mask, position_ids=positions, past_key_values=cache,
                       use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        step = output.logits[:, -1].argmax(-1, keepdim=True)
        answers.append(step)
        mask = torch.cat([mask, torch.ones_like(step)], 1)
        positions = positions[:, -1:] + 1
    return torch.cat(answers, 1).tolist()


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("file", type=pathlib.Path)
    arguments = parser.parse_args()
    digest = hashlib.sha256(arguments.file.read_bytes()).hexdigest()
    text = Text(arguments.file)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        arguments.file.parent, gguf_file=arguments.file.name, dtype=torch.float32
    ).eval()
    make_smollm2.FOLDER = FOLDER / "real" / arguments.name
    make_smollm2.FOLDER.mkdir(parents=True, exist_ok=True)
    make_smollm2.PROBE_IDS = list(range(0, model.config.get_text_config().vocab_size, 2999))
    make_smollm2.save("perplexity.json", dict(sha256=digest, **perplexity(model, text)))
    prompts = [text.chat(make_smollm2.messages(chat))[1] for chat in make_smollm2.CHATS]
    given = iter(greedy_together(model, prompts))
    make_smollm2.greedy = lambda model, tokens: next(given)
    answers, largest = [], 0.0
    for chat in make_smollm2.CHATS:
        result, peak = make_smollm2.answer(model, text, chat)
        result.pop("answer_text")
        answers.append(result)
        largest = max(largest, peak)
        print(f"{len(answers)} of {len(make_smollm2.CHATS)}", flush=True)
    make_smollm2.save("answers.json", dict(
        sha256=digest, file=arguments.file.name, adds_bos=text.adds_bos,
        max_abs_logit=round(largest, 5), probe_ids=make_smollm2.PROBE_IDS, answers=answers))
    margins = [m for a in answers for m in a["margin"]]
    clear = sum(m > 2 * 2e-4 * largest for m in margins) / len(margins)
    print(f"max |logit| {largest:.3f}; {clear:.2%} of the margins exceed twice the tolerance")


if __name__ == "__main__":
    main()
