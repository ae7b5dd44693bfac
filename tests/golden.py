"""The golden run: a recorded search with proposers that ask a model, replayed to the same tables and prompts.

tests/data/golden holds its files (experiment.yaml and what it names), calls.jsonl with every answer, and what came of
it: results.csv and prompts.md. Nothing in them depends on promptlab's version: the run's id, which does, is written as
RUN. When decisions change on purpose, make it again, and look at what changed:

    python tests/golden.py && git diff --stat tests/data/golden
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from fault_server import Reply, ok
from small_project import answer, write

from promptlab.folder import LOG
from promptlab.prepare import opened
from promptlab.records import Call, Completion, Request, Usage
from promptlab.run import mine, rebuild, runs_of
from promptlab.session import Unwatched, execute
from promptlab.store import Store

HERE = Path(__file__).parent / "data" / "golden"
NOWHERE = "http://127.0.0.1:9/v1"  # the endpoint that the file names: nothing listens there
INPUTS = ("experiment.yaml", "rows.csv", "bank.jsonl", "templates/colour.j2")
PROPOSE = "[reflect, history, {evolve: {demos: true}}, random]"
WAYS = (
    "Tell the colour that the message ends with.",
    "You have sorted colours for ten years.",
    "Say one word.",
    "Mind the last word.",
)


def replay(folder: Path) -> dict[str, str]:
    """results.csv and the prompts of the recorded search, run again in an empty folder from its answers alone.

    Raises AssertionError where the tables made from the log differ, EndpointUnusable where another call is wanted.
    """
    for name in INPUTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / name, folder / name)
    prepared = opened(folder / "experiment.yaml")
    place = runs_of(prepared.experiment) / prepared.identity
    place.mkdir(parents=True)
    store = Store(place / LOG, None)
    store.record(*(_call(json.loads(line)) for line in (HERE / "calls.jsonl").read_text("utf-8").splitlines()))
    store.close()
    run = mine(prepared)
    table = (place / "results.csv").read_bytes()
    rebuild(place)
    assert (place / "results.csv").read_bytes() == table, "the table made from the log alone is another"
    prompts = [f"# {each.name}\n\n{each.read_text('utf-8')}" for each in sorted((place / "prompts").iterdir())]
    return {"results.csv": table.decode().replace(run.id, "RUN"), "prompts.md": "\n".join(prompts)}


def _line(call: Call) -> list[Any]:
    done = call.completion
    assert done is not None
    return [call.key, call.purpose, done.text, done.usage.tokens_in, done.usage.tokens_out, call.usd]


def _call(line: list[Any]) -> Call:
    key, purpose, text, tokens_in, tokens_out, usd = line
    return Call(key, purpose, Completion(text, "stop", Usage(tokens_in, tokens_out), "tiny"), usd, 0.05)


# Made ----------------------------------------------------------------------------------------------------------------


class Answering:
    """A wire whose answers are a function of the request; it remembers them."""

    width = 1

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def call(self, request: Request) -> Call:
        said = json.loads(model(request.body).body)
        usage = Usage(said["usage"]["prompt_tokens"], said["usage"]["completion_tokens"])
        completion = Completion(said["choices"][0]["message"]["content"], "stop", usage, "tiny")
        price = request.model.price
        assert price is not None
        self.calls.append(Call(request.key, request.purpose, completion, price.of(usage), 0.05))
        return self.calls[-1]

    def stop(self) -> None:
        """Nothing waits here."""


def model(body: Any) -> Reply:
    """Labels colours, better where an instruction helps; writes instructions, some of them unfit."""
    messages = body["messages"]
    if "<prompt>" not in messages[0]["content"]:
        return answer(body)
    digest = hashlib.sha256(json.dumps(messages).encode()).digest()
    shown = re.findall(r"<instruction[^>]*>\n(.*?)\n</instruction>", messages[1]["content"], re.S)
    text = f"{shown[-1] if shown else ''} {WAYS[digest[0] % len(WAYS)]} It is way {digest[2]}."[-200:]
    usage = {"prompt_tokens": 200, "completion_tokens": 20}
    return ok("I cannot." if digest[1] < 30 else f"<prompt>{text}</prompt>", usage=usage)


def make() -> None:
    """Mine for real, keep the answers, replay them, keep what came of it."""
    with tempfile.TemporaryDirectory() as place:
        made, again = Path(place) / "made", Path(place) / "again"
        path = write(made, NOWHERE, max_retries=0, allocate="ranks", budget="{calls: 560}", rows=70)
        text = path.read_text().replace("propose: [grid]", f"propose: {PROPOSE}")
        path.write_text(text.replace("finalists: 3", "finalists: 3\n  design: {variants: 6, rows: 4}"))
        template = made / "templates" / "colour.j2"
        template.write_text(template.read_text().replace("{% choice task %}", "{% choice task open %}"))
        for name in INPUTS:
            (HERE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made / name, HERE / name)
        wire, store = Answering(), Store(made / LOG, None)
        asyncio.run(execute(opened(path), "RUN", wire, store, Unwatched(), lambda: None))
        store.close()
        lines = [json.dumps(_line(call), ensure_ascii=False) for call in wire.calls]
        (HERE / "calls.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for name, content in replay(again).items():
            (HERE / name).write_text(content, encoding="utf-8", newline="")


if __name__ == "__main__":
    make()
