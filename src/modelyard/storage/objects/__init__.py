"""Seam: the object store, on a local folder or on S3."""
