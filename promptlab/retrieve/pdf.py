"""The text of a PDF, page after page, by pypdf."""

from __future__ import annotations

import io

from promptlab.errors import BadInput, Problem


def pdf(data: bytes, path: str) -> tuple[str, str]:
    """(Title, text); pages are apart by a blank line. Raises BadInput without pypdf, and for what it cannot read."""
    try:
        import pypdf
    except ImportError:
        remedy = 'Run: pip install "promptlab-workbench[pdf]"'
        raise BadInput(Problem("PDF files need pypdf", path, remedy=remedy)) from None
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        pages = [page.extract_text() for page in reader.pages]
        title = (reader.metadata.title if reader.metadata else None) or ""
    except pypdf.errors.FileNotDecryptedError:
        raise BadInput(Problem("is encrypted", path, remedy="Save it without a password.")) from None
    except Exception as error:  # noqa: BLE001 - a broken PDF raises anything
        said = f"not a PDF that can be read: {type(error).__name__}: {error}"
        raise BadInput(Problem(said, path, remedy="Save it anew, or as text.")) from None
    # glyphs that map to nothing can come out as halves of characters, which no endpoint takes
    clean = "\n\n".join(each.strip() for each in pages).encode("utf-8", "replace").decode()
    return " ".join(str(title).encode("utf-8", "replace").decode().split()), clean.strip()
