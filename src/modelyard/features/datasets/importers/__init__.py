"""Seam: how an uploaded file becomes the one canonical table. One file for each kind of file."""
