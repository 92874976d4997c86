"""The one renderer: every error leaves as {"error": {code, message, detail, fields}, "request_id"}."""

import errno
import logging
import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from modelyard.core import errors

log = logging.getLogger("modelyard.api")


def request_id(request: Request) -> str:
    """The id that the gateway gave the request, or that `web/requests.py` made."""
    return str(getattr(request.state, "request_id", ""))


def render(error: errors.ModelyardError, request_id: str) -> JSONResponse:
    """The answer for `error`."""
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"error": error.to_dict(), "request_id": request_id}, error.status, headers)


def install(app: FastAPI) -> None:
    """Make `app` answer every exception in this form."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, errors.ModelyardError)
        return render(error, request_id(request))

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return render(_from_validation(error), request_id(request))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return render(_from_http(request, error), request_id(request))

    async def gone(request: Request, _: Exception) -> JSONResponse:
        log.info("%s %s broke off: the client went away", request.method, request.url.path)
        return render(errors.Malformed("The request broke off."), request_id(request))

    async def unknown(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            full = errors.OutOfSpace("The disk is full. Free some space, then try again.", retry_after=30)
            return render(full, request_id(request))
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        message = f"Something broke on our side. The log holds the details under request id {request_id(request)}."
        return render(errors.Broken(message), request_id(request))

    app.add_exception_handler(errors.ModelyardError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unknown)


def _from_validation(error: RequestValidationError) -> errors.ModelyardError:
    fields = [{"field": _place(item["loc"]), "message": item["msg"]} for item in error.errors()]
    first = fields[0] if fields else {"field": "body", "message": "is not valid"}
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    if any(item["type"] == "json_invalid" for item in error.errors()):
        return errors.Malformed("The body is not valid JSON.", fields=fields)
    return errors.Invalid(f"{first['field']}: {first['message']}{more}", fields=fields)


def _place(parts: tuple[Any, ...]) -> str:
    # The first part says where the value came from, the others are its place there.
    inner = parts[1:] if parts[0] in {"body", "query", "path", "header"} else parts
    return ".".join(str(part) for part in inner) or str(parts[0])


def _from_http(request: Request, error: HTTPException) -> errors.ModelyardError:
    if isinstance(error.__cause__, errors.ModelyardError):
        return error.__cause__
    if error.status_code == 404:
        return errors.NotFound(f"There is nothing at {request.url.path}. See /api/docs for every route.")
    if error.status_code == 405:
        return MethodNotAllowed(f"{request.method} is not possible at {request.url.path}. See /api/docs.")
    kind = errors.by_code("", error.status_code)
    return kind(str(error.detail))


class MethodNotAllowed(errors.Invalid):
    """The path is right, the method is not."""

    status = 405
    code = "method_not_allowed"
