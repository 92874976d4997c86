"""Users, roles, API keys, logins, and the one permission function."""
