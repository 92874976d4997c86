"""The one permission function: who may do what. Pure, so that it can be read, tested and drawn."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from modelyard.core.errors import Forbidden, NotFound
from modelyard.credentials.scope import covers
from modelyard.features.auth.schemas import Role

Action = Literal["read", "predict", "write", "manage"]

# predict is reading with a model: nothing changes. manage is users, settings and what concerns everybody.
ROLES: dict[str, frozenset[Action]] = {
    "viewer": frozenset({"read", "predict"}),
    "editor": frozenset({"read", "predict", "write"}),
    "administrator": frozenset({"read", "predict", "write", "manage"}),
}
READ_ONLY: frozenset[Action] = frozenset({"read", "predict"})


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who is calling. `key` is the API key's id where one was used; `prefixes` None means all of them."""

    user: str
    username: str
    organisation: str
    role: Role
    key: str | None = None
    read_only: bool = False
    prefixes: tuple[str, ...] | None = None

    def stamp(self, now: datetime) -> dict[str, Any]:
        """What every row of this principal's making bears: the columns of `storage.db.base.Owned`."""
        return {"organisation": self.organisation, "created_at": now, "created_by": self.user}


def check(principal: Principal, action: Action, *, prefix: str | None = None) -> None:
    """Let the principal do `action`, on `prefix` where it concerns one.

    Raises Forbidden, saying what is missing; NotFound where not even the prefix's existence is the caller's to know.
    """
    if prefix is not None and not covers(principal.prefixes, prefix):
        raise NotFound(f"There is nothing called {prefix!r} here, or it is not yours to see.")
    if principal.read_only and action not in READ_ONLY:
        raise Forbidden("This API key is read-only. Use a read-write key: `modelyard key create`.")
    if action not in ROLES.get(principal.role, frozenset()):
        raise Forbidden(f"Your role is {principal.role}, which may not {action} here. Ask an administrator.")
