"""Process: makes the running world match the wanted rows."""
