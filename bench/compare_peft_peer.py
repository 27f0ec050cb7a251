#!/usr/bin/env python3
"""The peer of tune_steps: the same steps by PyTorch and PEFT. Called by bench/compare_peft.

    compare_peft_peer.py MODEL.gguf FOLDER STEPS THREADS

FOLDER is what tune_steps wrote: batches.json and start.safetensors. The base is the file's weights,
dequantised to float32; LoRA of rank 16 with alpha 32 on all linear layers, a head on the last token,
AdamW 1e-3 with 6 % warm-up and a cosine, clipping at 1. Texts of a batch are padded to the longest;
scores are computed at the last token alone. Prints the same JSON as tune_steps.
"""

import json
import pathlib
import resource
import sys
import time

import peft
import safetensors.torch
import torch
import transformers


def main():
    path, folder, steps, threads = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(threads)
    data = json.loads((folder / "batches.json").read_text())
    start = safetensors.torch.load_file(folder / "start.safetensors")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, num_labels=data["classes"]
    )
    model.config.pad_token_id = 0
    model = peft.get_peft_model(
        model,
        peft.LoraConfig(
            task_type="SEQ_CLS", r=16, lora_alpha=32, lora_dropout=0.0, modules_to_save=["score"],
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        ),
    )  # fmt: skip
    base = model.base_model.model
    with torch.no_grad():
        for name, module in base.named_modules():
            if hasattr(module, "lora_A") and "default" in module.lora_A:
                module.lora_A["default"].weight.copy_(start[name.removeprefix("model.")])
                module.lora_B["default"].weight.zero_()
        base.score.modules_to_save["default"].weight.copy_(start["score"])
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0)
    schedule = transformers.get_cosine_schedule_with_warmup(
        optimizer, int(0.06 * data["steps"] + 0.5), data["steps"]
    )
    score = base.score
    losses, positions, begin = [], 0, time.perf_counter()
    model.train()
    for step in range(steps):
        batch = data["batches"][step]
        longest = max(len(tokens) for tokens, _ in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, (tokens, _) in enumerate(batch):
            ids[i, : len(tokens)] = torch.tensor(tokens)
            mask[i, : len(tokens)] = 1
        labels = torch.tensor([label for _, label in batch])
        hidden = base.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(batch)), mask.sum(1) - 1]
        loss = torch.nn.functional.cross_entropy(score(last), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step == 0:
            begin = time.perf_counter()
        else:
            positions += int(mask.sum())
    seconds = time.perf_counter() - begin
    print(
        json.dumps(
            {
                "losses": losses,
                "positions": positions,
                "seconds": seconds,
                "positions_per_second": positions / max(seconds, 1e-9),
                "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
