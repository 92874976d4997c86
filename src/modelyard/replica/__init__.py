"""Process: holds model versions and answers frames. No database."""
