"""The byte-level BPE vocabulary that every tiny model carries, so that each is a complete model."""

import gguf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

MERGES = [
    ("Ġ", "t"), ("h", "e"), ("Ġ", "a"), ("i", "n"), ("Ġt", "he"), ("r", "e"), ("o", "n"),
    ("e", "r"), ("Ġ", "s"), ("a", "t"), ("Ġ", "w"), ("n", "d"), ("o", "u"), ("Ġ", "c"),
    ("i", "s"), ("o", "r"), ("e", "n"), ("in", "g"), ("Ġa", "nd"), ("l", "l"), ("Ġ", "o"),
    ("Ġo", "f"), ("1", "2"), ("Ã", "©"),
]  # fmt: skip
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_characters():
    """The 256 characters that stand for bytes, in the order of GPT-2's vocabulary."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in visible] + [chr(256 + n) for n in range(256 - len(visible))]


TOKENS = byte_characters() + [a + b for a, b in MERGES] + SPECIALS
SIZE = len(TOKENS)  # 283: no multiple of any tile


def tokenizer():
    """The reference tokenizer of this vocabulary."""
    result = Tokenizer(models.BPE({t: i for i, t in enumerate(TOKENS)}, MERGES))
    result.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    result.decoder = decoders.ByteLevel()
    result.add_special_tokens([AddedToken(t, normalized=False) for t in SPECIALS])
    return result


def write(writer):
    """Adds the tokenizer.* metadata as the reference converter does."""
    kinds = [gguf.TokenType.NORMAL] * SIZE
    kinds[-len(SPECIALS) :] = [gguf.TokenType.CONTROL] * len(SPECIALS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(TOKENS)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{a} {b}" for a, b in MERGES])
    writer.add_bos_token_id(SIZE - 3)
    writer.add_eos_token_id(SIZE - 1)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
