"""How series are continued: what training and serving share, in numpy alone.

Every method continues many series at once, and has no state of its own: it learns its smoothing from the history that
it is given. So a history that comes with a request is continued as one that was there in training.
"""
