"""The SQL database: engine, sessions, base table, migrations."""
