"""RTF, read by striprtf."""

from __future__ import annotations

from s3_retriever.errors import InputError, first_line
from s3_retriever.files.extract import Extract, RawFile, needed


def read(file: RawFile) -> Extract:
    """Text without its marks.

    Raises:
        InputError: it is damaged.
    """
    striprtf = needed("striprtf.striprtf", "RTF")
    try:
        text = str(striprtf.rtf_to_text(file.data.decode("latin-1"), errors="replace"))
    except (ValueError, LookupError, IndexError) as error:
        raise InputError(f"is damaged RTF ({first_line(error)}); save it anew") from error
    return Extract(text.strip())
