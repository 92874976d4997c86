"""Errors that come back: the platform's own classes raised again, and what can go wrong between here and there."""

import functools
import importlib
import json
import pkgutil
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from modelyard import features
from modelyard.core.errors import Invalid, ModelyardError, Unavailable, by_code
from modelyard.sdk.flow import Answer


class Unreachable(Unavailable):
    """Nothing answers at the platform's URL: the request was not sent."""

    code = "unreachable"


class ConnectionLost(Unavailable):
    """The connection broke before the answer was complete: the request may have been carried out."""

    code = "connection_lost"


class NotModelyard(Unavailable):
    """Something answers at the URL, but not this platform."""

    code = "not_modelyard"


class JobFailed(Invalid):
    """A job ended without a result; `code` and `message` are the job's own."""

    code = "job_failed"


class JobStopped(JobFailed):
    """A job was stopped before it had a result."""

    code = "job_stopped"


class DeploymentFailed(Invalid):
    """A deployment did not come up; the message is its own."""

    code = "deployment_failed"


def error_of(answer: Answer) -> ModelyardError:
    """The error that an answer with a status of 400 or more says."""
    body = _error_body(answer.content)
    if body is None:
        return _foreign(answer)
    error = rebuilt(body["error"], answer.status)
    error.retry_after = _retry_after(answer.headers.get("retry-after"))
    error.request_id = str(body.get("request_id", ""))
    return error


def rebuilt(told: Mapping[str, Any], status: int, *, otherwise: type[ModelyardError] | None = None) -> ModelyardError:
    """An error from its `{"code", "message", …}`; `otherwise` is its class where the code is unknown here."""
    _load_features()
    code = str(told.get("code", ""))
    kind = by_code(code, status)
    if otherwise is not None and kind.code != code:
        kind = otherwise
    error = kind(
        str(told.get("message", "")),
        detail=told.get("detail") or {},
        fields=[dict(f) for f in told.get("fields") or ()],
    )
    if code and error.code != code:
        error.code = code  # type: ignore[misc]  # newer than this client: its family's class, its own code
    return error


def is_final(error: ModelyardError) -> bool:
    """Whether the platform itself refused and named no time to come back: trying again would change nothing."""
    return error.request_id is not None and error.retry_after is None


@functools.cache
def _load_features() -> None:
    """Import every feature's `errors.py`, so that `by_code` knows their classes."""
    for module in pkgutil.walk_packages(features.__path__, f"{features.__name__}."):
        if module.name.endswith(".errors"):
            importlib.import_module(module.name)


def _error_body(content: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(content)
    except ValueError:
        return None
    known = isinstance(body, dict) and isinstance(body.get("error"), dict) and "code" in body["error"]
    return body if known else None


def _foreign(answer: Answer) -> ModelyardError:
    """What a proxy in between answered, or another server altogether."""
    if answer.status in {502, 503, 504, 429}:
        error: ModelyardError = by_code("", 503 if answer.status == 502 else answer.status)(
            f"{answer.url} answered {answer.status}. The platform may be starting; try again in a moment."
        )
        error.retry_after = _retry_after(answer.headers.get("retry-after"))
        return error
    return NotModelyard(
        f"{answer.url} answered {answer.status} in a form that is not Modelyard's. Check the URL of the platform."
    )


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number of them or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        return max(0.0, float(value)) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - time()
    except ValueError:
        return None
