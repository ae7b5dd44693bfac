"""python -m promptlab.tune.lora TRAIN VALID SEED OUT BASE EPOCHS METHOD: one adapter, merged into its base and saved.

LoRA: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (ICLR 2022). The merged model is a folder that
any server of transformers models can serve (`vllm serve FOLDER`); its path is the model's id.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RANK = 16
RATE = 2e-4


def rows(path: Path, method: str) -> list[dict[str, Any]]:
    """The rows as TRL reads them: prompt and completion, or prompt, chosen and rejected."""
    found = []
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if method == "dpo":
            prompt, chosen = line["input"]["messages"], line["preferred_output"]
            found.append({"prompt": prompt, "chosen": chosen, "rejected": line["non_preferred_output"]})
        else:
            messages = [{"role": each["role"], "content": each["content"]} for each in line["messages"]]
            if line["messages"][-1].get("weight", 1):
                found.append({"prompt": messages[:-1], "completion": messages[-1:]})
    return found


def train(files: tuple[Path, Path], seed: int, base: str, epochs: int, method: str, folder: Path) -> int:
    """Train, merge, save to ``folder``; the tokens trained on."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    trained, checked = (rows(path, method) for path in files)
    lora = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    settings: dict[str, Any] = {
        "output_dir": str(folder.with_name("checkpoints")),
        "num_train_epochs": epochs,
        "learning_rate": RATE,
        "seed": seed,
        "per_device_train_batch_size": 4,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
    }
    kind = _kind(method)
    trainer = kind[0](
        model=model,
        args=kind[1](**settings),
        train_dataset=Dataset.from_list(trained),
        eval_dataset=Dataset.from_list(checked) if checked else None,
        processing_class=tokenizer,
        peft_config=lora,
    )
    trainer.train()
    trainer.model.merge_and_unload().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return int(getattr(trainer.state, "num_input_tokens_seen", 0) or 0)


def _kind(method: str) -> tuple[Any, Any]:
    import trl

    return (trl.DPOTrainer, trl.DPOConfig) if method == "dpo" else (trl.SFTTrainer, trl.SFTConfig)


def main(arguments: list[str]) -> None:
    """The program."""
    train_file, valid, seed, out, base, epochs, method = arguments
    folder = Path(out).with_name("model")
    tokens = train((Path(train_file), Path(valid)), int(seed), base, int(epochs), method, folder)
    told = {"model": str(folder), **({"train_tokens": tokens} if tokens else {})}
    draft = Path(f"{out}.draft")
    draft.write_text(json.dumps(told), encoding="utf-8")
    draft.replace(out)


if __name__ == "__main__":
    main(sys.argv[1:])
