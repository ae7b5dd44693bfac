"""doctor tells honoured from ignored and rejected, on a model that is told which to be; runs heed what it found."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel
from fault_server import error, ok, raw
from project import project
from typer.testing import CliRunner

from promptlab import capabilities
from promptlab.cli import app
from promptlab.doctor.examine import Patient, Report, examine
from promptlab.doctor.finding import Finding
from promptlab.embedded.server import Server
from promptlab.endpoint.dialect import Dialect
from promptlab.endpoint.retry import Backoff
from promptlab.errors import BadInput, EndpointUnusable
from promptlab.experiment import Experiment
from promptlab.folder import project_of
from promptlab.records import Endpoint, Model

KEY = "sk-secret-0123456789abcdef"
PARAMETERS = ("max_tokens", "max_completion_tokens", "temperature", "stop", "seed", "n", "logprobs")
MODES = ("json_object", "json_schema", "system", "developer", "two system messages")


def diagnosed(server: FakeModel, context: int = 0, **params: Any) -> Report:
    model = Model("m", Endpoint(server.url, "TEST_KEY", timeout=5.0), "m")
    return asyncio.run(examine(Patient(model, server.url, KEY, params, context), Backoff(0.001, 0.01)))


def found(server: FakeModel, name: str, **params: Any) -> Finding:
    findings = {each.name: each for each in diagnosed(server, **params).findings}
    return findings[name]


def verdict(name: str, **ways: Any) -> str:
    with FakeModel(**ways) as server:
        return found(server, name).verdict


# --- a verdict for each ------------------------------------------------------------------------------------


def test_a_model_that_does_everything_is_found_to_honour_everything_in_few_calls() -> None:
    with FakeModel() as server:
        report = diagnosed(server)
        verdicts = {each.name: each.verdict for each in report.findings}
        assert {name: verdicts[name] for name in (*PARAMETERS, *MODES)} == dict.fromkeys(
            (*PARAMETERS, *MODES), "honoured"
        )
        for name in ("address", "key", "model", "usage", "finish_reason", "long prompts", "embeddings"):
            assert verdicts[name] == "honoured", name
        assert verdicts["unknown keys"] == "ignored"
        assert report.calls == len(server.posts) <= 16
        assert report.tokens < 2000


@pytest.mark.parametrize("name", [*PARAMETERS, "json_object", "json_schema", "system", "developer"])
def test_what_is_taken_without_effect_is_ignored(name: str) -> None:
    """And the verdicts of the others stay: no probe leans on what is ignored."""
    with FakeModel(**{name: "ignored"}) as server:
        verdicts = {each.name: each.verdict for each in diagnosed(server).findings}
    assert verdicts[name] == "ignored"
    leaning = {"temperature": ["seed"], "system": ["two system messages"]}.get(name, [])
    others = {*PARAMETERS, *MODES} - {name, *leaning}
    assert {other: verdicts[other] for other in others} == dict.fromkeys(others, "honoured")


@pytest.mark.parametrize("way", ["rejected", "unnamed", "broken"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_what_is_answered_with_an_error_is_rejected_and_the_rest_is_still_told(name: str, way: str) -> None:
    """The error may name the parameter, name nothing, or be a 500."""
    with FakeModel(**{name: way}) as server:
        verdicts = {each.name: each.verdict for each in diagnosed(server).findings}
    assert verdicts[name] == "rejected"
    others = {*PARAMETERS, *MODES} - {name}
    assert {other: verdicts[other] for other in others} == dict.fromkeys(others, "honoured")


@pytest.mark.parametrize("name", ["json_object", "json_schema", "system", "developer"])
def test_modes_and_roles_that_are_answered_with_an_error_are_rejected(name: str) -> None:
    assert verdict(name, **{name: "rejected"}) == "rejected"


def test_two_system_messages_that_are_rejected_leave_one_honoured() -> None:
    with FakeModel(**{"two systems": "rejected"}) as server:
        verdicts = {each.name: each.verdict for each in diagnosed(server).findings}
    assert (verdicts["two system messages"], verdicts["system"]) == ("rejected", "honoured")


def test_a_strict_server_rejects_unknown_keys_by_name() -> None:
    assert verdict("unknown keys", promptlab_probe="rejected") == "rejected"
    assert verdict("stop", promptlab_probe="rejected") == "honoured"


def test_temperatures_are_told_one_by_one_as_a_reasoning_model_takes_only_1() -> None:
    with FakeModel(temperatures=(0, 0.7)) as server:
        finding = found(server, "temperature")
    assert finding.verdict == "rejected"
    assert finding.facts == {"accepted": [1.0], "rejected": [0, 0.7]}


def test_a_canned_answer_leaves_seed_unclear_and_says_why() -> None:
    with FakeModel(text="yes") as server:
        finding = found(server, "seed")
        assert finding.verdict == "unclear"
        assert "every answer is alike: 'yes'" in finding.seen


def test_json_that_is_not_of_the_schema_is_not_enforced() -> None:
    with FakeModel(text='{"answer": "hello"}') as server:
        findings = {each.name: each for each in diagnosed(server).findings}
    assert findings["json_object"].verdict == "honoured"
    assert findings["json_schema"].verdict == "ignored"
    assert "not of the schema" in findings["json_schema"].seen


def test_the_rung_between_is_tried_where_json_schema_is_rejected_and_only_there() -> None:
    with FakeModel(json_schema="rejected") as server:
        assert found(server, "json_object with schema").verdict == "honoured"
    with FakeModel(json_schema="rejected", schema="ignored") as server:
        assert found(server, "json_object with schema").verdict == "ignored"
    with FakeModel() as server:
        assert "json_object with schema" not in {each.name for each in diagnosed(server).findings}


# --- what the server is --------------------------------------------------------------------------------------


def test_the_model_is_looked_up_with_its_last_day_and_its_context() -> None:
    with FakeModel() as server:
        card = {"id": "m", "shutdown_date": "2099-01-31", "max_model_len": 8192}
        server.looks["/v1/models"] = {"data": [card]}
        findings = {each.name: each for each in diagnosed(server).findings}
        assert findings["model"].facts["shutdown_date"] == "2099-01-31"
        assert "is shut down on 2099-01-31, in " in findings["model"].means
        assert findings["long prompts"].facts["context"] == 8192
        server.looks["/v1/models"] = {"data": [{"id": "another"}]}
        assert found(server, "model").verdict == "unclear"
        del server.looks["/v1/models"]
        assert found(server, "model").seen.startswith("/models answers HTTP 404")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 20}, "not plausible"),  # litellm's, whatever is sent
        ({"prompt_tokens": 9000, "completion_tokens": 3}, "not plausible"),
        ({"prompt_tokens": 40, "completion_tokens": 0}, "not plausible"),
        ({"prompt_tokens": 30, "completion_tokens": 0}, "0 for the answer"),
        ({}, "no token counts"),
        (None, "no token counts"),
    ],
)
def test_usage_that_is_missing_or_cannot_be_true_is_told(usage: Any, expected: str) -> None:
    with FakeModel(usage=usage) as server:
        finding = found(server, "usage")
    assert finding.verdict == "ignored"
    assert expected in finding.seen


def test_finish_reasons_that_never_say_length_are_told_though_the_limit_holds() -> None:
    with FakeModel(finish_reason="stop") as server:
        findings = {each.name: each for each in diagnosed(server).findings}
    assert findings["finish_reason"].verdict == "unclear"
    assert findings["max_tokens"].verdict == "honoured"
    assert "but finish_reason is 'stop'" in findings["max_tokens"].seen


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"reasoning_content": "hm"}, "reasoning_content"),
        ({"reasoning": "hm"}, "reasoning"),
        ({"content": "<think>hm</think>kiwi"}, "think"),
    ],
)
def test_where_reasoning_comes_is_told(message: dict[str, str], where: str) -> None:
    with FakeModel(message=message) as server:
        assert found(server, "reasoning").facts == {"where": where}


def test_an_answer_that_is_all_reasoning_is_no_sign_of_disobedience() -> None:
    with FakeModel(message={"content": "", "reasoning": "let me think"}, finish_reason="length") as server:
        findings = {each.name: each for each in diagnosed(server).findings}
    for name in ("system", "developer", "json_object", "stop", "seed"):
        assert findings[name].verdict == "unclear", name


def test_a_prompt_that_is_cut_silently_is_found_and_an_honest_error_is_not_called_that() -> None:
    with FakeModel() as server:
        server.window = 150
        cut = found(server, "long prompts")
        assert cut.verdict == "ignored"
        assert "the start not read" in cut.seen
    with FakeModel(long="rejected") as server:
        long = found(server, "long prompts")
        assert (long.verdict, long.means) == ("rejected", "too long is an error, as it should be")


def test_a_longer_prompt_is_tried_where_it_is_asked_for() -> None:
    """A window of 3,000 words: 600 tokens fit, 9,000 do not."""
    with FakeModel() as server:
        server.window = 3000
        findings = {each.name: each for each in diagnosed(server, context=9000).findings}
        assert findings["long prompts"].verdict == "ignored"
        assert abs(findings["long prompts"].facts["tokens"] - 9000) < 300
        assert found(server, "long prompts").verdict == "honoured"


def test_ollama_and_llama_cpp_tell_their_context_for_free() -> None:
    with FakeModel() as server:
        server.looks["/api/version"] = {"version": "0.9.0"}
        assert "4,096 unless num_ctx" in found(server, "long prompts").means
        server.looks["/props"] = {"default_generation_settings": {"n_ctx": 2048}}
        assert found(server, "long prompts").facts["context"] == 2048


def test_answers_that_differ_at_temperature_0_are_counted() -> None:
    with FakeModel(repeats="differ") as server:
        finding = found(server, "repeats at 0")
    assert finding.facts["apart"] >= 1
    with FakeModel() as server:
        assert found(server, "repeats at 0").facts == {"answers": 5, "apart": 0}


def test_four_at_once_are_timed_against_one_by_one() -> None:
    with FakeModel() as server:
        quick = server.default
        server.default = lambda body: _slow(quick(body))
        findings = {each.name: each for each in diagnosed(server).findings}
        assert server.peak == 4
    assert 0.05 < findings["latency"].facts["p50_s"] < 0.5
    assert findings["parallel"].facts["speed_up"] > 1.5


def _slow(reply: Any) -> Any:
    from dataclasses import replace

    return replace(reply, delay=0.05)


@pytest.mark.parametrize(
    ("way", "expected"), [("one", "ignored"), ("nested", "ignored"), ("rejected", "rejected"), ("", "honoured")]
)
def test_vectors_are_counted_and_flat(way: str, expected: str) -> None:
    with FakeModel(**({"input": way} if way else {})) as server:
        assert found(server, "embeddings").verdict == expected


def test_limits_in_headers_errors_and_further_routes_are_told() -> None:
    with FakeModel(headers={"x-ratelimit-limit-requests": "500"}, seed="rejected") as server:
        server.looks["/v1/files"] = {"data": []}
        findings = {each.name: each for each in diagnosed(server).findings}
    assert findings["rate limits"].seen == "limit-requests 500"
    assert findings["errors"].facts == {"shapes": ["HTTP 400, OpenAI's shape"]}
    assert [findings[name].verdict for name in ("files", "fine-tuning", "batches")] == ["honoured", *["rejected"] * 2]


def test_the_experiments_other_parameters_are_tried_in_one_more_call() -> None:
    with FakeModel(top_k="rejected") as server:
        findings = {each.name: each for each in diagnosed(server, top_k=5, top_p=0.9).findings}
    assert findings["top_k"].verdict == "rejected"
    assert findings["top_p"].verdict == "unclear"


def test_limits_and_hiccups_are_waited_out() -> None:
    with FakeModel() as server:
        server.script(error(429, headers={"Retry-After": "0.01"}), error(503))
        report = diagnosed(server)
        assert report.calls == len(server.posts) == 17
        assert {each.name: each.verdict for each in report.findings}["system"] == "honoured"


def test_a_server_that_keeps_failing_one_thing_leaves_that_untried_not_rejected() -> None:
    with FakeModel() as server:
        fine = server.default
        server.default = lambda body: error(503) if "response_format" in body else fine(body)
        findings = {each.name: each for each in diagnosed(server).findings}
    assert findings["json_schema"].verdict == "not tried"
    assert findings["stop"].verdict == "honoured"


# --- the embedded engine ---------------------------------------------------------------------------------


HONOURED = {  # as far as the engine has them; more may come
    "address", "model", "usage", "finish_reason", "max_tokens", "max_completion_tokens", "temperature", "stop", "seed",
    "json_object", "json_schema", "system", "developer", "two system messages", "long prompts",
}  # fmt: skip


def test_the_embedded_engine_honours_what_it_says_in_few_calls_and_tokens() -> None:
    with Server() as server:
        model = Model("small", Endpoint("embedded@1"), "small")
        report = asyncio.run(examine(Patient(model, server.base_url, "", {})))
    verdicts = {each.name: each.verdict for each in report.findings}
    assert {name for name, each in verdicts.items() if each == "honoured"} >= HONOURED
    assert report.calls <= 16
    assert report.tokens < 2000


# --- what cannot be examined -------------------------------------------------------------------------------


def command(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["doctor", *words])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEST_KEY", KEY)
    return tmp_path


@pytest.mark.parametrize(
    ("reply", "sentences"),
    [
        (error(401, f"Incorrect API key provided: {KEY}"), ["turns the key away", "TEST_KEY"]),
        (error(404, "The model `m` does not exist", code="model_not_found"), ["no such model: 'm'"]),
        (raw("<html><title>Welcome</title></html>", **{"Content-Type": "text/html"}), ["no OpenAI endpoint"]),
        (error(404, "Not Found"), ["there is no /chat/completions here"]),
        (error(429, "You exceeded your current quota", code="insufficient_quota"), ["quota is used up"]),
        (error(500, f"out of memory for {KEY}"), ["not even a plain request", "out of memory"]),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_exit_3_with_the_remedy_and_no_key(
    reply: Any, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlab.doctor.examine.SHORT", Backoff(0.001, 0.01))
    monkeypatch.setattr(examine, "__defaults__", (Backoff(0.001, 0.01),))
    with FakeModel() as server:
        server.default = lambda _: reply
        code, out, err = command("--base-url", server.url, "--model", "m", "--api-key-env", "TEST_KEY")
    assert code == 3, err
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert all(each in err for each in sentences), err
    assert KEY not in err


def test_nobody_listening_is_exit_3() -> None:
    code, _, err = command("--base-url", "http://127.0.0.1:1/v1", "--model", "m")
    assert code == 3
    assert "nobody answers there" in err


def test_a_missing_v1_is_named() -> None:
    with FakeModel() as server:
        server.default = lambda _: error(404, "Not Found")
        code, _, err = command("--base-url", server.url.removesuffix("/v1"), "--model", "m")
    assert code == 3
    assert f"Try {server.url}" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--base-url", "localhost:8000", "--model", "m"], "is no address"),
        (["--base-url", "http://127.0.0.1:1/v1", "--model", "m", "--api-key-env", "NOT_SET"], "NOT_SET is not set"),
        (["nowhere.yaml"], "there is no such file"),
        (["p", "--base-url", "http://127.0.0.1:1/v1"], "says its endpoint and key itself"),
    ],
)
def test_what_cannot_be_read_is_exit_2(words: list[str], sentence: str) -> None:
    code, _, err = command(*words)
    assert code == 2
    assert sentence in err


def test_the_only_model_of_an_address_need_not_be_named() -> None:
    with FakeModel() as server:
        code, _, err = command("--base-url", server.url)
        assert code == 2
        assert "It lists m, other." in err
        server.looks["/v1/models"] = {"data": [{"id": "m"}]}
        assert command("--base-url", server.url)[0] == 0


# --- what is kept, and what a run does with it --------------------------------------------------------------


def examined(folder: Path, server: FakeModel, **changes: Any) -> tuple[Experiment, list[str], str]:
    """An experiment whose model was examined: the experiment, its problems, the notes."""
    endpoint = {"base_url": server.url, "api_key_env": "TEST_KEY"}
    settings = {"models": ["m"], "params": {"temperature": 0, "max_tokens": 16}, **changes}
    path = project(folder / "p", endpoint=endpoint, **settings)
    code, _, err = command(str(path))
    assert code == 0, err
    experiment = Experiment.load(path)
    home = project_of(path)
    problems = [str(each) for each in capabilities.problems(experiment, home)]
    return experiment, problems, "\n".join(capabilities.notes(experiment, home))


@pytest.mark.parametrize(
    ("ways", "params", "wanted"),
    [
        ({"temperature": "ignored"}, {"temperature": [0, 0.7]}, ["`params.temperature`", "ignores", "the same prompt"]),
        ({"temperatures": (0, 0.7)}, {"temperature": 0}, ["`params.temperature`", "rejects", "It takes 1."]),
        ({"seed": "ignored"}, {"seed": [1, 2]}, ["`params.seed`", "ignores", "the same prompt"]),
        ({"seed": "rejected"}, {"seed": 1}, ["`params.seed`", "rejects"]),
        ({"stop": "ignored"}, {"stop": "\n"}, ["`params.stop`", "ignores"]),
        ({"logprobs": "ignored"}, {"logprobs": True}, ["`params.logprobs`", "ignores"]),
        ({"max_tokens": "ignored", "max_completion_tokens": "ignored"}, {"max_tokens": 9}, ["`params.max_tokens`"]),
        (
            {"json_object": "ignored"},
            {"response_format": {"type": "json_object"}},
            ["`params.response_format`", "ignores `json_object`"],
        ),
        ({"top_k": "rejected"}, {"top_k": 5}, ["`params.top_k`", "rejects"]),
    ],
)
def test_a_sweep_that_needs_what_is_ignored_or_rejected_may_not_start(
    ways: dict[str, Any], params: dict[str, Any], wanted: list[str], place: Path
) -> None:
    with FakeModel(**ways) as server:
        _, problems, _ = examined(place, server, params={"max_tokens": 16, **params})
    assert len(problems) == 1, problems
    day = capabilities.read(project_of(place / "p" / "experiment.yaml")).popitem()[1].day  # type: ignore[attr-defined]
    for each in (*wanted, day, "promptlab doctor", "experiment.yaml:"):
        assert each in problems[0]


@pytest.mark.parametrize(
    ("ways", "params", "wanted"),
    [
        ({}, {"temperature": [0, 0.7], "seed": [1, 2], "stop": "\n"}, ""),
        ({"seed": "ignored"}, {"seed": 1}, "`params.seed`: 'm' at "),
        ({"temperature": "ignored"}, {"temperature": 0}, "ignores `temperature`"),
        ({"seed": "rejected", "stop": "ignored", "json_object": "ignored"}, {}, ""),
        ({"temperatures": (0, 0.7)}, {"temperature": 1}, ""),
        ({"logprobs": "ignored"}, {"logprobs": False}, ""),
        ({"max_tokens": "rejected"}, {"max_tokens": 9}, "max_tokens is sent as max_completion_tokens"),
        ({"max_completion_tokens": "ignored"}, {"max_completion_tokens": 9, "max_tokens": None},
         "max_completion_tokens is sent as max_tokens"),
        ({"json_object": "rejected"}, {"response_format": {"type": "json_object"}}, "json_object is asked for as"),
        ({"system": "rejected"}, {}, "system messages are sent as developer"),
        ({"system": "rejected", "developer": "rejected"}, {}, "system messages are sent in front of the user message"),
    ],
)  # fmt: skip
def test_what_can_be_lived_with_is_told_and_starts(
    ways: dict[str, Any], params: dict[str, Any], wanted: str, place: Path
) -> None:
    with FakeModel(**ways) as server:
        _, problems, notes = examined(place, server, params={"max_tokens": 16, **params})
    assert problems == []
    assert wanted in notes
    assert bool(notes) == bool(wanted), notes


def test_pins_and_models_own_parameters_count_as_they_are_sent(place: Path) -> None:
    with FakeModel(seed="ignored", stop="ignored") as server:
        pinned = {"params": {"seed": [1, 2]}, "space": {"params.seed": [1]}}
        _, problems, notes = examined(place / "pinned", server, **pinned)
        assert (problems, "ignores `seed`" in notes) == ([], True)
        own = {"models": [{"id": "m", "params": {"stop": "x"}}]}
        _, problems, _ = examined(place / "own", server, **own)
        assert len(problems) == 1
        assert "`models[0].params.stop`" in problems[0]


def test_the_ladder_falls_rung_by_rung_and_says_so(place: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    params = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    rungs = {
        "json_object with schema": {},
        "json_object": {"schema": "ignored"},
        "prompt": {"json_object": "rejected"},
    }
    for number, (rung, ways) in enumerate(rungs.items()):
        with FakeModel(json_schema="rejected", **ways) as server:
            home = place / str(number)
            experiment, problems, notes = examined(home, server, params={"max_tokens": 16, **params})
            known = capabilities.read(project_of(home / "p" / "experiment.yaml"))
            spoken = capabilities.dialects(known, experiment.models[0].endpoint)["m"]
        assert problems == []
        assert spoken.schema == rung
        assert ("by the prompt alone" if rung == "prompt" else f"as {rung}") in notes
        assert (
            capabilities.of(experiment, project_of(home / "p" / "experiment.yaml"))[server.url]["m"]["sent_as"][
                "schema"
            ]
            == rung
        )


def test_what_is_kept_says_day_and_verdicts_holds_no_secret_and_goes_into_the_manifest(place: Path) -> None:
    (place / ".promptlab").mkdir()
    with FakeModel(max_tokens="rejected") as server:
        plain = server.default
        server.default = lambda body: _telling(plain(body))
        secret = server.url.replace("//", "//user:pass-word-99@") + "?token=tok-0123456789"
        words = ["--base-url", secret, "--model", "m", "--api-key-env", "TEST_KEY"]
        code, out, err = command(*words)
        assert code == 0, err
        listed = command(*words, "--json")[1]
    kept = (place / ".promptlab" / "capabilities.json").read_text(encoding="utf-8")
    for text in (out, err, listed, kept):
        assert not any(each in text for each in (KEY, "pass-word-99", "tok-0123456789"))
    [known] = capabilities.read(place / ".promptlab").values()
    assert (known.endpoint, known.model) == (server.url, "m")
    assert known.findings["max_tokens"].verdict == "rejected"
    spoken = capabilities.dialects({(known.endpoint, known.model): known}, Endpoint(secret))
    assert spoken["m"].names == {"max_tokens": "max_completion_tokens"}
    assert json.loads(listed)["models"][0]["findings"][0]["name"] == "address"


def _telling(reply: Any) -> Any:
    """The reply with the key in the model's name and in every error."""
    from dataclasses import replace

    body = reply.body.replace(b'"model": "m"', f'"model": "m-{KEY}"'.encode())
    return replace(reply, body=body.replace(b"Unsupported", f"Unsupported with {KEY}".encode()))


def test_findings_of_other_models_stay_and_an_unknown_model_is_asked_as_it_is(place: Path) -> None:
    home = place / ".promptlab"
    one = capabilities.Known("http://a/v1", "m", "2026-01-01", {"seed": Finding("seed", "ignored")})
    capabilities.keep(home, [one])
    capabilities.keep(home, [capabilities.Known("http://b/v1", "m", "2026-01-02", {})])
    known = capabilities.read(home)
    assert known["http://a/v1", "m"] == one
    assert len(known) == 2
    assert capabilities.dialects(known, Endpoint("http://c/v1")) == {}
    assert capabilities.dialects(known, Endpoint("http://a/v1")) == {}, "what is merely ignored is not translated"
    experiment = Experiment.load(project(place / "p"))
    assert capabilities.of(experiment, home) == {}
    assert capabilities.problems(experiment, home) == capabilities.notes(experiment, home) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1, "known": [{"endpoint": 1}]}', "\x00"])
def test_a_damaged_file_is_named_and_written_anew(text: str, place: Path) -> None:
    home = place / ".promptlab"
    home.mkdir()
    (home / "capabilities.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"cannot be read.*promptlab doctor"):
        capabilities.read(home)
    experiment = Experiment.load(project(place / "p"))
    assert len(capabilities.problems(experiment, home)) == 1
    assert capabilities.of(experiment, home) == {}
    capabilities.keep(home, [])
    assert capabilities.read(home) == {}


def test_looking_at_an_endpoint_begins_no_project(place: Path) -> None:
    code, out, _ = command()
    assert code == 0
    assert "Not kept" in out
    assert list(place.iterdir()) == []


def test_an_experiments_models_are_examined_once_each_and_the_consequences_told(place: Path) -> None:
    with FakeModel(seed="ignored") as server:
        models = [{"id": "m"}, {"id": "m", "name": "again"}, {"id": "small", "base_url": "embedded"}]
        path = project(place / "p", endpoint={"base_url": server.url}, models=models, params={"seed": [1, 2]})
        code, out, err = command(str(path))
        calls = len(server.posts)
        only = json.loads(command(str(path), "--model", "small", "--json")[1])
        assert len(server.posts) == calls
    assert code == 0, err
    assert calls <= 16
    assert [each["model"] for each in only["models"]] == ["small"]
    assert f"m at {server.url}" in out
    assert "would not start: " in out
    assert "`params.seed`" in out
    assert all("`params.seed`" in each for each in only["experiment"])


def test_a_run_through_the_dialect_reaches_a_model_that_takes_nothing_else() -> None:
    """max_tokens and system rejected: what doctor found is what gets through."""
    from promptlab.records import Request

    with FakeModel(max_tokens="rejected", system="rejected", developer="rejected") as server:
        findings = {each.name: each for each in diagnosed(server).findings}
        known = {(server.url, "m"): capabilities.Known(server.url, "m", "2026-01-01", findings)}
        spoken = capabilities.dialects(known, Endpoint(server.url))["m"]
        assert spoken == Dialect({"max_tokens": "max_completion_tokens"}, system="user", developer="user")
        messages = [{"role": "system", "content": "one of: kiwi, plum"}, {"role": "user", "content": "kiwi"}]
        request = Request(Model("m", Endpoint(server.url), "m"), "", {"messages": messages, "max_tokens": 5})
        assert server.answer(json.loads(request.content)).status == 400
        assert b"kiwi" in server.answer(json.loads(spoken.content(request))).body


def test_giving_up_is_the_same_error_from_python() -> None:
    with FakeModel() as server:
        server.default = lambda _: ok("x", choices=[])
        with pytest.raises(EndpointUnusable, match="not even a plain request"):
            diagnosed(server)
