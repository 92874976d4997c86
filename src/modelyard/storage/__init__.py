"""Where bytes and rows are kept: the database, the object store, secrets."""
