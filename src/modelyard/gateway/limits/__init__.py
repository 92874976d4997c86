"""How fast callers may ask: token buckets that decide in memory, shared in the background with other gateways."""

from modelyard.gateway.limits.limiter import Limiter

__all__ = ["Limiter"]
