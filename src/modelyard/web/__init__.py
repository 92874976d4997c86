"""FastAPI pieces that all routes share: session, paging, errors, idempotency."""
