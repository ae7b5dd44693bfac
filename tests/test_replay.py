"""Replay: allocators on recorded scores whose truth is known, from files to the table."""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from promptlab.cli import guarded
from promptlab.cli.replay import replay
from promptlab.errors import BadInput
from promptlab.replay.game import Outcome, drawn, pick, play
from promptlab.replay.matrix import Matrix, read_matrices
from promptlab.replay.plot import curves, plot
from promptlab.replay.spec import budgets, specs
from promptlab.replay.sweep import COLUMNS, Sweep, _summed, chosen, loaded, sweep
from promptlab.view import Plan, View

app = typer.Typer()
app.command()(guarded(replay))


def scores_of(seed: int, rows: int = 16, columns: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    chance = 0.5 + rng.normal(0, 0.15, rows)[:, None] + rng.normal(0, 0.2, columns)
    return (rng.random((rows, columns)) < np.clip(chance, 0.05, 0.95)).astype(float)


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def calm(allocators: str = "full", budget: str = "5", **options: Any) -> Sweep:
    return replace(Sweep(specs(allocators), budgets(budget), reps=12, seed=3), **options)


def ran(*args: str | Path) -> Any:
    return CliRunner().invoke(app, [str(each) for each in args])


# Files ---------------------------------------------------------------------------------------------------------------


def test_a_repeated_prompt_counts_once_and_parents_point_to_what_is_kept(tmp_path: Path) -> None:
    scores = scores_of(1, 6)
    scores[5] = np.nan
    path = saved(
        tmp_path / "m.npz",
        scores=scores.astype("f2"),
        prompt_id=np.array([7, 3, 7, 4, 5, 9]),
        parent=np.array([-1, 0, 1, 2, 4, 0]),
        generation=np.array([0, 1, 1, 2, 3, 4]),
    )
    [matrix] = read_matrices([path])
    assert matrix.name == "m"
    np.testing.assert_array_equal(matrix.scores, scores[[0, 1, 3, 4]])
    assert matrix.parents == (-1, 0, 0, -1), "of a repeated parent the first, of oneself none"
    assert matrix.births == (0, 1, 2, 3)


def test_a_predictions_csv_of_a_full_run_is_a_matrix_of_its_dev_rows(tmp_path: Path) -> None:
    truth = scores_of(2, 4, 10)
    path = tmp_path / "run" / "predictions.csv"
    path.parent.mkdir()
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["run", "variant", "example", "repeat", "split", "score"])
        for v in range(4):
            out.writerows(["r", f"v{v}", f"e{i}", r, "dev", truth[v, i]] for i in range(10) for r in (0, 1))
            out.writerow(["r", f"v{v}", "t", 0, "test", 1])
        out.writerows(["r", "fell", f"e{i}", 0, "dev", 1] for i in range(3))
    [matrix] = read_matrices([path])
    assert matrix.name == "run"
    np.testing.assert_array_equal(matrix.scores, truth)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p / "none.npz", "there is no such file"),
        (lambda p: p, "holds no .npz"),
        (lambda p: saved(p / "a.npz", other=np.ones(3)), "has other"),
        (lambda p: saved(p / "a.npz", scores=np.ones(3)), "scores[variant, example]"),
        (lambda p: saved(p / "a.npz", scores=np.ones((3, 4)), prompt_id=np.ones(2)), "one value for each of 3 rows"),
        (lambda p: saved(p / "a.npz", scores=np.ones((1, 4))), "1 distinct variants"),
        (lambda p: saved(p / "a.npz", scores=np.full((3, 4), np.inf)), "finite"),
        (lambda p: (p / "x.npz", (p / "x.npz").write_text("hello"))[0], "cannot be read"),
        (lambda p: (p / "x.csv", (p / "x.csv").write_text("a,b\n1,2\n"))[0], "has no column variant, example"),
        (lambda p: (p / "x.txt", (p / "x.txt").write_text("a"))[0], "neither an .npz nor"),
    ],
)
def test_what_cannot_be_replayed_is_said_and_exits_2(make: Any, said: str, tmp_path: Path) -> None:
    done = ran(make(tmp_path))
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output


def test_objects_in_an_npz_are_never_run(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", scores=np.array([[{}, 1], [2, 3]], object))
    with pytest.raises(BadInput, match="cannot be read"):
        read_matrices([path])


def test_where_there_is_nothing_to_find_a_matrix_is_left_out_and_named(tmp_path: Path) -> None:
    saved(tmp_path / "flat.npz", scores=np.ones((5, 20)))
    saved(tmp_path / "good.npz", scores=scores_of(3))
    kept, notes = chosen([tmp_path], calm(), 0.02)
    assert [each.name for each in kept] == ["good"]
    assert "flat is left out" in notes[0]
    assert len(chosen([tmp_path], calm(), 0.0)[0]) == 2
    with pytest.raises(BadInput, match="holds no array `parent`"):
        chosen([tmp_path / "good.npz"], calm(parents=True), 0.02)


# What is asked for ---------------------------------------------------------------------------------------------------


def test_allocators_are_named_with_options_and_commas_between_them() -> None:
    found = specs("full, race[z=1.5,strict=true] ,halving,full,own.place:name")
    assert [(each.name, dict(each.options)) for each in found] == [
        ("full", {}),
        ("race", {"z": 1.5, "strict": True}),
        ("halving", {}),
        ("own.place:name", {}),
    ]
    assert budgets("3, 5,all,3") == (3.0, 5.0, math.inf)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--allocate", "rase"), "Did you mean 'race'?"),
        (("--allocate", "race[zz=1]"), "unknown option 'zz'"),
        (("--allocate", "race[z=0]"), "above 0"),
        (("--allocate", "race[z"), "cannot read 'race[z'"),
        (("--allocate", "race[z]"), "is no option"),
        (("--allocate", ","), "names no allocator"),
        (("--budget", "3,x,-1,inf"), "3 problems"),
        (("--budget", ""), "names no number"),
    ],
)
def test_what_was_mistyped_is_said_before_anything_runs(args: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = ran(saved(tmp_path / "a.npz", scores=scores_of(1)), *args)
    assert done.exit_code == 2
    assert said in done.output


# A repetition --------------------------------------------------------------------------------------------------------


def test_a_draw_starts_with_nothing_known_or_with_what_was_asked_for() -> None:
    scores = scores_of(5, 30, 80)
    parents = tuple([-1] * 6 + [k % 6 for k in range(24)])
    matrix = Matrix("m", scores, parents, tuple(range(30)))
    bare = drawn(matrix, 20, 0, False, np.random.default_rng(1))
    assert len(bare.pool) == 20
    assert not bare.view.asked.any()
    assert bare.view.live.all()
    case = drawn(matrix, 60, 3, True, np.random.default_rng(1))
    view = case.view
    assert view.asked.all(axis=1).sum() == 3, "finalists, complete"
    assert view.asked[:3].all()
    assert len(case.pool) == 20, "those born after the first third"
    assert view.live.sum() == 21, "and a baseline that is known already"
    assert not view.asked[list(case.pool)].any()
    born = [int(view.variants[v].id.removeprefix("row")) for v in case.pool]
    assert min(born) == 10
    place = {each.id: v for v, each in enumerate(view.variants)}
    for v, row in zip(case.pool, born, strict=True):
        [above] = view.variants[v].parents
        assert above == f"known{parents[row]}"
        known = view.asked[place[above]].sum()
        assert known in (50, 80)
        np.testing.assert_allclose(case.truth[place[above]], matrix.means[parents[row]])
    best = sorted(range(10), key=lambda row: -matrix.means[row])[:3]
    assert [each.id for each in view.variants[:3]] == [f"known{row}" for row in best]


def test_full_at_any_price_regrets_nothing_and_full_is_paid_for_in_calls() -> None:
    matrix = Matrix("m", scores_of(6))
    rows = sweep([matrix], calm("full", "all,5"), lambda _: None, workers=1)
    assert rows[0]["regret_points"] == 0
    assert rows[0]["calls_used"] == 60
    assert rows[0]["within_1pt"] == 1
    assert rows[1]["calls_used"] == 5


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(2, 12),
    columns=st.integers(2, 30),
    calls=st.integers(0, 200),
    name=st.sampled_from(["full", "uniform", "halving", "ranks", "race", "race[strict=true]", "ucb", "top_two"]),
    history=st.integers(0, 3),
    missing=st.sampled_from([0.0, 0.2]),
)
def test_no_allocator_gets_more_calls_than_the_budget_or_chooses_outside_the_pool(
    seed: int, rows: int, columns: int, calls: int, name: str, history: int, missing: float
) -> None:
    scores = scores_of(seed, rows + 2 * history, columns)
    scores[:, 1:][np.random.default_rng(seed).random((len(scores), columns - 1)) < missing] = np.nan
    case = drawn(Matrix("m", scores), 60, history, False, np.random.default_rng(seed))
    allocator, claims = loaded(specs(name)[0])
    before = case.view.asked.copy()
    outcome = play(case, allocator, calls, claims, seed)
    assert 0 <= outcome.calls <= min(calls, (~before).sum())
    assert -1e-9 <= outcome.regret <= 1
    np.testing.assert_array_equal(case.view.asked, before)


def test_a_cell_that_is_asked_twice_is_neither_counted_nor_paid_for_twice() -> None:
    def greedy(view: View, rng: np.random.Generator) -> Plan:
        return Plan(((0, 0), (0, 0), (1, 0), (0, 0)) if view.round < 9 else ())

    case = drawn(Matrix("m", scores_of(7)), 60, 0, False, np.random.default_rng(1))
    assert play(case, greedy, 100, None, 1).calls == 2


def test_the_chosen_one_is_the_best_of_those_scored_as_deep_as_all_left() -> None:
    case = drawn(Matrix("m", scores_of(8, 4, 6)), 60, 0, False, np.random.default_rng(1))
    view = case.view
    view.asked[:4, :4] = True
    view.scores[:4, :4] = [[0, 1, 0, 1], [1, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]]
    assert pick(view, case.pool) == 2
    view.live[2] = False
    assert pick(view, case.pool) == 1
    view.scores[1, :4] = [0, 0, 0, 1]
    assert pick(view, case.pool) == 0, "nobody is above the baseline"


# The table -----------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_rows_on_any_number_of_processes() -> None:
    matrices = [Matrix("a", scores_of(1)), Matrix("b", scores_of(2))]
    plan = calm("halving,ranks,race", "4,all", reps=23)
    heard: list[float] = []
    one = sweep(matrices, plan, heard.append, workers=1)
    assert sweep(matrices, plan, lambda _: None, workers=2) == one
    assert heard[-1] == 1
    assert heard == sorted(heard)
    assert sweep(matrices, replace(plan, seed=4), lambda _: None, workers=1) != one
    assert [tuple(row) for row in one] == [COLUMNS] * 12


def test_the_seed_draws_the_order_of_the_examples() -> None:
    matrix = Matrix("a", scores_of(1))
    drawn_by = [sweep([matrix], calm("full", "20", seed=seed), lambda _: None, workers=1) for seed in (3, 4)]
    assert drawn_by[0] != drawn_by[1]


def test_kept_is_the_share_of_the_claims_not_of_the_runs() -> None:
    outcomes = [Outcome(9, 0.5, 1.0, False), Outcome(9, 0.0, 0.0, True), Outcome(9, 0.005, 0.1, True)]
    [row] = _summed(Matrix("a", scores_of(1)), calm("race", "5"), [outcomes])
    assert row["kept"] == 1
    assert row["claimed"] == row["within_1pt"] == pytest.approx(2 / 3)


def test_claims_are_counted_for_those_that_make_them() -> None:
    [ranks, race] = sweep([Matrix("a", scores_of(1))], calm("ranks,race", "all"), lambda _: None, workers=1)
    assert ranks["claimed"] is None
    assert ranks["kept"] is None
    assert race["claimed"] == 1
    assert race["kept"] >= 0.8
    [broke] = sweep([Matrix("a", scores_of(1, 16, 300))], calm("race", "3"), lambda _: None, workers=1)
    assert broke["claimed"] == 0
    assert broke["kept"] is None


def test_what_finalists_tell_halves_the_regret_where_rows_differ_in_what_they_tell() -> None:
    """Most rows are right or wrong for everybody; a tenth decide. Known finalists point to those."""
    rng = np.random.default_rng(0)
    scores = np.tile((rng.random(200) < 0.5).astype(float), (46, 1))
    telling = rng.permutation(200)[:20]
    chance = rng.uniform(0.1, 0.9, 46)
    scores[:, telling] = (rng.random((46, 20)) < chance[:, None]).astype(float)
    matrix = Matrix("m", scores)
    shares = []
    for history in (0, 5):
        [row] = sweep([matrix], calm("ranks", "4", history=history, reps=40), lambda _: None, workers=1)
        shares.append(row["regret_share"])
    assert shares[1] < 0.5 * shares[0]


def test_the_command_prints_a_table_and_bars_and_writes_every_figure(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.npz", scores=scores_of(1))
    out = tmp_path / "replay.csv"
    done = ran(path, "--allocate", "full,halving,race", "--budget", "3,all", "--reps", "4", "--out", out)
    assert done.exit_code == 0, done.output
    assert "Means over 1 score table" in done.output
    assert "█" in done.output
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["allocator"], row["budget"]) for row in rows] == [
        (name, budget) for name in ("full", "halving", "race") for budget in ("3.0", "all")
    ]
    assert rows[1]["regret_points"] == "0.0"
    assert rows[0]["claimed"] == ""
    assert "replay.svg" in done.output
    assert ET.parse(tmp_path / "replay.svg").getroot().tag.endswith("svg")
    told = ran(path, "--allocate", "full", "--budget", "all", "--reps", "2", "--json")
    assert json.loads(told.stdout)[0]["regret_share"] == 0


def test_the_drawing_has_a_line_a_shape_and_a_name_for_each_allocator_on_a_log_scale() -> None:
    rows = [
        {
            "allocator": name,
            "budget": budget,
            "calls_used": 7.0,
            "regret_share": None if share is None else share + k,
            "matrix": k,
        }
        for name, level in (("halving", 0.4), ("race[z=1]<b>", 0.2))
        for budget, share in ((5.0, level), (10.0, level / 2), (20.0, level / 4), ("all", None))
        for k in (0, 0.1)
    ]
    drawn = curves(rows)
    assert drawn["halving"] == [(5.0, pytest.approx(0.45)), (10.0, pytest.approx(0.25)), (20.0, pytest.approx(0.15))]
    root = ET.fromstring(plot(drawn, 2))
    name = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.find(f"{name}title").text == "Regret by calls per variant, 2 score tables"  # type: ignore[union-attr]
    assert "halving: 0.45 at 5" in root.find(f"{name}desc").text  # type: ignore[union-attr,operator]
    groups = root.findall(f"{name}g")
    assert [each.find(f"{name}title").text for each in groups] == [*drawn]  # type: ignore[union-attr]
    assert len({each.get("fill") for each in groups}) == 2
    assert [len(groups[0].findall(f"{name}circle")), len(groups[1].findall(f"{name}rect"))] == [4, 4]
    xs = [float(each.get("cx", "")) for each in groups[0].findall(f"{name}circle")]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2), "twice the calls, one step"
    assert plot({"full": []}, 1).endswith("</svg>\n")


def test_many_names_do_not_stand_on_one_another_and_stay_inside() -> None:
    root = ET.fromstring(plot({f"a{k}": [(5.0, 0.01 * k), (9.0, 0.0)] for k in range(12)}, 1))
    name = "{http://www.w3.org/2000/svg}"
    heights = sorted(float(each.get("y", "")) for each in root.findall(f"{name}g/{name}text"))
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 14
    assert heights[-1] < 440
    assert heights[0] > 0


def test_a_drawing_never_takes_the_place_of_the_csv(tmp_path: Path) -> None:
    done = ran(saved(tmp_path / "m.npz", scores=scores_of(1)), "--out", tmp_path / "r.svg")
    assert done.exit_code == 2
    assert "Write .csv" in done.output
    assert not (tmp_path / "r.svg").exists()


def test_a_users_own_allocator_is_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_own.py").write_text(
        "from promptlab.view import Plan\n\ndef first_rows(view, rng, *, rows=2):\n"
        "    cells = ((v, i) for i in range(rows) for v in range(len(view.variants)))\n"
        "    return Plan(tuple(cell for cell in cells if not view.asked[cell]))\n"
    )
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "m.npz", scores=scores_of(1))
    done = ran("m.npz", "--allocate", "mine_own:first_rows[rows=3]", "--reps", "15", "--budget", "all", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["calls_used"] == 3


def test_a_run_and_an_experiment_are_replayed_as_their_predictions_and_variants_that_fell_are_counted(
    tmp_path: Path,
) -> None:
    for age, name in enumerate(("later", "first")):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        with (folder / "predictions.csv").open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["variant", "example", "split", "score"])
            out.writerows([f"v{v}", f"e{i}", "dev", (i + v) % 3 / 2] for v in range(3 + age) for i in range(7 - v // 2))
        (folder / "results.csv").touch()
        os.utime(folder / "results.csv", (1e9 - age, 1e9 - age))
    (tmp_path / "experiment.yaml").touch()
    assert [each.name for each in read_matrices([tmp_path / "runs" / "first"])] == ["first"]
    for path in (tmp_path, tmp_path / "experiment.yaml"):
        [matrix] = read_matrices([path])
        assert (matrix.name, len(matrix.scores), matrix.fell) == ("later", 2, 1)
    done = ran(tmp_path, "--least", 0, "--reps", 2, "--budget", 3, "--allocate", "full")
    assert done.exit_code == 0, done.output
    assert "later: 1 left out that `full` would have scored on all dev rows" in done.output
