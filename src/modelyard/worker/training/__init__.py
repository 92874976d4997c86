"""The steps of a training run, as `recipes/train.py` puts them together."""
