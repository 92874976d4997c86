"""The peers: a folder for each with its adapter, its pinned requirements, and a server as its users write it."""
