"""Load: many connections that ask prepared questions, one after the other, and check every answer."""
