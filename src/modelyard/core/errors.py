"""Every error a user can meet, in one tree.

ModelyardError                    carries `status` (HTTP) and `code` (stable, snake_case)
├── Invalid           422         the request is well-formed but wrong: names fields, gives the next step
│   ├── Malformed     400         the request cannot be read at all
│   ├── TooLarge      413         more bytes, rows or columns than the limit
│   └── Unsupported   415         a content type or file kind nobody here reads
├── Unauthenticated   401         no credential, or one that does not hold
├── OutOfCredit       402         a spending limit is reached
├── Forbidden         403         known, but not allowed
├── NotFound          404         does not exist, or its existence is not the caller's to know
├── Conflict          409         the present state does not allow it
│   ├── InUse         409         something else needs it: names who
│   └── Fenced        409         a later owner holds the lease: stop, write nothing more
├── TooMany           429         the caller's own limit; carries `retry_after` seconds
├── Unavailable       503         not now; carries `retry_after` seconds
│   └── OutOfSpace    507         the disk or the store is full
├── TimedOut          504         gave up waiting
└── Broken            500         our fault: a bug or a damaged installation

A feature's own errors derive from these in its `errors.py`. No HTTP framework here:
`web/errors.py` renders them, and the SDK raises the same class again by `code`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar


class ModelyardError(Exception):
    """Base of the tree. Never raised itself: a subclass says the status.

    `message` is a sentence for a person: what was wrong, where, what to do next.
    `fields` lists what is wrong by place: `{"field", "message"}` with `row` where rows are meant.
    `detail` is machine-readable context. `request_id` names the request where the error came over the wire.
    """

    status: ClassVar[int]
    code: ClassVar[str]

    def __init__(
        self,
        message: str,
        *,
        detail: Mapping[str, Any] | None = None,
        fields: Sequence[Mapping[str, Any]] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = dict(detail or {})
        self.fields = [dict(field) for field in fields]
        self.retry_after = retry_after
        self.request_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The `error` member of the one error body all processes answer with."""
        return {"code": self.code, "message": self.message, "detail": self.detail, "fields": self.fields}


class Invalid(ModelyardError):
    """The request is well-formed but wrong."""

    status = 422
    code = "invalid"


class Malformed(Invalid):
    """The request cannot be read."""

    status = 400
    code = "malformed"


class TooLarge(Invalid):
    """More than the limit allows."""

    status = 413
    code = "too_large"


class Unsupported(Invalid):
    """A kind of content nobody here reads."""

    status = 415
    code = "unsupported"


class Unauthenticated(ModelyardError):
    """No credential, or one that does not hold."""

    status = 401
    code = "unauthenticated"


class OutOfCredit(ModelyardError):
    """A spending limit is reached."""

    status = 402
    code = "out_of_credit"


class Forbidden(ModelyardError):
    """The caller is known, but may not."""

    status = 403
    code = "forbidden"


class NotFound(ModelyardError):
    """Does not exist, or is not the caller's to know."""

    status = 404
    code = "not_found"


class Conflict(ModelyardError):
    """The present state does not allow it."""

    status = 409
    code = "conflict"


class InUse(Conflict):
    """Something else needs it; the message names who."""

    code = "in_use"


class Fenced(Conflict):
    """A later owner holds the lease."""

    code = "fenced"


class TooMany(ModelyardError):
    """The caller's own limit is reached."""

    status = 429
    code = "too_many"


class Unavailable(ModelyardError):
    """Not now; try again."""

    status = 503
    code = "unavailable"


class OutOfSpace(Unavailable):
    """The disk or the store is full."""

    status = 507
    code = "out_of_space"


class TimedOut(ModelyardError):
    """Gave up waiting."""

    status = 504
    code = "timed_out"


class Broken(ModelyardError):
    """A bug of ours or a damaged installation."""

    status = 500
    code = "internal"


def tree(root: type[ModelyardError] = ModelyardError) -> Iterator[type[ModelyardError]]:
    """Every class below `root` that has been imported, itself excluded, parents first."""
    for child in root.__subclasses__():
        yield child
        yield from tree(child)


def by_code(code: str, status: int) -> type[ModelyardError]:
    """The class for an answer's `code`; the family of its `status` where the code is unknown here."""
    # Of classes that share a code, the one that defines it.
    exact = {error.code: error for error in tree() if "code" in vars(error)}
    families = {family.status: family for family in reversed(list(tree())) if "status" in vars(family)}
    return exact.get(code) or families.get(status) or (Broken if status >= 500 else Invalid)
