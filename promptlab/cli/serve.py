"""promptlab serve: the embedded engine as an HTTP server."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 8765,
) -> None:
    """Serve the embedded engine to any OpenAI-compatible client, until Ctrl-C. It is no language model.

    It prints the base_url to put into an experiment, or to give to a client. It chats (streamed too, with n and
    logprobs), embeds, and works through batches; uploaded files stay in memory and are gone when it ends. In a
    project it has the models that `promptlab tune` has made of it, too.

    Example: promptlab serve --port 8765
    """
    from promptlab.embedded.server import serve as run_server
    from promptlab.embedded.tuned import SHELF
    from promptlab.folder import begun

    def announce(base_url: str) -> None:
        typer.echo(f"base_url: {base_url}")  # flushed: a program that waits for it may read a pipe
        typer.echo("Ctrl-C stops it.", err=True)

    project = begun()
    SHELF.keep_in(project and project / "tuned")
    run_server(host, port, announce)
