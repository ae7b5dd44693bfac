"""The trainer `lora` on a tiny model made on the spot: runs where torch, transformers, peft, trl and datasets are."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import other_server
import pytest
from test_tune_jobs import ready, until, where
from tune_server import TuneServer, tuning

from promptlab.errors import BadInput, EndpointUnusable
from promptlab.prepare import opened
from promptlab.tune.adapter import NEEDED
from promptlab.tune.lora import main, rows
from promptlab.tune.process import alive
from promptlab.tune.settings import TuneSettings
from promptlab.tune.tune import tune

LACKING = [name for name in NEEDED if find_spec(name) is None]
CHAT = (
    "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)
pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries talk of themselves
installed = pytest.mark.skipif(bool(LACKING), reason=f"needs {', '.join(LACKING)}: gigabytes, so it is opt-in")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here may ask a network


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


def tiny(folder: Path, template: str | None = CHAT, **changes: Any) -> None:
    """A Llama of one small layer with a vocabulary of words."""
    import tokenizers
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", ":", "system", "user", "assistant", "billing", "delivery", "access"]
    model: Any = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    settings = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", **changes}
    fast = PreTrainedTokenizerFast(tokenizer_object=made, **settings)
    fast.chat_template = template
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "base"
    tiny(folder)
    return folder


def program(
    folder: Path, base: str | Path, seed: int = 1, valid: int = 4, method: str = "supervised"
) -> tuple[int, str]:
    """The program itself, in this process: its exit code and its last line."""
    folder.mkdir(exist_ok=True)

    def lines(count: int) -> str:
        return "".join(json.dumps(line(method, k)) + "\n" for k in range(count))

    (folder / "train.jsonl").write_text(lines(12), encoding="utf-8")
    (folder / "valid.jsonl").write_text(lines(valid), encoding="utf-8")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        out = folder / "result.json"
        files = [str(folder / "train.jsonl"), str(folder / "valid.jsonl")]
        code = main([*files, str(seed), str(out), str(base), "2", method])
    return code, said.getvalue()


def line(method: str, k: int) -> dict[str, Any]:
    asked = [{"role": "user", "content": ("billing", "delivery", "access")[k % 3]}]
    good, bad = ([{"role": "assistant", "content": word}] for word in ("delivery", "access"))
    if method == "supervised":
        return {"messages": asked + good}
    return {"input": {"messages": asked}, "preferred_output": good, "non_preferred_output": bad}


def weights(folder: Path) -> bytes:
    told = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    (file,) = Path(told["model"]).glob("*.safetensors")
    return file.read_bytes()


@installed
@pytest.mark.parametrize("method", ["supervised", "dpo"])
def test_losses_are_told_tokens_counted_and_equal_seeds_make_equal_weights(
    tmp_path: Path, base: Path, method: str
) -> None:
    """The folder is named by the weights, so that no server takes another model for it."""
    runs = {name: program(tmp_path / name, base, seed, method=method) for name, seed in (("a", 1), ("b", 1), ("c", 2))}
    assert {code for code, _ in runs.values()} == {0}
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")
    assert weights(tmp_path / "a") != next(base.glob("*.safetensors")).read_bytes()
    said = runs["a"][1]
    assert re.findall(r"step (\d)/6: training loss [\d.]+", said) == list("123456")
    assert re.findall(r"step (\d)/6: validation loss [\d.]+", said) == ["3", "6"]
    with (tmp_path / "a" / "results.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["step"] for row in table] == list("123456")
    assert table[2]["valid_loss"]
    assert not table[1]["valid_loss"]
    told = json.loads((tmp_path / "a" / "result.json").read_text(encoding="utf-8"))
    assert told["train_tokens"] >= 2 * 12 * 6
    names = [json.loads((tmp_path / each / "result.json").read_text(encoding="utf-8"))["model"] for each in "abc"]
    assert len({Path(each).name for each in names}) == 2
    assert (Path(names[0]) / "config.json").is_file()


@installed
def test_an_empty_validation_file_and_a_base_without_a_chat_template(tmp_path: Path) -> None:
    """A plain template is taught, told, and saved with the model: what serves it renders the same."""
    from transformers import AutoTokenizer

    tiny(tmp_path / "bare", template=None)
    code, said = program(tmp_path / "a", tmp_path / "bare", valid=0)
    assert code == 0
    assert "the base has no chat template: a plain one (role: text) is taught and saved with the tuned model" in said
    assert "validation" not in said
    told = json.loads((tmp_path / "a" / "result.json").read_text(encoding="utf-8"))
    saved = AutoTokenizer.from_pretrained(told["model"])
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert saved.apply_chat_template(chat, tokenize=False) == "user: q\nassistant: a</s>\n"
    asked = saved.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True)
    assert asked == "user: q\nassistant: "


@installed
def test_what_cannot_be_trained_is_one_line_without_a_trace(tmp_path: Path, base: Path) -> None:
    def failed(base: Path | str) -> str:
        code, said = program(tmp_path / "a", base)
        assert code == 1
        assert "Traceback" not in said
        assert not (tmp_path / "a" / "result.json").exists()
        return said.strip().splitlines()[-1]

    assert "the base model 'promptlab/no-such-model' cannot be loaded" in failed("promptlab/no-such-model")
    assert "in the hub's cache" in failed(tmp_path)
    tiny(tmp_path / "endless", eos_token=None, pad_token="<unk>")
    assert "has no token that ends a text" in failed(tmp_path / "endless")
    config = tmp_path / "short" / "config.json"
    shutil.copytree(base, tmp_path / "short")
    config.write_text(config.read_text().replace('"max_position_embeddings": 2048', '"max_position_embeddings": 4'))
    assert failed(tmp_path / "short").startswith("line 1 of the training file has ")
    (tmp_path / "short" / "tokenizer.json").write_text("{torn")
    assert failed(tmp_path / "short")


@installed
def test_the_base_is_checked_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'small' is one of the offline engine.*models: \[\{id: ./my-base, base_url"):
        tune(ready(tmp_path), TuneSettings("lora"), yes=True)
    with pytest.raises(BadInput, match=r"there is no folder './nowhere'"):
        tune(ready(tmp_path, models=[{"id": "./nowhere", "name": "tiny"}]), TuneSettings("lora"), yes=True)


@installed
@pytest.mark.timeout(300)
def test_a_model_trained_here_is_served_by_others_and_one_more_model(tmp_path: Path, base: Path) -> None:
    """A folder beside the experiment; not served, it is trained and kept; served, it is there without a training."""
    folder = tmp_path / "p"
    shutil.copytree(base, folder / "base")
    with TuneServer() as server:
        asked = ready(folder, models=[{"id": "./base", "name": "tiny", "base_url": server.url}])
        settings = TuneSettings("lora", sizes=(12,), epochs=1)
        told: list[str] = []
        with pytest.raises(
            EndpointUnusable, match=r"it is trained .*, but .* does not serve it .*`transformers serve`"
        ) as caught:
            tune(asked, settings, yes=True, tell=lambda name, line: told.append(line))
        assert any("training loss" in line for line in told)
        (model,) = folder.glob("runs/tune/*/model-*")
        assert str(caught.value).count(str(model)) == 1
        server.speaking = [str(model)]
        told.clear()
        (made,) = tune(asked, settings, yes=True, tell=lambda name, line: told.append(line))
        assert (made.model.id, made.model.endpoint.base_url) == (str(model), server.url)
        assert (made.train_tokens or 0) > 0
        assert not any("training loss" in line for line in told)


@installed
@pytest.mark.timeout(300)
def test_after_sigkill_the_training_goes_on_and_after_its_own_it_begins_anew(tmp_path: Path, base: Path) -> None:
    folder = tmp_path / "p"
    shutil.copytree(base, folder / "base")
    with TuneServer() as server:
        experiment = where(folder, models=[{"id": "./base", "name": "tiny", "base_url": server.url}])
        settings = TuneSettings("lora", sizes=(12,), epochs=300)

        def noted() -> Any:
            found = list(folder.glob("runs/tune/*/job.json"))
            return json.loads(found[0].read_text()).get("process") if found else None

        def at_work() -> bool:
            return any("training loss" in each.read_text() for each in folder.glob("runs/tune/*/train.log"))

        with tuning(experiment, trainer="lora", sizes=(12,), epochs=300):
            until(at_work, 120)
        process = noted()
        assert alive(process), "promptlab was killed, the training was not"
        os.kill(process[0], signal.SIGKILL)
        until(lambda: not alive(process))
        with tuning(experiment, trainer="lora", sizes=(12,), epochs=300):
            until(lambda: noted() not in (None, process) and at_work(), 120)
        again = noted()
        assert again != process
        with pytest.raises(EndpointUnusable, match="it is trained"):
            tune(opened(experiment), settings, yes=True)
        assert noted() == again, "taken up, not started again"


@installed
@pytest.mark.timeout(400)
@pytest.mark.skipif(find_spec("fastapi") is None, reason="needs pip install 'transformers[serving]'")
def test_a_run_asks_the_tuned_model_at_transformers_serve(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way with a server that nobody here wrote: base and tuned model at one address. Answers are noise."""
    from promptlab.run import mine

    port, root = other_server.free_root()
    serve = [str(Path(sys.executable).with_name("transformers")), "serve", "--host", "127.0.0.1", "--port", port]
    (tmp_path / "hub").mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))  # it lists the hub's cache, and fails where there is none
    with other_server.started(serve, tmp_path, tmp_path / "log", root):
        folder = tmp_path / "p"
        shutil.copytree(base, folder / "base")
        whole = {"id": str(folder / "base"), "name": "tiny", "base_url": f"{root}/v1"}
        (made,) = tune(ready(folder, models=[whole]), TuneSettings("lora", sizes=(12,), epochs=1), yes=True)
        tuned = {"id": made.model.id, "name": "tuned", "base_url": f"{root}/v1"}
        run = mine(opened(where(folder, models=[whole, tuned], params={"temperature": 0, "max_tokens": 2})))
        assert (run.results["error"] == 0).all()
        assert set(run.results["model"]) == {"tiny", "tuned"}
