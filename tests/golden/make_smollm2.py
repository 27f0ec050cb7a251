#!/usr/bin/env python3
"""Makes smollm2/: what Transformers answers with SmolLM2-135M-Instruct, in float32.

    python3 make_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf

answers.json, per chat: `messages`, `rendered` and `tokens` (the prompt by template and tokenizer),
`answer` (128 greedy tokens, end tokens ignored), and for each answer position, teacher-forced with
`answer` in one forward pass: `argmax`, `logit` (the largest), `margin` (to the second), `logprob` (of
the answer's token, natural log). `probe`: the logits of `probe_ids` at the prompt's last position.
`max_abs_logit` is over all these positions and the whole vocabulary.

echo.json, per text: `tokens`, `token_logprobs` of each (the first is null), and of each position
after the first the five likeliest, as `top_ids` and `top_logprobs`.
"""

import json
import pathlib

import torch

import smollm2

FOLDER = pathlib.Path(__file__).parent / "smollm2"
ANSWER_TOKENS = 128
PROBE_IDS = list(range(0, 49152, 768))

ASSISTANT = "You are a terse assistant. Answer in one sentence."
CHATS = [
    ["What is the capital of France?"],
    ["Explain in three sentences why the sky is blue."],
    ["Write a Python function that returns the n-th Fibonacci number."],
    ["Translate to French: The weather is nice today and we are going to the beach."],
    ["List five fruits that are red, one a line."],
    ["Write a short poem about a lighthouse in winter."],
    ["A train travels 120 km in 1.5 hours. What is its average speed?"],
    ["Summarise: Photosynthesis is the process by which green plants use sunlight to make food from "
     "carbon dioxide and water, and give off oxygen as a by-product."],
    ["Was ist der Unterschied zwischen Wetter und Klima?"],
    ["请用一句话介绍北京。"],
    ["Что такое гравитация?"],
    ["Say hello in as many languages as you can 😀🌍 — naïve café, Ångström, ½."],
    ["Write an SQL query for the ten customers with the largest total of orders in 2023."],
    ["Give me a JSON object with the keys name, age and city for a made-up person."],
    ["Classify the sentiment as positive, negative or neutral:\n\n"
     "\"The battery lasts two days, but the screen scratches easily.\""],
    ["for (int i = 0; i < 10; ++i) {\n\tstd::cout << i << \"\\n\";\n}\n\nWhat does this print?"],
    ["How do I treat a small burn on my hand?", "Hold it under cool running water for some minutes.",
     "And what should I not do?"],
    [{"system": ASSISTANT}, "Who wrote Pride and Prejudice, and when?"],
    [{"system": ASSISTANT}, "Hi!", "Hello! How can I help?", "Name the planets in order.", "Mercury, "
     "Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune.", "Which of them has the most moons?"],
    ["   Write a formal e-mail:\n  - to: the bank\n  - about: a lost card   \n\n1234567890   "],
]  # fmt: skip
TEXTS = [
    "The quick brown fox jumps over the lazy dog. In 1969, Apollo 11 landed on the Moon.",
    "def area(radius):\n    return 3.14159 * radius ** 2\n\nÜber café — 日本 😀\n",
]


def messages(chat):
    result, roles = [], ["user", "assistant"]
    if isinstance(chat[0], dict):
        result.append({"role": "system", "content": chat[0]["system"]})
        chat = chat[1:]
    return result + [{"role": roles[i % 2], "content": text} for i, text in enumerate(chat)]


def greedy(model, tokens):
    answer, cache, step = [], None, torch.tensor([tokens])
    while len(answer) < ANSWER_TOKENS:
        output = model(step, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        answer.append(int(output.logits[0, -1].argmax()))
        step = torch.tensor([answer[-1:]])
    return answer


def answer(model, text, chat):
    result = dict(messages=messages(chat))
    result["rendered"], tokens = text.chat(result["messages"])
    given = greedy(model, tokens)
    logits = model(torch.tensor([tokens + given[:-1]])).logits[0, len(tokens) - 1 :]
    top = logits.topk(2)
    logprob = logits.log_softmax(-1)[torch.arange(ANSWER_TOKENS), given]
    result |= dict(
        tokens=tokens,
        answer=given,
        answer_text=text.tokens.decode(given, skip_special_tokens=False),
        argmax=top.indices[:, 0].tolist(),
        logit=smollm2.rounded(top.values[:, 0]),
        margin=smollm2.rounded(top.values[:, 0] - top.values[:, 1]),
        logprob=smollm2.rounded(logprob),
        probe=smollm2.rounded(logits[0, PROBE_IDS]),
    )
    return result, float(logits.abs().max())


def echo(model, text, string):
    tokens = text.encode(string)
    logprobs = model(torch.tensor([tokens])).logits[0, :-1].log_softmax(-1)
    top = logprobs.topk(5)
    chosen = logprobs[torch.arange(len(tokens) - 1), tokens[1:]]
    return dict(
        text=string,
        tokens=tokens,
        token_logprobs=[None, *smollm2.rounded(chosen)],
        top_ids=top.indices.tolist(),
        top_logprobs=[smollm2.rounded(row) for row in top.values],
    )


def save(name, value):
    """One line a number list: small, and still a readable difference."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text = text.replace('],"', '],\n"').replace('},{"', '},\n\n{"')
    (FOLDER / name).write_text(text + "\n")


@torch.no_grad()
def main():
    path = smollm2.arguments(__doc__)
    model, text = smollm2.model(path), smollm2.Text(path)
    FOLDER.mkdir(exist_ok=True)
    save("echo.json", dict(sha256=smollm2.SHA256, texts=[echo(model, text, t) for t in TEXTS]))
    answers, largest = [], 0.0
    for chat in CHATS:
        result, peak = answer(model, text, chat)
        answers.append(result)
        largest = max(largest, peak)
        print(f"{len(result['tokens'])} tokens -> {result['answer_text'][:70]!r}", flush=True)
    save(
        "answers.json",
        dict(
            sha256=smollm2.SHA256,
            max_abs_logit=round(largest, 5),
            probe_ids=PROBE_IDS,
            answers=answers,
        ),
    )
    margins = [m for a in answers for m in a["margin"]]
    clear = sum(m > 2 * 2e-4 * largest for m in margins) / len(margins)
    print(f"max |logit| {largest:.3f}; {clear:.2%} of the margins exceed twice the tolerance")


if __name__ == "__main__":
    main()
