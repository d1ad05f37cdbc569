"""What is answered where a request cannot be: a status, and one sentence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from s3_retriever.errors import InputError, S3Error, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

CHAT = "/v1/"
"""Paths below this answer in the shape of OpenAI's interface."""


class RefusedError(S3Error):
    """A request that is refused.

    Args:
        status: The status of the reply.
        message: One sentence.
        headers: Further headers of the reply.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


class BusyError(RefusedError):
    """More wait for the model than may."""

    def __init__(self, message: str) -> None:
        super().__init__(503, message, {"Retry-After": "5"})


class Json(JSONResponse):
    """JSON, also of texts that hold half a character, which no encoding has."""

    def render(self, content: Any) -> bytes:
        """Write a value."""
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def refusal(path: str, status: int, message: str, headers: Mapping[str, str] | None = None) -> Json:
    """Reply that a request is refused.

    Args:
        path: Of the request.
        status: Of the reply.
        message: One sentence.
        headers: Of the reply.
    """
    content: dict[str, Any] = {"error": message}
    if path.startswith(CHAT):
        kind = "invalid_request_error" if status < 500 else "server_error"
        content = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return Json(content, status, dict(headers or {}))


def status_of(error: Exception) -> int:
    """The status that an error of this package is answered with."""
    if isinstance(error, RefusedError):
        return error.status
    return 400 if isinstance(error, InputError) else 500


def sentence_of(error: Exception) -> str:
    """What is told of an error."""
    if isinstance(error, S3Error):
        return " ".join(str(error).split())
    return f"something went wrong here: {type(error).__name__}: {first_line(error)}"


def add_refusals(app: FastAPI) -> None:
    """Answer errors as `refusal` does."""

    async def refused(request: Request, error: Exception) -> Json:
        headers = error.headers if isinstance(error, RefusedError) else None
        return refusal(request.url.path, status_of(error), sentence_of(error), headers)

    async def invalid(request: Request, error: Exception) -> Json:
        assert isinstance(error, RequestValidationError)
        status, message = _explained(error)
        return refusal(request.url.path, status, message)

    async def http(request: Request, error: Exception) -> Json:
        assert isinstance(error, HTTPException)
        message = _HTTP.get(error.status_code, str(error.detail))
        return refusal(request.url.path, error.status_code, message, error.headers)

    app.add_exception_handler(S3Error, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, refused)


_HTTP = {
    400: "the body cannot be read; send one JSON object",
    404: "there is nothing here; GET /openapi.json tells what there is",
    405: "this path is asked with another method; GET /openapi.json tells which",
}


def _explained(error: RequestValidationError) -> tuple[int, str]:
    """A status and a sentence for what is wrong with a body or a query."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"][1:]]
    if first["type"] == "json_invalid":
        return 400, f"the body is not JSON: {first['ctx']['error']} at character {place[0]}"
    where = ".".join(place) or "the body"
    more = len(error.errors()) - 1
    rest = f", and {more} more like this" if more else ""
    return 422, f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}{rest}"
