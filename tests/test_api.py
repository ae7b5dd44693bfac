"""The same from Python: import promptlab as pl."""
# ruff: noqa: TID251 - the facade is what is tested

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from project import project

import promptlab as pl
from promptlab.predictions import text_columns


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def run(path: Path) -> pl.Run:
    return pl.Experiment.load(path).mine()


def read(file: Path) -> pd.DataFrame:
    header = list(pd.read_csv(file, nrows=0).columns)
    text = text_columns(header)
    numbers = {name: [""] for name in header if name not in text}
    return pd.read_csv(file, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=numbers)


def same(table: pd.DataFrame, file: Path) -> None:
    text = text_columns(table.columns)
    shown = table.assign(**{name: table[name].astype(object).fillna("").map(str) for name in text})
    pd.testing.assert_frame_equal(shown, read(file), check_dtype=False, check_exact=True)


def test_importing_costs_nothing() -> None:
    heavy = ["numpy", "pandas", "openai", "pydantic", "scipy", "typer", "jinja2", "asyncio"]
    code = f"import sys, promptlab as pl; dir(pl); print([m for m in {heavy} if m in sys.modules])"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


def test_all_names_are_public_and_there() -> None:
    assert dir(pl) == sorted(pl.__all__)
    assert len(pl.__all__) <= 15
    for name in pl.__all__:
        if name != "__version__":
            assert getattr(pl, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Experimant'"):
        pl.Experimant  # noqa: B018 - asking is the test


def test_the_tables_are_the_files(run: pl.Run) -> None:
    same(run.results, run.folder / "results.csv")
    same(run.predictions, run.folder / "predictions.csv")
    own = run.prepared.experiment.folder / "results.csv"
    assert own.read_bytes() == (run.folder / "results.csv").read_bytes()


def test_the_tables_have_sensible_types(run: pl.Run) -> None:
    results, predictions = run.results, run.predictions
    for name in ("rank", "dev_n", "ok", "error", "calls", "tokens_in"):
        assert pd.api.types.is_integer_dtype(results[name]), name
    for name in ("dev_score", "test_score", "delta", "p_adjusted", "usd", "dev.macro_f1"):
        assert pd.api.types.is_float_dtype(results[name]), name
    assert pd.api.types.is_bool_dtype(predictions["cached"])
    assert pd.api.types.is_float_dtype(predictions["score"])
    assert pd.api.types.is_integer_dtype(predictions["tokens_in"])
    untested = pl.Experiment.load(run.prepared.experiment.folder).mine(test=False).results
    assert pd.api.types.is_float_dtype(untested["test_score"])
    assert untested["test_score"].isna().all()


def test_the_winner_gives_messages_ready_to_send(run: pl.Run) -> None:
    messages = run.winner.messages(message="my card was charged twice")
    assert [each["role"] for each in messages] == ["system", "user"]
    assert messages[1]["content"] == "my card was charged twice"
    assert run.winner.variant.id in set(run.results["variant"])


@pytest.mark.parametrize("inputs", [{}, {"massage": "hello"}])
def test_a_missing_input_is_told_by_name(run: pl.Run, inputs: dict[str, str]) -> None:
    with pytest.raises(pl.BadInput, match="message"):
        run.winner.messages(**inputs)


def test_it_runs_inside_a_running_event_loop(path: Path, run: pl.Run) -> None:
    """As in a notebook."""

    async def cell() -> pl.Run:
        return pl.Experiment.load(path).mine()

    again = asyncio.run(cell())
    pd.testing.assert_frame_equal(again.results.drop(columns="usd"), run.results.drop(columns="usd"))


def test_overrides_are_those_of_the_command_line(path: Path) -> None:
    experiment = pl.Experiment.load(
        path, {"search.finalists": 1, "name": "other: name", "space.tone": ["short", "long"]}
    )
    assert experiment.name == "other: name"
    assert experiment.parsed.search.finalists == 1
    assert experiment.plan().points == 4


def test_messages_and_plan_need_no_run(path: Path) -> None:
    experiment = pl.Experiment.load(path)
    messages = experiment.messages("m3", "tone=long")
    assert messages[0]["content"].startswith("Read the message with care.")
    assert "case" in messages[1]["content"]
    with pytest.raises(pl.BadInput, match="there is no row 'm999'"):
        experiment.messages("m999")


def test_compare_takes_what_mine_left(run: pl.Run) -> None:
    for place in (run, run.folder, str(run.prepared.experiment.folder / "results.csv")):
        found = pl.compare(place)
        assert list(found.leaderboard["variant"]) == list(run.results["variant"])
        assert len(found.differences) == 8, "5 variants on dev, 3 finalists on test"


def test_what_cannot_be_compared_is_told_with_what_can(run: pl.Run) -> None:
    assert len(pl.compare([run, str(run.folder)]).leaderboard) == len(run.results), "a list is as good"
    for wrong, said in ((None, "not NoneType"), (3, "not int"), ([run, {}], "a run is asked for, not dict")):
        with pytest.raises(pl.BadInput, match=said):
            pl.compare(wrong)  # type: ignore[arg-type]
    with pytest.raises(pl.BadInput, match=r"Write it with \.to_csv\("):
        pl.compare(run.predictions)  # type: ignore[arg-type]
    with pytest.raises(pl.BadInput, match="name at least one run"):
        pl.compare([])


def test_a_comparison_is_shown_short(run: pl.Run) -> None:
    shown = repr(pl.compare(run))
    assert len(shown) < 120
    assert f"{len(run.results)} variants in 1 run, against {run.id}/" in shown


def test_no_public_name_is_also_a_module() -> None:
    """Else importing the module anywhere would replace the name."""
    folder = Path(pl.__file__).parent
    assert not [name for name in pl.__all__ if (folder / name).is_dir() or (folder / f"{name}.py").is_file()]


def test_the_manifest_says_what_the_run_was_made_from(run: pl.Run) -> None:
    found = json.loads((run.folder / "manifest.json").read_text(encoding="utf-8"))
    assert found["run"] == run.id
    assert {"promptlab", "python", "libraries", "settings", "seeds", "budget", "test_reads", "capabilities"} <= set(
        found
    )
    assert {"experiment", "templates", "bank", "data", "dev", "files", "test"} == set(found["hashes"])
    assert {"data.jsonl", "t.j2", "experiment.yaml"} <= set(found["hashes"]["files"])
    assert found["budget"] == {"calls": 2000, "tokens": None, "usd": None, "minutes": None}
    assert found["calls"] == len(run.predictions)
    assert found["spent_usd"] == 0.0
    assert found["test_reads"] == 1


def test_every_variant_has_its_prompt_in_a_fence_that_holds(tmp_path: Path) -> None:
    path = project(tmp_path, rows=12)
    text = "a row with ```python\nfences``` and ````four\n# and a heading"
    lines = (tmp_path / "data.jsonl").read_text(encoding="utf-8").splitlines()
    changed = [json.dumps({**json.loads(line), "message": f"{text} {n}"}) for n, line in enumerate(lines)]
    (tmp_path / "data.jsonl").write_text("\n".join(changed) + "\n", encoding="utf-8")
    run = pl.Experiment.load(path, {"space.tone": ["short"]}).mine()
    pages = {page.stem: page.read_text(encoding="utf-8") for page in (run.folder / "prompts").glob("*.md")}
    assert set(pages) == set(run.results["variant"])
    for page in pages.values():
        assert f"`````text\n{text}" in page
        assert "## system" in page
        assert "- tone: short" in page


def test_the_winner_says_which_inputs_it_lacks_and_which_it_does_not_know(run: pl.Run) -> None:
    with pytest.raises(pl.BadInput) as caught:
        run.winner.messages(mesage="my card was charged twice")
    assert str(caught.value).splitlines() == [
        "the input `message` is missing. The template t reads: message.",
        "there is no input `mesage`. Did you mean 'message'?",
    ]
    with pytest.raises(pl.BadInput, match=r"^the input `message` is missing\. The template t reads: message\.$"):
        run.winner.messages()
