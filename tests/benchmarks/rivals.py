"""Run gepa or promptolution, by their defaults, against an OpenAI-like endpoint: python rivals.py JOB.json.

Runs in the Python where they are installed, so it imports nothing of ours. The job names the tool, url, model, calls,
seed, rows ([text, label] each), the starting instruction and what the task is; the answer is one line of JSON: the
final instruction. The calls are counted by whoever serves them; here a search ends at the first step past the budget.
"""

from __future__ import annotations

import json
import random
import re
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

ASKED = "You improve an instruction. Use at most 150 words. Put the new instruction between <prompt> and </prompt>."
FENCED = re.compile(r"```\n(.*?)\n```", re.S)
PROMPTS = re.compile(r"^Prompt(?: [12])?: (.*?)(?=\nPrompt 2: |\n\nReturn)", re.S | re.M)
SHOWN = re.compile(r"# Inputs\n(.*?)\n+#+ Generated Outputs\n(.*?)\n+#+ Feedback\n(.*?)(?=\n+# Example|\n```|\Z)", re.S)


def translated(text: str) -> list[dict[str, str]]:
    """A rival's question as the offline engine understands one: the same instructions and mistakes, its own form."""
    texts = PROMPTS.findall(text) or FENCED.findall(text)[:1]
    parts = [f"<instruction>\n{each.strip()}\n</instruction>" for each in texts]
    wrong = [
        {"input": said.strip(), "answer given": given.strip(), "right answer": right[1]}
        for said, given, remark in SHOWN.findall(text)
        if (right := re.search("The correct answer is '(.*?)'", remark))
    ]
    if wrong:
        parts.append("\n".join(["<mistakes>", *map(json.dumps, wrong), "</mistakes>"]))
    return [{"role": "system", "content": ASKED}, {"role": "user", "content": "\n\n".join(parts)}]


class Client:
    """Chat calls, counted."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job, self.calls, self.lock = job, 0, threading.Lock()

    def chat(self, messages: list[dict[str, str]], temperature: float = 0.0) -> str:
        with self.lock:
            self.calls += 1
        body = {"model": self.job["model"], "messages": messages, "temperature": temperature, "max_tokens": 1500}
        request = urllib.request.Request(
            f"{self.job['url']}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": "Bearer none"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["choices"][0]["message"]["content"])

    def write(self, text: str) -> str:
        """What the model writes when it is asked for an instruction, in the words of whoever asks."""
        if self.job["plain"]:
            return self.chat([{"role": "user", "content": text}], 1.0)
        return self.chat(translated(text), 1.0)

    def spent(self) -> bool:
        return self.calls >= self.job["calls"]


def judged(data: Any, response: str) -> Any:
    """The task's own metric, the exact label, in gepa's words: by default it asks only whether the answer holds it."""
    from gepa.adapters.default_adapter.default_adapter import EvaluationResult

    said = response.rsplit("<final_answer>", maxsplit=1)[-1].split("</final_answer>", maxsplit=1)[0].strip()
    if said == data["answer"]:
        return EvaluationResult(1.0, f"The generated response is correct: '{said}'")
    return EvaluationResult(0.0, f"The generated response is incorrect. The correct answer is '{data['answer']}'.")


def with_gepa(job: dict[str, Any], client: Client) -> str:
    """gepa.optimize: half of the rows to learn from, half to choose by, as its examples do."""
    import gepa

    rows = [{"input": text, "additional_context": {}, "answer": label} for text, label in job["rows"]]
    random.Random(job["seed"]).shuffle(rows)
    half = len(rows) // 2
    found = gepa.optimize(
        seed_candidate={"instruction": job["start"]},
        trainset=rows[:half],
        valset=rows[half:],
        task_lm=client.chat,
        evaluator=judged,
        reflection_lm=lambda text: fenced(client.write(str(text))),
        stop_callbacks=[lambda _: client.spent()],
        seed=job["seed"],
        logger=type("Quiet", (), {"log": lambda *_: None})(),
    )
    return str(found.best_candidate["instruction"])


def fenced(text: str) -> str:
    """An answer between <prompt> tags as gepa reads one."""
    found = re.search(r"<prompt>(.*)</prompt>", text, re.S)
    return f"```\n{found[1].strip()}\n```" if found else text


def with_promptolution(job: dict[str, Any], client: Client) -> str:
    """As promptolution's optimize(): CAPO, all rows to choose by; initial prompts are written from the description."""
    import numpy as np
    import pandas as pd
    from promptolution.llms.base_llm import BaseLLM
    from promptolution.optimizers.capo import CAPO
    from promptolution.predictors.maker_based_predictor import MarkerBasedPredictor
    from promptolution.tasks.classification_tasks import ClassificationTask
    from promptolution.utils.callbacks import BaseCallback

    class Model(BaseLLM):  # type: ignore[misc]
        def _get_response(self, prompts: list[str], system_prompts: list[str]) -> list[str]:
            said = zip(system_prompts, prompts, strict=True)
            return [
                client.chat([{"role": "system", "content": a}, {"role": "user", "content": b}], 0.0) for a, b in said
            ]

    class Writer(BaseLLM):  # type: ignore[misc]
        def _get_response(self, prompts: list[str], system_prompts: list[str]) -> list[str]:
            return [client.write(each) for each in prompts]

    class Stop(BaseCallback):  # type: ignore[misc]
        def on_step_end(self, optimizer: Any) -> bool:
            return not client.spent()

    random.seed(job["seed"])
    np.random.seed(job["seed"])
    rows = pd.DataFrame(job["rows"], columns=["x", "y"])
    model = Model()
    task = ClassificationTask(rows, task_description=job["task"], eval_strategy="sequential_block", seed=job["seed"])
    start = None if job["plain"] else [job["start"]] * 4
    search = CAPO(MarkerBasedPredictor(model), task, Writer(), start, callbacks=[Stop()])
    return str(search.optimize(n_steps=1000)[0].construct_prompt())


TOOLS = {"gepa": with_gepa, "promptolution": with_promptolution}


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    client = Client(job)
    out = sys.stdout
    sys.stdout = sys.stderr  # what the packages print is not the answer
    text = TOOLS[job["tool"]](job, client)
    out.write(json.dumps({"text": text, "calls": client.calls}) + "\n")


if __name__ == "__main__":
    main()
