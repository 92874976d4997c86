"""Process: the public port. Answers predictions from memory and proxies the rest to the api. No database."""
