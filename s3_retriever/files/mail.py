"""Mail, read by Python's own email and mailbox."""

from __future__ import annotations

import mailbox
import tempfile
from email import message_from_bytes
from email.policy import default as policy
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.errors import InputError
from s3_retriever.files.extract import Builder, Extract, RawFile
from s3_retriever.files.web import html_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage, MIMEPart

_HEADERS = ("Subject", "From", "To", "Cc", "Date")


def read_mail(file: RawFile) -> Extract:
    """A message: its headers, its text, and the names of what is attached.

    Raises:
        InputError: it has no header that a message has.
    """
    message = message_from_bytes(file.data, policy=policy)
    if not any(name in message for name in _HEADERS):
        raise InputError("is no mail: it has no sender and no subject; leave it out")
    return Extract(_text(message), title=str(message["Subject"] or ""))


def read_mailbox(file: RawFile) -> Extract:
    """All messages of a mailbox (mbox), each a place."""
    built = Builder()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "mbox"
        place.write_bytes(file.data)
        box = mailbox.mbox(place, create=False)
        for number, key in enumerate(box.iterkeys(), start=1):
            message = message_from_bytes(box.get_bytes(key), policy=policy)
            built.add(_text(message), message=number)
        box.close()
    return Extract(built.text, built.places)


def _text(message: EmailMessage) -> str:
    return "\n\n".join(filter(None, (_headers(message), _body(message), _attached(message))))


def _headers(message: EmailMessage) -> str:
    pairs = ((name, " ".join(str(message[name] or "").split())) for name in _HEADERS)
    return "\n".join(f"{name}: {value}" for name, value in pairs if value)


def _body(message: EmailMessage) -> str:
    bodies = (message.get_body((kind,)) for kind in ("plain", "html"))
    return next((text for body in bodies if body is not None and (text := _content(body))), "")


def _content(body: MIMEPart) -> str:
    try:
        text = str(body.get_content())
    except (LookupError, UnicodeError):  # an encoding that is unknown, or is another
        payload = body.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else str(payload)
    text = text.replace("\r\n", "\n").strip()
    return html_text(text) if body.get_content_subtype() == "html" else text


def _attached(message: EmailMessage) -> str:
    names = list(_names(message))
    return f"Attached: {', '.join(names)}" if names else ""


def _names(message: EmailMessage) -> Iterator[str]:
    for part in message.iter_attachments():
        if name := part.get_filename():
            yield name
