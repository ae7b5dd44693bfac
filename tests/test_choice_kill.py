"""`choose` killed, stopped or cut off at any moment: the same command goes on; nothing is asked or trained twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fault_server import Reply, error
from small_project import PRELOADED, Running, answer, write
from small_project import stable as table
from tune_server import HASTY, TuneServer

TUNE = """\
space: {template: [colour], task: [plain, expert], tone: [terse]}
tune: {trainer: openai, seeds: [1, 2], sizes: [all], price: {train: 3.0, input: 1.5, output: 7.25}}
choose: {arms: [prompt, prompt+demos, fine-tuned], margin: 0.05, volume_per_month: 1000, label_usd: 0.1}
"""
AT_ONCE = 4
WHOLE = 2 * (2 * 24 + 2 * 16) + 2 * (24 + 16)  # of two arms two variants on dev and test; of the tuned one two models


class World(TuneServer):
    """Trains, and answers chats; what is said depends on the prompt alone, not on what a model is called."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self._step(request) != "chat" or "chat" in self.always:
            return await super()._handle(request)
        self.default = said
        return await super(TuneServer, self)._handle(request)

    @property
    def chats(self) -> list[bytes]:
        return [each.content for each in self.posts if each.path.endswith("/chat/completions")]

    @property
    def twice(self) -> int:
        """How many calls were asked again."""
        return len(self.chats) - len(set(self.chats))


def said(body: Any) -> Reply:
    return answer({name: value for name, value in body.items() if name != "model"})


@pytest.fixture(scope="module")
def one_world() -> Iterator[World]:
    """One for all tests: its address is part of what a run is."""
    with World() as served:
        yield served


@pytest.fixture(scope="module")
def undisturbed(one_world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The choice that nothing happened to."""
    experiment = small(tmp_path_factory.mktemp("undisturbed"), one_world)
    assert ended(experiment) == 0
    assert (len(one_world.chats), one_world.twice, len(one_world.jobs)) == (WHOLE, 0, 2)
    return stable(experiment)


def stable(experiment: Path) -> str:
    """choice.csv, but for what a tuned variant is called: that says which training its model is of."""
    return re.sub(r"\bv[0-9a-f]{8}(?=\x1ftuned-)", "", table(experiment.parent / "choice.csv"))


@pytest.fixture
def world(one_world: World, undisturbed: str) -> World:
    del undisturbed
    one_world.seen.clear()
    one_world.jobs.clear()
    one_world.always.clear()
    return one_world


def small(folder: Path, server: World) -> Path:
    path = write(folder, server.url, rows=40, concurrency=AT_ONCE, allocate="full", budget="{calls: 1000}")
    (folder / ".promptlab").mkdir()
    path.write_text(path.read_text() + TUNE)
    return path


@contextmanager
def choosing(experiment: Path, *args: str) -> Iterator[Running]:
    """`promptlab choose` in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, "promptlab.choice.choose"])
    output = experiment.parent / "said.txt"
    process = context.Process(target=_choose, args=(str(experiment), str(output), args))
    process.start()
    try:
        yield Running(process, output)
    finally:
        process.kill()
        process.join()


def _choose(experiment: str, output: str, args: tuple[str, ...]) -> None:
    from promptlab.cli import main
    from promptlab.tune.jobs import Jobs

    Jobs.__init__.__defaults__ = HASTY
    os.chdir(Path(experiment).parent)
    with Path(output).open("w") as file, (Path(output).parent / "out.txt").open("w") as out:
        os.dup2(out.fileno() if "--json" in args else file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - the process's own
    sys.argv = ["promptlab", "choose", experiment, *(args or ("--yes",))]
    main()


def ended(experiment: Path) -> int:
    with choosing(experiment) as process:
        return process.wait()


def until(there: Callable[[], bool], process: Running) -> None:
    while not there() and process.process.is_alive():
        time.sleep(0.001)


def finished(experiment: Path) -> int:
    return len(list((experiment.parent / "runs").glob("*/results.csv")))


MOMENTS: dict[str, Callable[[World, Path], bool]] = {
    "a job is made": lambda world, _: len(world.jobs) > 0,
    "in the first arm": lambda world, _: len(world.chats) > 20,
    "between arms": lambda _, path: finished(path) == 1,
    "on the last test": lambda world, _: len(world.chats) > WHOLE - 15,
}


def test_killed_at_any_moment_the_choice_is_the_same_and_nothing_is_asked_or_trained_twice(
    world: World, tmp_path: Path, undisturbed: str
) -> None:
    experiment = small(tmp_path / "killed", world)
    for name, there in MOMENTS.items():
        with choosing(experiment) as process:
            until(lambda there=there: there(world, experiment), process)  # type: ignore[misc]
            assert process.process.is_alive(), (name, process.said())
            process.send(signal.SIGKILL)
            assert process.wait() == 128 + signal.SIGKILL
        assert not (experiment.parent / "choice.csv").exists()
    assert ended(experiment) == 0
    assert stable(experiment) == undisturbed
    assert len(set(world.chats)) == WHOLE
    assert world.twice <= AT_ONCE * len(MOMENTS)  # what was on the wire when it was killed
    assert len(world.jobs) == 2, "no job is made twice"


@pytest.mark.parametrize("moment", ["a job is made", "in the first arm"])
def test_ctrl_c_ends_with_130_and_says_how_to_go_on(
    world: World, tmp_path: Path, undisturbed: str, moment: str
) -> None:
    experiment = small(tmp_path / "stopped", world)
    world.polls = 10**6 if moment == "a job is made" else 2
    with choosing(experiment) as process:
        until(lambda: MOMENTS[moment](world, experiment), process)
        process.send(signal.SIGINT)
        assert process.wait() == 130, process.said()
        assert "same command" in process.said()
        assert "Traceback" not in process.said()
        if moment == "a job is made":
            assert f"promptlab tune {experiment} --cancel stops what was started" in process.said()
    if moment != "a job is made":
        return
    world.polls, world._left = 2, dict.fromkeys(world._left, 1)
    assert ended(experiment) == 0
    assert stable(experiment) == undisturbed
    assert (world.twice, len(world.jobs)) == (0, 2)


def test_an_endpoint_that_goes_away_ends_with_3_says_which_arm_and_goes_on(
    world: World, tmp_path: Path, undisturbed: str
) -> None:
    experiment = small(tmp_path / "away", world)
    with choosing(experiment) as process:
        until(lambda: finished(experiment) == 1, process)
        world.always["chat"] = error(503, "we are down")
        assert process.wait() == 3, process.said()
        told = process.said()
    assert "arm prompt+demos (1 of 3 arms done): " in told
    assert told.count("Every answer is kept: run the same command to") == 1
    assert not (experiment.parent / "choice.csv").exists()
    world.always.clear()
    assert ended(experiment) == 0
    assert stable(experiment) == undisturbed
    assert len(world.jobs) == 2


def test_an_arm_without_its_model_is_left_out_and_costs_the_others_nothing(
    world: World, tmp_path: Path, undisturbed: str
) -> None:
    """Nobody is there who could be asked whether to train; then the training fails; then it comes off."""
    experiment = small(tmp_path / "failing", world)
    with choosing(experiment, "--json") as process:
        assert process.wait() == 0, process.said()
    body = json.loads((experiment.parent / "out.txt").read_text())
    left = body["left_out"]["fine-tuned"]
    assert left.startswith("its model is not trained yet")
    assert left.endswith(f"promptlab tune {experiment} --yes")
    assert [row["arm"] for row in body["arms"]] == ["prompt", "prompt+demos"]
    assert not world.jobs
    first = len(world.chats)
    assert first == WHOLE - 2 * 40
    world.final, world.error = "failed", {"code": "bad", "message": "the loss is not a number"}
    with choosing(experiment) as process:
        assert process.wait() == 0, process.said()
        told = " ".join(process.said().split())
    assert "arm fine-tuned is left out: its training failed: tuned-tiny-s1-n12: the job ftjob-" in told
    assert "the loss is not a number" in told
    assert len(world.chats) == first
    world.final, world.error = "succeeded", None
    assert ended(experiment) == 0
    assert stable(experiment) == undisturbed
    assert (world.twice, len(world.chats)) == (0, WHOLE), "the others' shares do not depend on it"
