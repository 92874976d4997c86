"""Versions held in memory and asked in batches: what replicas and gateways (the embedded lane) share."""
