"""Seam: run a command shut in."""
