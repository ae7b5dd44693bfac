"""The server's routes: each reads a request, asks the part that answers it, and writes the answer."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from promptlab.embedded import VERSION
from promptlab.embedded.batches import Batches
from promptlab.embedded.cards import card, cards, drop
from promptlab.embedded.checks import ApiError, decoded
from promptlab.embedded.completion import choices, completion
from promptlab.embedded.embeddings import embeddings, read_embedding
from promptlab.embedded.files import Files
from promptlab.embedded.jobs import Jobs
from promptlab.embedded.protocol import read_request
from promptlab.embedded.respond import identity
from promptlab.embedded.stream import events
from promptlab.embedded.upload import upload

if TYPE_CHECKING:
    from aiohttp import web

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LARGEST_BODY = 32 * 2**20
_ROUTES = (
    "GET /v1/models, GET and DELETE /v1/models/{id}, POST /v1/chat/completions, POST /v1/embeddings, "
    "POST and GET /v1/files, GET and DELETE /v1/files/{id}, GET /v1/files/{id}/content, POST and GET /v1/batches, "
    "GET /v1/batches/{id}, POST /v1/batches/{id}/cancel, POST and GET /v1/fine_tuning/jobs, "
    "GET /v1/fine_tuning/jobs/{id}, GET /v1/fine_tuning/jobs/{id}/events, GET /v1/fine_tuning/jobs/{id}/checkpoints, "
    "POST /v1/fine_tuning/jobs/{id}/cancel, GET /health"
)


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    from aiohttp import web

    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json")


async def _chat(request: web.Request) -> web.StreamResponse:
    from aiohttp import web

    raw = await request.read()
    asked = read_request(decoded(raw))
    said, name, created = choices(asked), identity(raw), int(time.time())
    if not asked.stream:
        return _json(completion(asked, said, name, created))
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await stream.prepare(request)
    for event in events(asked, said, name, created):
        await stream.write(event)
    await stream.write_eof()
    return stream


async def _embeddings(request: web.Request) -> web.Response:
    return _json(embeddings(read_embedding(decoded(await request.read()))))


async def _models(_: web.Request) -> web.Response:
    return _json(cards())


async def _model(request: web.Request) -> web.Response:
    return _json(card(request.match_info["name"]))


async def _drop_model(request: web.Request) -> web.Response:
    return _json(drop(request.match_info["name"]))


async def _health(_: web.Request) -> web.Response:
    return _json({"status": "ok", "engine": f"embedded@{VERSION}"})


def _add_files(made: web.Application, files: Files) -> None:
    from aiohttp import web

    async def create(request: web.Request) -> web.Response:
        return _json((await upload(request, files)).body())

    async def listed(request: web.Request) -> web.Response:
        return _json(files.list(request.query))

    async def show(request: web.Request) -> web.Response:
        return _json(files.get(request.match_info["name"]).body())

    async def content(request: web.Request) -> web.Response:
        body = files.get(request.match_info["name"]).content
        return web.Response(body=body, content_type="application/octet-stream")

    async def delete(request: web.Request) -> web.Response:
        return _json(files.delete(request.match_info["name"]))

    made.router.add_post("/v1/files", create)
    made.router.add_get("/v1/files", listed)
    made.router.add_get("/v1/files/{name}", show)
    made.router.add_get("/v1/files/{name}/content", content)
    made.router.add_delete("/v1/files/{name}", delete)


def _add_batches(made: web.Application, files: Files) -> None:
    batches = Batches(files)

    async def create(request: web.Request) -> web.Response:
        return _json(batches.create(decoded(await request.read())))

    async def listed(request: web.Request) -> web.Response:
        return _json(batches.list(request.query))

    async def show(request: web.Request) -> web.Response:
        return _json(batches.show(request.match_info["name"]))

    async def cancel(request: web.Request) -> web.Response:
        return _json(batches.cancel(request.match_info["name"]))

    async def closing(_: web.Application) -> AsyncIterator[None]:
        yield
        await batches.close()

    made.router.add_post("/v1/batches", create)
    made.router.add_get("/v1/batches", listed)
    made.router.add_get("/v1/batches/{name}", show)
    made.router.add_post("/v1/batches/{name}/cancel", cancel)
    made.cleanup_ctx.append(closing)


def _add_jobs(made: web.Application, jobs: Jobs) -> None:
    async def create(request: web.Request) -> web.Response:
        return _json(jobs.create(decoded(await request.read())))

    async def listed(request: web.Request) -> web.Response:
        return _json(jobs.list(request.query))

    async def show(request: web.Request) -> web.Response:
        return _json(jobs.show(request.match_info["name"]))

    async def events(request: web.Request) -> web.Response:
        return _json(jobs.events(request.match_info["name"], request.query))

    async def checkpoints(request: web.Request) -> web.Response:
        return _json(jobs.checkpoints(request.match_info["name"], request.query))

    async def cancel(request: web.Request) -> web.Response:
        return _json(jobs.cancel(request.match_info["name"]))

    async def closing(_: web.Application) -> AsyncIterator[None]:
        yield
        await jobs.close()

    made.router.add_post("/v1/fine_tuning/jobs", create)
    made.router.add_get("/v1/fine_tuning/jobs", listed)
    made.router.add_get("/v1/fine_tuning/jobs/{name}", show)
    made.router.add_get("/v1/fine_tuning/jobs/{name}/events", events)
    made.router.add_get("/v1/fine_tuning/jobs/{name}/checkpoints", checkpoints)
    made.router.add_post("/v1/fine_tuning/jobs/{name}/cancel", cancel)
    made.cleanup_ctx.append(closing)


def _refused(error: web.HTTPException, request: web.Request) -> ApiError:
    """The web framework's own refusals (no such route, wrong method, body too large) in OpenAI's shape."""
    place = f"{request.method} {request.path[:200]}"
    if error.status == 413:
        return ApiError(f"The body is larger than {_LARGEST_BODY // 2**20} MB.", None, "request_too_large", 413)
    if error.status == 405:
        return ApiError(
            f"{place}: this method is not allowed here; routes: {_ROUTES}.", None, "method_not_allowed", 405
        )
    if error.status == 404:
        return ApiError(f"{place}: no such route; there are {_ROUTES}.", None, "unknown_url", 404)
    return ApiError(f"{place}: {error.reason}", None, None, error.status)


def app(files: Files | None = None, pace: float = 0.0) -> web.Application:
    """The server's application. ``files``: where uploads are kept (an empty store of 512 MB if left out).

    ``pace``: seconds that each state of a fine-tuning job lasts at least.
    """
    from aiohttp import web

    @web.middleware
    async def in_openai_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return _json(error.body(), error.status)
        except web.HTTPException as error:
            return _json(_refused(error, request).body(), error.status)
        except ConnectionError:  # whoever asked went away in the middle: nobody hears the answer
            return _json(ApiError("The body ended early.").body(), 400)

    made = web.Application(client_max_size=_LARGEST_BODY, middlewares=[in_openai_shape])
    made.router.add_get("/v1/models", _models)
    made.router.add_get("/v1/models/{name}", _model)
    made.router.add_delete("/v1/models/{name}", _drop_model)
    made.router.add_post("/v1/chat/completions", _chat)
    made.router.add_post("/v1/embeddings", _embeddings)
    made.router.add_get("/health", _health)
    kept = files or Files()
    _add_files(made, kept)
    _add_batches(made, kept)
    _add_jobs(made, Jobs(kept, pace))
    return made
