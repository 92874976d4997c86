"""What a worker says to the api about its job: one message, one answer; retrying is the caller's."""

from typing import TypeVar

import httpx
import msgspec

from modelyard.core.errors import Fenced, Invalid
from modelyard.credentials.internal import HEADER
from modelyard.protocol.jobs import EventBatch, Finish, Heartbeat, HeartbeatAnswer, JobSpec

Answer = TypeVar("Answer")
PATIENCE = 5.0


class Away(Exception):
    """The api cannot be reached, or cannot answer now: the same message may be sent again."""


class Api:
    """The internal routes of one job. Every call raises Away, Fenced (stop, write nothing more), or Invalid (refused).

    `address` is `unix:/path` or an http URL. Safe to use from several threads.
    """

    def __init__(self, address: str, job: str, credential: str) -> None:
        path = address.removeprefix("unix:") if address.startswith("unix:") else None
        self._client = httpx.Client(
            base_url="http://api" if path else address,
            transport=httpx.HTTPTransport(uds=path) if path else None,
            headers={HEADER: credential, "content-type": "application/json"},
            trust_env=False,
        )
        self._job = job

    def claim(self, token: int) -> JobSpec:
        """Begin the job under this fencing token."""
        return self._ask("claim", Heartbeat(token=token), JobSpec)

    def heartbeat(self, token: int, *, patience: float = PATIENCE) -> HeartbeatAnswer:
        """Prolong the lease; whether to stop."""
        return self._ask("heartbeat", Heartbeat(token=token), HeartbeatAnswer, patience)

    def events(self, batch: EventBatch) -> None:
        """Hand over events; a batch that was taken before is taken again without effect."""
        self._send("events", batch)

    def finish(self, finish: Finish) -> None:
        """The last word."""
        self._send("finish", finish)

    def _ask(self, verb: str, message: msgspec.Struct, kind: type[Answer], patience: float = PATIENCE) -> Answer:
        content = self._send(verb, message, patience)
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.DecodeError as error:
            raise Away(f"the api's answer to {verb} cannot be read: {error}") from None

    def _send(self, verb: str, message: msgspec.Struct, patience: float = PATIENCE) -> bytes:
        try:
            response = self._client.post(
                f"/internal/jobs/{self._job}/{verb}", content=msgspec.json.encode(message), timeout=patience
            )
        except httpx.HTTPError as error:
            raise Away(f"the api does not answer: {error}") from error
        if response.is_success:
            return response.content
        said = response.text[:1000]
        if response.status_code in {404, 409}:
            raise Fenced(f"The api takes nothing more for {self._job} from this worker: {said}")
        if response.status_code == 429 or response.status_code >= 500:
            raise Away(f"the api answered {response.status_code}: {said}")
        raise Invalid(f"The api refused {verb}: {said}")
