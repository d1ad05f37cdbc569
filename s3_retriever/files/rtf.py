"""RTF, read by striprtf."""

from __future__ import annotations

from s3_retriever.files.extract import Extract, RawFile, needed


def read(file: RawFile) -> Extract:
    """Text without its marks."""
    striprtf = needed("striprtf.striprtf", "RTF")
    return Extract(str(striprtf.rtf_to_text(file.data.decode("latin-1"), errors="replace")).strip())
