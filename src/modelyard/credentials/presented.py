"""Who sent a request, by whichever credential it carries."""

from collections.abc import Mapping

from modelyard.core.errors import Unauthenticated
from modelyard.core.registry import Registry
from modelyard.credentials.base import Credential, Directory
from modelyard.protocol.routing import Caller

REGISTRY: Registry[Credential] = Registry(
    "modelyard.credentials",
    Credential,  # type: ignore[type-abstract]
    exclude=frozenset({"internal", "presented", "scope"}),
)


class Presented:
    """Judges requests. Built once per process; `secret` is the platform's."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._kinds = [REGISTRY.get(name)() for name in REGISTRY.names()]

    def caller(self, headers: Mapping[str, str], directory: Directory, *, now: float) -> Caller:
        """Who sent the request with these headers (names in lower case). Raises Unauthenticated."""
        for kind in self._kinds:
            value = kind.claims(headers)
            if value is not None:
                return kind.verify(value, directory, secret=self._secret, now=now)
        raise Unauthenticated("Send a credential: `x-api-key: <key>` or `Authorization: Bearer <key or token>`.")
