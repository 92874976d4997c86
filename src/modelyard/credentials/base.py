"""Seam.

One way in which a request says who sent it. No database: what is known of keys and users comes from a Directory.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

from modelyard.protocol.routing import Caller


class Directory(Protocol):
    """What a credential is held against. The gateway's is the routing table, the api's is the database."""

    def key(self, digest: str) -> Caller | None:
        """The caller that an API key stands for, by the key's SHA-256 in hex."""
        ...

    def user(self, user_id: str) -> Caller | None:
        """The caller that a logged-in user is."""
        ...


class Credential(ABC):
    """One kind of credential."""

    @abstractmethod
    def claims(self, headers: Mapping[str, str]) -> str | None:
        """The value this kind is to judge, or None where the request carries none of it. Names are in lower case."""

    @abstractmethod
    def verify(self, value: str, directory: Directory, *, secret: bytes, now: float) -> Caller:
        """Who sent the request. `now` is Unix time in seconds. Raises Unauthenticated, saying what to do."""
