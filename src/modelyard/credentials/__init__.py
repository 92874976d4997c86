"""Seam: who sent this request. No database; keys come from the caller."""
