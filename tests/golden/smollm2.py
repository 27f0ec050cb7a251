"""SmolLM2-135M-Instruct as the reference has it: the model in float32 from the GGUF file's dequantised
weights, its tokenizer, its chat template."""

import argparse
import hashlib
import pathlib

import gguf
import jinja2
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model", type=pathlib.Path, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    path = parser.parse_args().model
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{path}: not the file that the golden values are of")
    torch.set_num_threads(1)
    return path


def model(path):
    return transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()


class Text:
    """Transformers' own conversion of the GGUF tokenizer leaves out that digits stand alone (the
    `smollm` rule), so the tokenizer is put together here as SmolLM2's tokenizer.json says."""

    def __init__(self, path):
        fields = gguf.GGUFReader(path).fields
        get = lambda key: fields["tokenizer." + key].contents()
        tokens, kinds = get("ggml.tokens"), get("ggml.token_type")
        assert get("ggml.pre") == "smollm" and not get("ggml.add_bos_token")
        merges = [tuple(m.split(" ")) for m in get("ggml.merges")]
        self.tokens = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
        self.tokens.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        self.tokens.decoder = decoders.ByteLevel()
        control = [t for t, kind in zip(tokens, kinds) if kind == gguf.TokenType.CONTROL]
        self.plain = Tokenizer.from_str(self.tokens.to_str())  # reads no special token
        self.tokens.add_special_tokens([AddedToken(t, normalized=False) for t in control])
        self.template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(
            get("chat_template")
        )

    def encode(self, text):
        return self.plain.encode(text, add_special_tokens=False).ids

    def chat(self, messages):
        """The rendered prompt and its tokens."""
        text = self.template.render(messages=messages, add_generation_prompt=True)
        return text, self.tokens.encode(text, add_special_tokens=False).ids


def rounded(values, digits=5):
    return [round(float(v), digits) for v in values]
