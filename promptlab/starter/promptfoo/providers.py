"""promptfoo's providers as models of OpenAI-compatible endpoints. Keys are never copied, only names of variables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from promptlab.starter.promptfoo.source import Source, listed

OPENAI = "https://api.openai.com/v1"
_HOSTS = {
    "openai": (OPENAI, "OPENAI_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "deepseek": ("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "togetherai": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "ollama": ("http://localhost:11434/v1", ""),
}
_PARAMS = ("temperature", "max_tokens", "max_completion_tokens", "top_p", "frequency_penalty", "presence_penalty",
           "seed", "stop", "reasoning_effort")  # fmt: skip
_PLACES = ("apiHost", "apiBaseUrl", "apiKeyEnvar", "apiKey")
_OTHER_WAYS = (
    "completion",
    "embedding",
    "embeddings",
    "image",
    "realtime",
    "assistant",
    "moderation",
    "transcription",
    "tts",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A model, as an experiment's `models` lists it."""

    id: str
    base_url: str
    api_key_env: str
    params: dict[str, Any] = field(default_factory=dict)


def read_providers(source: Source) -> list[Asked]:
    """The models of all providers that speak OpenAI's protocol."""
    given = source.config.get("providers", source.config.get("targets"))
    found: list[Asked] = []
    for place, item in enumerate(listed(given), 1):
        name, config = _named(item)
        if name is None:
            source.leave(f"provider {place}: it has no id")
            continue
        extra = set(item) - {"id", "config", "label"} if isinstance(item, dict) and "id" in item else set()
        for key in sorted(extra):
            source.leave(f"provider {name}: its `{key}`")
        asked = _asked(source, name, config)
        if asked is not None and asked not in found:
            found.append(asked)
    return found


def _named(item: Any) -> tuple[str | None, dict[str, Any]]:
    """Id and config of a provider in any of its forms."""
    if isinstance(item, str):
        return item, {}
    if not isinstance(item, dict):
        return None, {}
    if isinstance(item.get("id"), str):
        config = item.get("config")
        return item["id"], config if isinstance(config, dict) else {}
    name, options = next(iter(item.items()), (None, None))
    config = options.get("config") if isinstance(options, dict) else None
    return name, config if isinstance(config, dict) else {}


def _asked(source: Source, name: str, config: dict[str, Any]) -> Asked | None:
    kind, _, rest = name.partition(":")
    way, _, model = rest.partition(":")
    if way in _OTHER_WAYS and model:
        source.leave(f"provider {name}: only chat completions are asked")
        return None
    if way == "responses":
        source.leave(f"provider {name}: asked through chat completions instead of the Responses API")
    model = model if way in ("chat", "responses") and model else rest
    if kind not in _HOSTS or not model or re.search(r"[{}]", model):
        source.leave(f"provider {name}: no OpenAI-compatible endpoint is known for it; add it under `models` by hand")
        return None
    base_url, variable = _address(source, name, config, _HOSTS[kind])
    params = _params(source, name, config)
    if "{" in base_url or not re.match(r"https?://[^\s@]+$", base_url):
        source.leave(f"provider {name}: its address is no plain http(s) address")
        return None
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", variable):
        variable = ""
    return Asked(model, base_url, variable, params)


def _address(source: Source, name: str, config: dict[str, Any], usual: tuple[str, str]) -> tuple[str, str]:
    """Where it is asked, and the variable of its key: a usual one's key goes to no other address."""
    host, url, variable = (config.get(key) for key in ("apiHost", "apiBaseUrl", "apiKeyEnvar"))
    base_url = url if isinstance(url, str) else f"https://{host}/v1" if isinstance(host, str) else usual[0]
    known = variable if isinstance(variable, str) else usual[1] if base_url == usual[0] else ""
    if "apiKey" in config:
        source.leave(f"provider {name}: its `apiKey` was not copied; name the variable that holds it in api_key_env")
    elif not known and base_url != usual[0]:
        source.leave(f"provider {name}: the variable of its key; name it in api_key_env if {base_url} wants one")
    return base_url, known


def _params(source: Source, name: str, config: dict[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for key, value in config.items():
        structured = key == "response_format" and isinstance(value, dict)
        if structured or (key in _PARAMS and not (isinstance(value, str) and "{" in value)):
            params[key] = value
        elif key == "passthrough" and isinstance(value, dict):
            params |= value
        elif key not in _PLACES:
            source.leave(f"provider {name}: its `{key}`")
    return params
