"""What operations are made of: requests, tries with back-off, answers checked against the wire types, pages, files."""

import random
import uuid
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from pydantic import BaseModel, ValidationError

from modelyard.core.errors import Conflict, Invalid, ModelyardError, OutOfSpace, TooMany, Unavailable
from modelyard.core.paging import Page
from modelyard.sdk.bodies import Body
from modelyard.sdk.errors import ConnectionLost, NotModelyard, Unreachable, error_of, is_final
from modelyard.sdk.flow import Answer, Close, Flow, Mode, Open, Opened, Pause, Read, Request, Resource

API = "/api/v1"
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
LONGEST_ASKED = 10.0
PAGE = 500
Schema = TypeVar("Schema", bound=BaseModel)


def path(*parts: str | int) -> str:
    """The path of a control-plane resource, each part quoted. Raises Invalid for an empty part."""
    return "/".join([API, *(_quoted(str(part)) for part in parts)])


def get(*parts: str | int, **params: Any) -> Request:
    """A GET; parameters that are None are left out."""
    return Request(method="GET", path=path(*parts), params=_present(params))


def post(*parts: str | int, body: Any = None) -> Request:
    """A POST that happens once however often it is sent: it carries an Idempotency-Key."""
    return _with_body("POST", parts, body, {"idempotency-key": uuid.uuid4().hex})


def post_secret(*parts: str | int, body: Any = None, repeatable: bool) -> Request:
    """A POST whose answer holds a secret: without an Idempotency-Key the platform keeps no copy of the answer."""
    return _with_body("POST", parts, body, {}, repeatable=repeatable)


def patch(*parts: str | int, body: Any) -> Request:
    """A PATCH with a JSON body."""
    return _with_body("PATCH", parts, body, {})


def put(*parts: str | int, body: Any) -> Request:
    """A PUT with a JSON body."""
    return _with_body("PUT", parts, body, {})


def delete(*parts: str | int) -> Request:
    """A DELETE."""
    return Request(method="DELETE", path=path(*parts))


def encode(value: Any) -> bytes:
    """JSON of plain values, dates, and numbers of NumPy. NaN becomes null, as the wire has no other word for it."""
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except (TypeError, ValueError, OverflowError) as error:
        raise Invalid(f"That cannot be sent as JSON: {error}.") from None


def call(resource: Resource[Mode], request: Request) -> Flow[Answer]:
    """Send a request, again where that can help and does no harm. Raises what the platform answered."""
    connection = resource._connection  # noqa: SLF001 - a part of Resource
    lost = False
    for attempt in count(1):
        try:
            answer: Answer = yield request
            if answer.status < 300:
                return answer
            trouble = _trouble(answer)
        except (Unreachable, ConnectionLost) as error:
            trouble = error
        pause = _pause(request, trouble, attempt, lost=lost)
        if pause is None or attempt >= connection.tries:
            raise trouble
        lost = lost or isinstance(trouble, ConnectionLost)
        yield Pause(pause)
    raise AssertionError


def fetch(resource: Resource[Mode], request: Request, schema: type[Schema]) -> Flow[Schema]:
    """The same, the answer read as `schema`."""
    answer = yield from call(resource, request)
    return parse(answer, schema)


def pages(
    resource: Resource[Mode], request: Request, schema: type[Schema], limit: int | None = None
) -> Flow[list[Schema]]:
    """Every item of a listing, or the first `limit`, page by page."""
    found: list[Schema] = []
    cursor: dict[str, Any] = {}
    while True:
        wanted = PAGE if limit is None else min(PAGE, limit - len(found))
        params = {**request.params, **cursor, "limit": wanted}
        asked = Request(method="GET", path=request.path, params=params)
        page = yield from fetch(resource, asked, Page[schema])  # type: ignore[valid-type]
        found += page.items
        if page.next_cursor is None or not page.items or (limit is not None and len(found) >= limit):
            return found
        cursor = {"cursor": page.next_cursor}


def parse(answer: Answer, schema: type[Schema]) -> Schema:
    """The answer's body as `schema`. Raises NotModelyard where it is something else."""
    try:
        return schema.model_validate_json(answer.content)
    except ValidationError:
        raise NotModelyard(
            f"{answer.url} did not answer as this client expects. Check that the URL is that of a Modelyard platform, "
            "and that its release is not older than this client's."
        ) from None


def opened(resource: Resource[Mode], request: Request) -> Flow[Opened]:
    """The head of an answer whose body is to be read piece by piece; tried and refused as in `call`."""
    connection = resource._connection  # noqa: SLF001 - a part of Resource
    for attempt in count(1):
        try:
            found: Opened = yield Open(request)
            if found.answer.status < 300:
                return found
            content = yield from rest(found)
            trouble = _trouble(Answer(**{**vars(found.answer), "content": content}))
        except (Unreachable, ConnectionLost) as error:
            trouble = error
        pause = _pause(request, trouble, attempt, lost=False)
        if pause is None or attempt >= connection.tries:
            raise trouble
        yield Pause(pause)
    raise AssertionError


def rest(found: Opened) -> Flow[bytes]:
    """All that is left of an opened body."""
    pieces = []
    while piece := (yield Read(found)):
        pieces.append(piece)
    yield Close(found)
    return b"".join(pieces)


def save(resource: Resource[Mode], request: Request, to: Path, name: str) -> Flow[Path]:
    """Write the answer's body to a file: `to`, or `name` inside the folder `to`. Nothing half-written keeps the name.

    A connection that breaks is tried again from the beginning.
    """
    target = to / name if to.is_dir() else to
    connection = resource._connection  # noqa: SLF001 - a part of Resource
    for attempt in count(1):
        try:
            return (yield from _save(resource, request, target))
        except ConnectionLost:
            if attempt >= connection.tries:
                raise
        yield Pause(_back_off(attempt))
    raise AssertionError


def _save(resource: Resource[Mode], request: Request, target: Path) -> Flow[Path]:
    draft = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
    found = yield from opened(resource, request)
    try:
        with _writing(draft) as file:
            while piece := (yield Read(found)):
                file.write(piece)
        yield Close(found)
        draft.replace(target)
    except OSError as error:
        raise OutOfSpace(f"{target} cannot be written: {error.strerror}.") from None
    finally:
        draft.unlink(missing_ok=True)
    return target


def _writing(draft: Path) -> Any:
    try:
        return draft.open("wb")
    except OSError as error:
        raise Invalid(f"{draft.parent} cannot be written to: {error.strerror}. Choose another place.") from None


def _quoted(part: str) -> str:
    if not part:
        raise Invalid("A name or an id is empty.")
    # Dots alone would be taken for steps up and down the path.
    return quote(part, safe="") if part.strip(".") else part.replace(".", "%2E")


def _with_body(
    method: str, parts: tuple[str | int, ...], body: Any, headers: Mapping[str, str], *, repeatable: bool = True
) -> Request:
    content = None if body is None else encode(body)
    kind = {} if body is None else {"content-type": "application/json"}
    return Request(
        method=method, path=path(*parts), headers={**kind, **headers}, content=content, repeatable=repeatable
    )


def _trouble(answer: Answer) -> ModelyardError:
    if answer.status < 400:
        where = answer.headers.get("location", "another place")
        return NotModelyard(f"{answer.url} sends on to {where}. Use that URL of the platform.")
    return error_of(answer)


def _pause(request: Request, trouble: ModelyardError, attempt: int, *, lost: bool) -> float | None:
    """Seconds to wait before the next try, None where there is to be none.

    `lost`: a try before this one may have been carried out, its answer lost. The platform refuses a repeat (409) for as
    long as it works on the first.
    """
    if isinstance(trouble, Unreachable):
        return _back_off(attempt)
    body = request.content
    if not request.repeatable or (isinstance(body, Body) and not body.repeatable):
        return None
    if isinstance(trouble, ConnectionLost) or (lost and type(trouble) is Conflict):
        return _back_off(attempt)
    if isinstance(trouble, (TooMany, Unavailable)) and not is_final(trouble):
        asked = trouble.retry_after
        return None if asked is not None and asked > LONGEST_ASKED else max(asked or 0.0, _back_off(attempt))
    return None


def _back_off(attempt: int) -> float:
    """Doubled with each attempt, and between half and the whole of that at random, so that clients spread out."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (attempt - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _present(params: Mapping[str, Any]) -> dict[str, str | int]:
    return {
        name: ("true" if value is True else "false" if value is False else value)
        for name, value in params.items()
        if value is not None
    }


def _plain(value: Any) -> Any:
    """What msgspec does not know: scalars and arrays of NumPy, dates of pandas."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} has no JSON form")
