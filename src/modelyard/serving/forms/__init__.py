"""The forms of requests and answers: bytes become rows, and values become bytes.

One module for each form, on top of `formats.codec`, which reads JSON and CSV. All give the same rows for the same data
and refuse the same values in the same words, so that requests of different forms share one call of the model.
"""

from modelyard.protocol.frames import Content

EMBEDDABLE: frozenset[Content] = frozenset(Content)
"""The forms that a gateway may read itself: all, since none of them is read by code that bytes can crash."""
