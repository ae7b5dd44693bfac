"""Takes in a file that comes as multipart/form-data, refusing it as soon as it is too large."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from promptlab.embedded.checks import ApiError
from promptlab.embedded.files import LARGEST_FILE, PURPOSES, File, Files
from promptlab.embedded.multipart import Part, parts

if TYPE_CHECKING:
    from aiohttp import web

_REST = 64 * 2**10  # bytes of a form besides its file
_LONGEST_FIELD = 100


async def _read(request: web.Request, files: Files, data: bytearray) -> None:
    """Reads the body into ``data``, whose room is taken as it grows."""
    async for chunk in request.content.iter_any():
        if len(data) + len(chunk) > LARGEST_FILE + _REST:
            message = f"The file is larger than {LARGEST_FILE // 2**20} MB."
            raise ApiError(message, "file", "file_too_large", 413)
        files.take(len(chunk))
        data += chunk


def _one(found: dict[str, Part], name: str) -> Part:
    if name not in found:
        raise ApiError(f"Missing form field '{name}'.", name, "missing_required_parameter")
    return found[name]


def _purpose(data: bytearray, part: Part) -> str:
    value = data[part.start : min(part.end, part.start + _LONGEST_FIELD)].decode("utf-8", "replace")
    if value not in PURPOSES:
        known = " or ".join(repr(purpose) for purpose in PURPOSES)
        raise ApiError(f"Invalid 'purpose': {value!r}; this server takes {known}.", "purpose", "invalid_value")
    return value


async def upload(request: web.Request, files: Files) -> File:
    """Keeps the file that ``request`` holds; ApiError if the form, its purpose or its size is wrong."""
    data, kept = bytearray(), 0
    try:
        await _read(request, files, data)
        found = {part.name: part for part in parts(data, request.headers.get("Content-Type", ""))}
        file, purpose = _one(found, "file"), _purpose(data, _one(found, "purpose"))
        content = bytes(memoryview(data)[file.start : file.end])
        if not content:
            raise ApiError("The file is empty.", "file", "empty_file")
        made = files.add(content, (file.filename or "file")[:255], purpose, time.time())
        kept = len(content)
    finally:
        files.give(len(data) - kept)
    return made
