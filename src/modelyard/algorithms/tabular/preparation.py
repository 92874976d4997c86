"""Learning what dates and free text become (`formats/features.py` computes it, here and when the model is served)."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from modelyard.formats.base import Batch
from modelyard.formats.features import DateColumn, Features, Part, TextColumn, date_numbers, words
from modelyard.protocol.signature import Signature

MOST_TERMS = 2000
MOST_COMPONENTS = 32
COMMON = 0.8
"""Words in more than this share of the texts say nothing."""

_PARTS: tuple[Part, ...] = ("year", "month", "day", "weekday", "ordinal", "hour")


def learn_features(signature: Signature, rows: Batch, seed: int) -> Features:
    """What becomes of the string columns, learned from training rows."""
    kinds = [field.kind for field in signature.string_inputs]
    places = {kind: [place for place, found in enumerate(kinds) if found == kind] for kind in set(kinds)}
    return Features(
        categories=tuple(places.get("category", ())),
        dates=tuple(DateColumn(place, _parts(rows.strings[:, place])) for place in places.get("date", ())),
        texts=tuple(learn_text(place, rows.strings[:, place], seed) for place in places.get("text", ())),
    )


def learn_text(column: int, texts: NDArray[np.object_], seed: int) -> TextColumn:
    """The terms of a text column and their places in a latent space: truncated SVD of the TF-IDF matrix."""
    counts = [Counter(words(text)) for text in texts.tolist()]
    frequency = Counter(word for count in counts for word in count)
    filled = sum(bool(count) for count in counts)
    ranked = sorted(frequency.items(), key=lambda item: (-item[1], item[0]))
    terms = [word for word, found in ranked if 2 <= found <= max(2, COMMON * filled)][:MOST_TERMS]
    width = min(MOST_COMPONENTS, len(terms) - 1)
    if width < 1:
        return TextColumn(column, (), (), ())
    weights = 1 + np.log((1 + filled) / (1 + np.array([frequency[term] for term in terms])))
    components = _latent(counts, {term: place for place, term in enumerate(terms)}, weights, width, seed)
    rows = tuple(tuple(float(value) for value in row) for row in components)
    return TextColumn(column, tuple(terms), tuple(weights.tolist()), rows)


def _latent(
    counts: list[Counter[str]], places: dict[str, int], weights: NDArray[np.float64], width: int, seed: int
) -> NDArray[np.float32]:
    from scipy.sparse import coo_array
    from sklearn.utils.extmath import randomized_svd

    found = [
        (row, places[word], times)
        for row, count in enumerate(counts)
        for word, times in count.items()
        if word in places
    ]
    rows, columns, times = (np.array(values) for values in zip(*found, strict=True))
    values = (1 + np.log(times)) * weights[columns]
    lengths = np.sqrt(np.bincount(rows, values**2, minlength=len(counts)))[rows]
    matrix = coo_array((values / lengths, (rows, columns)), shape=(len(counts), len(places))).tocsr()
    _, _, components = randomized_svd(matrix, width, random_state=seed)
    turned: NDArray[np.float32] = components.T.astype(np.float32)
    return turned


def _parts(values: NDArray[np.object_]) -> tuple[Part, ...]:
    """The parts that differ between rows: no hours where there are only days, no year where there is only one."""
    numbers = date_numbers(values, _PARTS)
    spread = np.nanmax(numbers, axis=0, initial=-np.inf) > np.nanmin(numbers, axis=0, initial=np.inf)
    return tuple(part for part, varies in zip(_PARTS, spread.tolist(), strict=True) if varies)
