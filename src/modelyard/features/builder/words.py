"""How near an intent's words are to a column's name: folding, splitting and light stemming, no dictionary."""

import difflib
import re
import unicodedata

ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ers", "ors", "ed", "er", "or", "es", "al", "ly", "s", "e")
SHORTEST_STEM = 3
NEAR = 0.84

# What follows these words is what is to be predicted; the nearer behind them, the likelier.
ASKING = frozenset(
    [
        "predict",
        "predicting",
        "prediction",
        "forecast",
        "estimate",
        "estimating",
        "guess",
        "classify",
        "detect",
        "identify",
        "find",
        "determine",
        "know",
        "tell",
        "whether",
        "which",
        "who",
        "what",
        "how",
        "will",
        "if",
        "score",
        "regress",
    ]
)
EMPTY = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "for",
        "to",
        "in",
        "on",
        "and",
        "or",
        "is",
        "are",
        "be",
        "been",
        "will",
        "would",
        "with",
        "from",
        "by",
        "at",
        "our",
        "my",
        "their",
        "its",
        "this",
        "that",
        "these",
        "those",
        "each",
        "every",
        "given",
        "based",
        "using",
        "use",
        "data",
        "table",
        "model",
        "build",
        "make",
        "create",
        "me",
        "i",
        "we",
        "want",
        "need",
        "likely",
        "probably",
    ]
)


def words_of(text: str) -> list[str]:
    """The words of a sentence or a column name, folded.

    `TotalCharges`, `total_charges` and `Total charges` are alike.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode() or text
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", plain)
    return [
        word for word in re.split(r"[^A-Za-z0-9]+", split) if word and not word.isdigit() for word in [word.lower()]
    ]


def stem(word: str) -> str:
    """A word without its ending: `churned`, `churning` and `churn` are alike."""
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= SHORTEST_STEM:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > SHORTEST_STEM and word[-1] == word[-2] else word


def similarity(one: str, other: str) -> float:
    """From 0 (nothing in common) to 1 (the same word, whatever its ending); typing errors cost a little."""
    if stem(one) == stem(other):
        return 1.0
    ratio = difflib.SequenceMatcher(None, one, other).ratio()
    return ratio * 0.9 if ratio >= NEAR else 0.0


def asked_words(intent: str) -> list[tuple[str, float]]:
    """The meaningful words of an intent, each with how much it counts: more right behind an asking word."""
    weighted, since = [], None
    for word in words_of(intent):
        if word in ASKING:
            since = 0
        elif word not in EMPTY:
            weight = 0.6 if since is None else max(0.6, 1.0 - 0.05 * since)
            weighted.append((word, weight))
            since = None if since is None else since + 1
    return weighted


def match(intent: str, column: str) -> float:
    """How much a column's name is what the intent asks for, from 0 to about 1."""
    names = [word for word in words_of(column) if word not in EMPTY]
    asked = asked_words(intent)
    if not names or not asked:
        return 0.0
    found = [max((similarity(name, word) * weight for word, weight in asked), default=0.0) for name in names]
    return sum(found) / len(names)
