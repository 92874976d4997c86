"""The ledger of several machines: a Redis server, where a script adds up in one step by the server's own clock."""

from collections.abc import Sequence
from urllib.parse import quote, unquote, urlsplit

from modelyard.core.errors import Invalid, Unavailable
from modelyard.gateway.limits.base import Ledger, Spent

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 0.5

# A key is there until its bucket is full. `%.6f`: Lua would write 14 digits of a time that has 16.
SCRIPT = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local levels = {}
for i, key in ipairs(KEYS) do
  local full_at = math.max(tonumber(redis.call('GET', key) or 0), now) + tonumber(ARGV[i])
  local kept = math.min(math.max(math.ceil((full_at - now) * 1000), 1), 1e12)
  redis.call('SET', key, string.format('%.6f', full_at), 'PX', string.format('%.0f', kept))
  levels[i] = string.format('%.6f', full_at - now)
end
return levels
"""


class RedisLedger(Ledger):
    """The ledger at `url`. `namespace` tells this platform's buckets from others', `name` this process's connection.

    Raises Invalid for a URL that is none, without repeating it: it may hold a password.
    """

    def __init__(self, url: str, *, namespace: str, name: str) -> None:
        # Only here: most platforms have no Redis, and this takes 0.2 s.
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        try:
            parts = urlsplit(url)
            self._where = f"Redis at {parts.hostname or 'localhost'}:{parts.port or 6379}"
            self._redis: Redis = Redis.from_url(
                url,
                client_name=name,
                socket_connect_timeout=CONNECT_SECONDS,
                socket_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
            # Connects to nothing yet, but refuses parameters that there are not.
            self._redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError):
            raise Invalid(
                "MODELYARD_REDIS_URL is no URL of a Redis. Write redis://[[user]:password@]host[:port][/database], or "
                "rediss:// for TLS."
            ) from None
        self._password = parts.password or ""
        self._script = self._redis.register_script(SCRIPT)
        # In braces: on a cluster all keys of a call must lie in one slot.
        self._prefix = f"modelyard:{{{namespace}}}:limits:"

    async def exchange(self, spent: Spent) -> Sequence[float]:
        keys = [self._prefix + name for name, _ in spent]
        try:
            levels = await self._script(keys=keys, args=[f"{seconds:.9f}" for _, seconds in spent])
            return [float(level) for level in levels]
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the limits go on without it
            raise Unavailable(f"{self._where} does not answer: {self._told(error)}.") from None

    async def close(self) -> None:
        await self._redis.aclose()

    def _told(self, error: Exception) -> str:
        """What went wrong, without the password, should a server repeat it."""
        text = (str(error) or type(error).__name__).rstrip(".")
        for secret in {self._password, unquote(self._password), quote(unquote(self._password))} - {""}:
            text = text.replace(secret, "***")
        return text
