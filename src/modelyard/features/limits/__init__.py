"""How fast a key may ask, and how fast all callers together may ask of a prefix."""
