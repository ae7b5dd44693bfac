"""The trainer `lora` on a tiny model made on the spot: runs where torch, transformers, peft, trl and datasets are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from test_tune_jobs import ready

from promptlab.errors import BadInput
from promptlab.tune.adapter import NEEDED
from promptlab.tune.lora import rows
from promptlab.tune.settings import TuneSettings
from promptlab.tune.tune import tune

LACKING = [name for name in NEEDED if find_spec(name) is None]
CHAT = "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} </s> {% endfor %}"


@pytest.mark.skipif(not LACKING, reason="everything is installed")
def test_what_the_extra_would_bring_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"needs {LACKING[0]}.*\[lora\]"):
        tune(ready(tmp_path), TuneSettings("lora"), yes=True)


def test_chats_and_pairs_are_read_as_trl_wants_them(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 1}]}\n'
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b", "weight": 0}]}\n',
        encoding="utf-8",
    )
    asked, said = [{"role": "user", "content": "q"}], [{"role": "assistant", "content": "a"}]
    assert rows(path, "supervised") == [{"prompt": asked, "completion": said}]
    path.write_text(
        '{"input": {"messages": [{"role": "user", "content": "q"}]},'
        ' "preferred_output": [{"role": "assistant", "content": "a"}],'
        ' "non_preferred_output": [{"role": "assistant", "content": "b"}]}\n',
        encoding="utf-8",
    )
    wrong = [{"role": "assistant", "content": "b"}]
    assert rows(path, "dpo") == [{"prompt": asked, "chosen": said, "rejected": wrong}]


def tiny(folder: Path) -> None:
    """A Llama of one small layer with a vocabulary of words."""
    import tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", ":", "system", "user", "assistant", "billing", "delivery", "access"]
    model: Any = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        chat_template=CHAT,
    )
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)


@pytest.mark.timeout(600)
@pytest.mark.skipif(bool(LACKING), reason=f"needs {', '.join(LACKING)}: gigabytes, so it is opt-in")
def test_an_adapter_is_trained_merged_and_saved_on_this_machine(tmp_path: Path) -> None:
    tiny(tmp_path / "base")
    asked = ready(tmp_path / "p", models=[{"id": str(tmp_path / "base"), "name": "tiny"}])
    (made,) = tune(asked, TuneSettings("lora", sizes=(12,), epochs=1), yes=True)
    assert (Path(made.model.id) / "config.json").is_file()
    assert list(Path(made.model.id).glob("*.safetensors"))
