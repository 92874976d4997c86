"""Serving: one prediction over HTTP, as a ratio to a FastAPI application written by hand around the same model."""
