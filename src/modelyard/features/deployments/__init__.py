"""Deployments: which versions run where, and the routing table."""
