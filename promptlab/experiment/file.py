"""The shape of experiment.yaml.

All fields are optional here: what is required, and what must fit together, is checked where the parts are built,
so that a wrong shape hides no other problem.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from promptlab.experiment.fields import (
    Address,
    Amount,
    Arrangement,
    Count,
    Counts,
    Flag,
    Numbers,
    Order,
    Positive,
    Select,
    Sep,
    Share,
    Some,
    Text,
    Texts,
    Variable,
    Whole,
    listed,
    one_of,
    refused,
    several,
    short,
)  # fmt: skip


class Part(BaseModel):
    """A mapping of the file: unknown keys are errors, a key without a value counts as not given."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: each for key, each in value.items() if each is not None or key not in names_of(cls)}


class PriceFile(Part):
    """US dollars per million tokens."""

    input: Amount | None = None
    cached: Amount | None = None
    output: Amount | None = None


class EndpointFile(Part):
    """`endpoint`: embedded, or where requests go."""

    base_url: Address | None = None
    api_key_env: Variable | None = None
    concurrency: Count | None = None
    rpm: Positive | None = None
    tpm: Positive | None = None
    timeout: Positive | None = None
    max_retries: Whole | None = None
    max_errors: Share | None = None
    mode: Annotated[str, one_of("pool", "batch")] | None = None


class ModelFile(Part):
    """An item of `models`. ``recipe`` says what a tuned model is made of: another one makes it another model."""

    id: Text | None = None
    name: Text | None = None
    recipe: Text | None = None
    base_url: Address | None = None
    api_key_env: Variable | None = None
    price: PriceFile | None = None
    params: dict[str, Any] | None = None


class LabelFile(Part):
    """`data.label`: a column, or a column of several accepted answers."""

    column: Text | None = None
    many: Annotated[str, one_of("any", "all")] | None = None
    sep: Sep | None = None


def _split(value: Any) -> Any:
    if value != "all" and not isinstance(value, dict):
        raise refused("be `all`, or a mapping like {dev: 0.5, test: 0.5}")
    return {"all": True} if value == "all" else value


class SplitFile(Part):
    """`data.split`: all, shares, or a column that says it."""

    all: Flag = False
    train: Share | None = None
    dev: Share | None = None
    test: Share | None = None
    column: Text | None = None
    group: Text | None = None
    seed: Whole | None = None


class PathsFile(Part):
    """`data.path`: one file, or one for each split."""

    all: Text | None = None
    train: Text | None = None
    dev: Text | None = None
    test: Text | None = None


class DataFile(Part):
    """`data`: the labelled set."""

    path: Annotated[PathsFile, short("all")] | None = None
    inputs: Some | None = None
    label: Annotated[LabelFile, short("column")] | None = None
    labels: Some | None = None
    split: Annotated[SplitFile, BeforeValidator(_split)] | None = None
    id: Text | None = None
    group: Text | None = None
    weight: Text | None = None
    passages: Text | None = None
    gold: Text | None = None


class BankFile(Part):
    """`bank`: where demos come from and how they are chosen."""

    from_: Text | None = Field(default=None, alias="from")
    k: Counts | None = None
    select: Select | None = None
    seeds: Counts | None = None
    order: Order | None = None
    inputs: Some | None = None
    label: Text | None = None
    id: Text | None = None
    passages: Text | None = None


class CorpusFile(Part):
    """An item of `retrieval.corpus`: a folder, a glob or a file; of a table, which columns hold what."""

    path: Text | None = None
    id: Text | None = None
    text: Text | None = None
    title: Text | None = None


def _chunk(value: Any) -> Any:
    if value != "whole" and not isinstance(value, dict):
        raise refused("be `whole`, or a mapping like {words: 120, overlap: 20}")
    return {"whole": True} if value == "whole" else value


class ChunkFile(Part):
    """An item of `retrieval.chunk`: how documents are cut into passages."""

    whole: Flag = False
    words: Count | None = None
    sentences: Count | None = None
    paragraphs: Count | None = None
    headings: Count | None = None
    overlap: Whole | None = None


class RetrievalFile(Part):
    """`retrieval`: where passages come from, and the choices among them."""

    corpus: (
        Annotated[list[Annotated[CorpusFile, short("path", "be a path, or a mapping with path")]], several] | None
    ) = None
    chunk: Annotated[list[Annotated[ChunkFile, BeforeValidator(_chunk)]], several] | None = None
    retriever: Texts | None = None
    k: Numbers | None = None
    order: Arrangement | None = None
    query: Texts | None = None
    rerank: Texts | None = None
    max_tokens: Count | None = None
    embedding: Annotated[ModelFile, short("id", "be a model's id, or a mapping with id")] | None = None
    model: Annotated[ModelFile, short("name", "be the name of one of `models`, or a mapping with id")] | None = None


class BudgetFile(Part):
    """`search.budget`: hard caps."""

    calls: Count | None = None
    tokens: Count | None = None
    usd: Positive | None = None
    minutes: Positive | None = None


class DesignFile(Part):
    """`search.design`: variants drawn from the space, on the first rows of dev, before the search begins."""

    variants: Count | None = None
    rows: Count | None = None


class SearchFile(Part):
    """`search`: what to try, where to spend, what counts."""

    propose: Annotated[list[Some], listed] | None = None
    allocate: Some | None = None
    objective: Some | None = None
    budget: BudgetFile | None = None
    finalists: Count | None = None
    repeats: Count | None = None
    longest: Count | None = None
    design: DesignFile | None = None
    meta: Annotated[ModelFile, short("name", "be the name of one of `models`, or a mapping with id")] | None = None


class TunePriceFile(Part):
    """`tune.price`: US dollars per million tokens, and per hour of hosting."""

    train: Amount | None = None
    input: Amount | None = None
    cached: Amount | None = None
    output: Amount | None = None
    hosting_per_hour: Amount | None = None


class TuneFile(Part):
    """`tune`: who trains which model, on how many rows, at what price."""

    trainer: Text | None = None
    base_model: Text | None = None
    seeds: Counts | None = None
    sizes: Annotated[list[Any], listed] | None = None
    epochs: Count | None = None
    template: Text | None = None
    variant: Any = None
    method: Annotated[str, one_of("supervised", "dpo")] | None = None
    command: Text | None = None
    given: Text | None = None
    base_url: Text | None = None
    suffix: Text | None = None
    minutes: Positive | None = None
    price: TunePriceFile | None = None


class ChooseFile(Part):
    """`choose`: which arms, within which limits, at which use."""

    arms: Texts | None = None
    target: Amount | None = None
    margin: Amount | None = None
    p95_ms: Positive | None = None
    usd_per_1k: Positive | None = None
    volume_per_month: Positive | None = None
    months: Positive | None = None
    updates_per_month: Amount | None = None
    label_usd: Amount | None = None
    probe: Text | None = None


class ExperimentFile(Part):
    """The whole file."""

    name: Text | None = None
    endpoint: Annotated[EndpointFile, short("base_url", "be `embedded`, or a mapping with base_url")] | None = None
    models: (
        Annotated[list[Annotated[ModelFile, short("id", "be a model's id, or a mapping with id")]], several] | None
    ) = None
    params: dict[str, Any] | None = None
    data: DataFile | None = None
    templates: Texts | None = None
    bank: Annotated[BankFile, short("from")] | None = None
    retrieval: RetrievalFile | None = None
    space: dict[str, Any] | None = None
    answer: Text | None = None
    metrics: Some | None = None
    baseline: dict[str, Any] | None = None
    search: SearchFile | None = None
    choose: ChooseFile | None = None
    tune: Annotated[TuneFile, short("trainer")] | None = None
    seed: Whole | None = None


def names_of(part: type[Part]) -> list[str]:
    """The keys that a mapping of the file may have."""
    return [field.alias or name for name, field in part.model_fields.items()]
