"""Seam: what is particular to a kind of problem, before and after learning: one file for each scenario.

How the tables of a release become rows to learn from, to decide by and to judge by; and how answers are judged. The
platform uses it around the sandbox, where algorithms are given what was made here; a version's own `train.py` uses it
too.
"""
