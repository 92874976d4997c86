"""Serving: one prediction over HTTP, our data plane against its peers and against the limit, in one interleaved run."""
