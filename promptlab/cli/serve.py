"""promptlab serve: the embedded engine as an HTTP server."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 8765,
) -> None:
    """Serve the embedded engine to any OpenAI-compatible client, until Ctrl-C. It is no language model.

    Example: promptlab serve --port 8765, then base_url: http://127.0.0.1:8765/v1
    """
    from promptlab.embedded.server import serve as run_server

    run_server(host, port)
