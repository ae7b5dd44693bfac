"""python -m promptlab.tune.lora TRAIN VALID SEED OUT BASE EPOCHS METHOD: one adapter, merged into its base and saved.

LoRA: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (ICLR 2022). The merged model is a folder that
any server of transformers models can serve (`transformers serve`, `vllm serve FOLDER`); its path is the model's id.
What is printed is the course of the training, a line each; the last line says what went wrong, if anything did.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptlab.tune.course import Point, write_points

RANK = 16
RATE = 2e-4
BATCH = 4
TRACE = "error.txt"
PLAIN = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
"""The chat template of a base that has none: a role, a colon, the text; an answer ends with the end of text."""


class Unusable(Exception):  # noqa: N818 - reads as what it is
    """What the user can mend, in one sentence."""


@dataclass(frozen=True, slots=True)
class Task:
    """One training: ``out`` is the file for the result, beside which the model's folder is laid."""

    train: Path
    valid: Path
    seed: int
    out: Path
    base: str
    epochs: int
    method: str


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


def train(task: Task) -> tuple[Path, int]:
    """Train, merge, save; the folder of the model and the tokens trained on. Raises Unusable."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PrinterCallback, set_seed

    set_seed(task.seed)
    tokenizer, model, kind = loaded(task.base)
    trained, checked = (rows(path, task.method) for path in (task.train, task.valid))
    fit(trained, tokenizer, model)
    course: list[Point] = []
    trainer_class, config_class = _classes(task.method)
    trainer = trainer_class(
        model=model,
        args=config_class(**_settings(task, checked=bool(checked), half=_half())),
        train_dataset=Dataset.from_list(trained),
        eval_dataset=Dataset.from_list(checked) if checked else None,
        processing_class=tokenizer,
        peft_config=LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_teller(course))
    trainer.train()
    write_points(task.out.parent, course)
    folder = saved(trainer.model.merge_and_unload().to(kind), tokenizer, task.out.parent)
    seen = [each["num_tokens"] for each in trainer.state.log_history if "num_tokens" in each]
    return folder, int(max(seen, default=0))


def loaded(base: str) -> tuple[Any, Any, Any]:
    """Tokenizer and model of a base, and the kind of its numbers. Raises Unusable."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForCausalLM.from_pretrained(base)
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Unusable(
            f"the base model {base!r} cannot be loaded: {first} It must be a folder of a transformers model, or the "
            "name of one on the hub; without a network, one that is in the hub's cache."
        ) from None
    if tokenizer.eos_token is None:
        raise Unusable(f"the tokenizer of {base!r} has no token that ends a text (eos_token): answers would not end")
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN
        _tell(
            "the base has no chat template: a plain one (role: text) is taught and saved with the tuned model; "
            "the base itself cannot be asked in chats"
        )
    kind = model.dtype
    return tokenizer, model if _half() else model.float(), kind


def fit(found: list[dict[str, Any]], tokenizer: Any, model: Any) -> None:
    """Raises Unusable where a row has more tokens than the model reads: it would be cut, its answer first."""
    most = int(getattr(model.config, "max_position_embeddings", None) or 0)
    for number, row in enumerate(found if most else [], 1):
        messages = row["prompt"] + (row.get("completion") or row["chosen"])
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        count = len(tokenizer(text, add_special_tokens=False)["input_ids"])
        if count > most:
            raise Unusable(f"line {number} of the training file has {count:,} tokens, and the base reads {most:,}")


def saved(model: Any, tokenizer: Any, beside: Path) -> Path:
    """The model in a folder that is named by its weights, so that no server takes another model for it."""
    draft = beside / "model.draft"
    shutil.rmtree(draft, ignore_errors=True)
    model.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    digest = hashlib.sha256()
    for part in sorted(draft.glob("*.safetensors")):
        with part.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    folder = beside / f"model-{digest.hexdigest()[:8]}"
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)
    return folder


def _settings(task: Task, *, checked: bool, half: bool) -> dict[str, Any]:
    return {
        "output_dir": str(task.out.parent / "checkpoints"),
        "num_train_epochs": task.epochs,
        "learning_rate": RATE,
        "seed": task.seed,
        "per_device_train_batch_size": BATCH,
        "per_device_eval_batch_size": BATCH,
        "max_length": None,  # a row is never cut
        "bf16": half,
        "logging_steps": 1,
        "eval_strategy": "epoch" if checked else "no",
        "save_strategy": "no",
        "disable_tqdm": True,
        "report_to": [],
    }


def _half() -> bool:
    from transformers.utils import is_torch_bf16_gpu_available

    return bool(is_torch_bf16_gpu_available())


def _classes(method: str) -> tuple[Any, Any]:
    import trl

    return (trl.DPOTrainer, trl.DPOConfig) if method == "dpo" else (trl.SFTTrainer, trl.SFTConfig)


def _teller(course: list[Point]) -> Any:
    """A callback that notes the losses and prints them."""
    from transformers import TrainerCallback

    class Teller(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
            del args, control, more
            step = f"step {state.global_step}/{state.max_steps}"
            if "loss" in (logs or {}):
                course.append(Point(state.global_step, float(logs["loss"])))
                _tell(f"{step}: training loss {float(logs['loss']):.4f}")
            if "eval_loss" in (logs or {}):
                course.append(Point(state.global_step, None, float(logs["eval_loss"])))
                _tell(f"{step}: validation loss {float(logs['eval_loss']):.4f}")

    return Teller()


def _hush() -> None:
    """No progress bars and no talk of the libraries about themselves: what is printed is read line by line."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.simplefilter("ignore")
    import datasets
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()


def _tell(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str]) -> int:
    """The program: 0, or 1 with the reason as its last line (where it is nobody's, the whole trace is in error.txt)."""
    train_file, valid, seed, out, base, epochs, method = arguments
    task = Task(Path(train_file), Path(valid), int(seed), Path(out), base, int(epochs), method)
    try:
        _hush()
        folder, tokens = train(task)
    except Unusable as error:
        _tell(str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - libraries raise anything: people get one line of it
        (task.out.parent / TRACE).write_text(traceback.format_exc(), encoding="utf-8")
        _tell(f"{type(error).__name__}: {' '.join(str(error).split())[:400]} (where: {TRACE})")
        return 1
    told = {"model": str(folder), **({"train_tokens": tokens} if tokens else {})}
    draft = task.out.with_name(f".{task.out.name}.draft")
    draft.write_text(json.dumps(told), encoding="utf-8")
    draft.replace(task.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
