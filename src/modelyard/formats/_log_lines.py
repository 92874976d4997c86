"""From a line of a log to its shape: what is surely a parameter masked, the rest cut into tokens.

Here, beside the format, since learning and serving must see the same shapes. Inside, a mask is one character of the
private use area; outside it is written by its name: `<ip>`. Runs of white space count as one blank everywhere.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from modelyard.core.errors import Invalid

_UNITS = "[KMGTP]i?[Bb]?|[num]?s|min|h|d|[KMG]?Hz|B|bytes"

KINDS: dict[str, str] = {
    "url": r"[A-Za-z][A-Za-z0-9+.\-]{1,20}://[^\s\"'<>()\[\]{},;|]+",
    "email": r"(?<![\w.+\-])[\w.+\-]{1,64}@[\w\-]{1,64}(?:\.[\w\-]{1,64}){1,8}",
    "uuid": r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])",
    "mac": r"(?<![0-9A-Za-z:])[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5,31}(?![0-9A-Za-z:])",
    "time": (
        r"(?<![0-9A-Za-z.])(?:\d{4}[\-/.]\d\d?[\-/.]\d\d?(?:[T_\-]\d\d?[:.]\d\d[:.]\d\d(?:[.,]\d+)?)?"
        r"|\d\d?/[A-Z][a-z]{2}/\d{4}(?::\d\d){3}|\d\d?:\d\d:\d\d(?:[.,]\d+)?)(?:Z|[+\-]\d\d:?\d\d)?(?![0-9A-Za-z])"
    ),
    "ip": (
        r"/?(?<![0-9A-Za-z.])(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?(?![0-9A-Za-z])"
        r"|(?<![0-9A-Za-z:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![0-9A-Za-z:])"
        r"|(?<![0-9A-Za-z:])(?=[0-9a-fA-F:]*\d)(?:[0-9a-fA-F]{1,4}:){1,7}(?::[0-9a-fA-F]{1,4}){1,6}(?![0-9A-Za-z:])"
    ),
    "path": (
        r"(?<![\w.\-)\]/])~?/[^\s\"'<>()\[\]{},;|=:/?]+(?:/[^\s\"'<>()\[\]{},;|=:/?]*)*(?:\?[^\s\"'<>()\[\]{},;|]*)?"
        r"|(?<![A-Za-z0-9])[A-Za-z]:\\[^\s\"'<>()\[\]{},;|]+"
    ),
    "hex": (
        r"(?<![0-9A-Za-z])0[xX][0-9a-fA-F]+(?![0-9A-Za-z])"
        r"|(?<![0-9A-Za-z])(?=[a-fA-F]*\d)(?=\d*[a-fA-F])[0-9a-fA-F]{6,}(?![0-9A-Za-z])"
    ),
    "id": (
        r"(?<![A-Za-z])[A-Za-z]*\d+[A-Za-z]+\d[0-9A-Za-z]*|(?<![0-9A-Za-z])\d+[A-Za-z]{4,}(?![A-Za-z0-9])"
        r"|(?<![0-9A-Za-z])(?=[a-z]+\d+[a-z])[0-9a-z]{8,}(?![0-9A-Za-z])"
    ),
    "num": (
        rf"(?:(?<![0-9A-Za-z.)\]])[+\-])?\d+(?:[.,_/:#\-]{{1,2}}\d+(?=(?:{_UNITS})?(?![0-9A-Za-z])))*"
        rf"(?:(?:{_UNITS})(?![0-9A-Za-z])|%)?"
    ),
}
"""What each mask of ours looks like. None of them matches white space. The first that fits wins."""

LONGEST = 4096
"""Characters of a line that count. What writes longer ones dumps data into them."""

MOST_TOKENS = 400
ANY = "\ue000"
"""A mask of any kind, as shapes hold it."""

EMPTY = "\ue001"
"""A value that is not there: between brackets or quotes, or after an equals sign."""

WILD = "\ue002"
"""In a template: one token, whichever."""

GAP = "\ue003"
"""In a template: any number of tokens, none included."""

_ANYWHERE = ("url", "email")
_BEGINS = r"(?=[0-9A-Za-z/~+\-])(?:(?<![A-Za-z])|(?=[0-9]))"
"""Where any other mask of ours can begin: inside of words only at a digit. Said once, it spares most attempts."""

_FIRST_KIND = 0xE004
_PRIVATE = re.compile("[\ue000-\ue07f]")
_MOST_OWN = 50
_DELIMITERS = r"=:,;|()\[\]{}\"'<>"
_TOKEN = re.compile(rf" ?(?:[{_DELIMITERS}]|[^ {_DELIMITERS}]+)")
_NOTHING = re.compile(r"(?<= \()(?=\))|(?<= \[)(?=\])|(?<=\")(?=\" |\"$)(?<=[ =]\")|(?<=')(?=' |'$)(?<=[ =]')"
                      r"|(?<=[A-Za-z_]=)(?= |$|[,;\])])")  # fmt: skip
_CACHED_TOKENS = 200_000
_MOST_REPEATS = 4


_CALENDAR_NAMES = (
    "Mon Tue Wed Thu Fri Sat Sun Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec Monday Tuesday Wednesday Thursday "
    "Friday Saturday Sunday January February March April June July August September October November December"
)
_TRUTH_NAMES = "true false True False TRUE FALSE null"
_UNIT_NAMES = "B KB MB GB TB PB KiB MiB GiB TiB kB Kb Mb Gb bytes Bytes ns us ms s sec secs min mins minutes hours days"
_CALENDAR = frozenset(blank + word for blank in ("", " ") for word in _CALENDAR_NAMES.split())
_TRUTH = frozenset(blank + word for blank in ("", " ") for word in _TRUTH_NAMES.split())
_WORDS = _CALENDAR | _TRUTH | frozenset(f" {unit}" for unit in _UNIT_NAMES.split())


class Piece(NamedTuple):
    """One token: its shape, what stood there (with its leading blank), and what each mask in it stands for."""

    token: str
    raw: str
    masked: tuple[str, ...]


class Masks:
    """Masks lines. `kinds` are names of KINDS, `own` further masks, name and regular expression, tried first.

    Raises Invalid where one of `own` is no regular expression, or one that may take very long.
    """

    def __init__(self, kinds: Sequence[str] = tuple(KINDS), own: Sequence[tuple[str, str]] = ()) -> None:
        if len(own) > _MOST_OWN:
            raise Invalid(f"There are {len(own)} own masks. Use at most {_MOST_OWN}.")
        for name, expression in own:
            check_expression(name, expression)
        self.kinds, self.own = tuple(kinds), tuple(own)
        patterns = [*own, *((name, KINDS[name]) for name in KINDS if name in kinds)]
        self._names = {chr(_FIRST_KIND + place): name for place, (name, _) in enumerate(patterns)}
        self._generic = str.maketrans(dict.fromkeys(self._names, ANY))
        places = {name: place for place, (name, _) in enumerate(patterns)}
        number = chr(_FIRST_KIND + places["num"]) if "num" in places and not own else ""
        self._pattern = _any_of(patterns)
        self._tokens = _Masked(self._pattern, _any_of(patterns, without=_ANYWHERE), number)
        self._marks = {f"<{name}>": mark for mark, name in reversed(self._names.items())}
        self._marks |= {"<*>": WILD, "<any>": ANY, "<none>": EMPTY, "<...>": GAP}
        self._spelled = {mark: text for text, mark in self._marks.items()}

    def key(self, content: str) -> str:
        """The line with its masks in place; lines with one key always belong together."""
        head, tail = _cut(content)
        head = self.clean(head)
        if self.own:
            masked = self._pattern.sub(_mark, " ".join(head.split()))
        else:
            masked = " ".join(map(self._tokens.__getitem__, head.split()))
        return f"{masked} {ANY}" if tail else masked

    @staticmethod
    def clean(content: str) -> str:
        """The line without the characters that masks are."""
        return content if content.isascii() else _PRIVATE.sub("\ufffd", content)

    def keys(self, contents: Sequence[str]) -> list[str]:
        """The key of each line."""
        if self.own:
            return [self.key(content) for content in contents]
        masked, join = self._tokens.__getitem__, " ".join
        return [
            join(map(masked, content.split())) if content.isascii() and len(content) <= LONGEST else self.key(content)
            for content in contents
        ]

    def shape(self, key: str) -> tuple[str, ...]:
        """The tokens of a key, each with the blank before it, masks of every kind alike."""
        return shaped(self.tokens(key.translate(self._generic)))

    def generic_tokens(self, tokens: Iterable[str]) -> tuple[str, ...]:
        """The tokens of a template as those of a shape."""
        return shaped([token.translate(self._generic) for token in tokens])

    def tokens(self, key: str) -> list[str]:
        """The tokens of a key, masks by their kind."""
        if "=" in key or "()" in key or "[]" in key or '""' in key or "''" in key:
            key = _NOTHING.sub(EMPTY, key)
        tokens: list[str] = []
        for token in _TOKEN.findall(key):
            if EMPTY in token and len(token) > 1:
                tokens.extend(part for part in re.split(f"({EMPTY})", token) if part)
            else:
                tokens.append(token)
        return tokens if len(tokens) <= MOST_TOKENS else [*tokens[:MOST_TOKENS], ANY]

    def generic(self, token: str) -> str:
        """The token with masks of every kind alike."""
        return token.translate(self._generic)

    def pieces(self, content: str) -> list[Piece]:
        """The tokens of a line with the text they stand for; joined, the texts are the line."""
        head, tail = _cut(content)
        head = " ".join(self.clean(head).split())
        stretches = list(self._stretches(head))
        if tail:
            stretches += [(" ", ""), (tail, ANY)]
        masked = "".join(mark or text for text, mark in stretches)
        texts = iter([text for text, mark in stretches if mark])
        tokens = self.tokens(masked)
        pieces = [self._piece(token, texts) for token in tokens[:MOST_TOKENS]]
        for place, token in enumerate(shaped([piece.token for piece in pieces])):
            if token != pieces[place].token:
                pieces[place] = Piece(token, pieces[place].raw, (pieces[place].raw.strip(),))
        if len(tokens) > MOST_TOKENS:
            rest = " ".join(f"{head} {tail}".split())[sum(len(piece.raw) for piece in pieces) :]
            pieces.append(Piece(ANY, rest, (rest,)))
        return pieces

    def _piece(self, token: str, texts: Iterator[str]) -> Piece:
        raw, values = "", []
        for character in token:
            if character in self._names or character == ANY:
                values.append(next(texts))
                raw += values[-1]
            elif character == EMPTY:
                values.append("")
            else:
                raw += character
        return Piece(self.generic(token), raw, tuple(values))

    def spell(self, token: str) -> str:
        """The token as files keep it: masks by name."""
        return "".join(self._spelled.get(character, character) for character in token)

    def show(self, token: str) -> str:
        """The token as people read it: what stands for anything is `<*>`."""
        return "".join(
            f"<{self._names[character]}>" if character in self._names else "<*>" if character in _FREE else character
            for character in token
        )

    def unspell(self, text: str) -> str:
        """The token that `spell` wrote. Raises KeyError where a mask is unknown."""
        if len(text.strip()) == 1:
            return text
        return re.sub(r"<[^<>]+>", lambda found: self._marks[found[0]], text)

    def _stretches(self, content: str) -> Iterator[tuple[str, str]]:
        """The line in parts, each with its mask or none."""
        at = 0
        for found in self._pattern.finditer(content):
            if found.end() == found.start():
                continue
            if found.start() > at:
                yield content[at : found.start()], ""
            yield found[0], _mark(found)
            at = found.end()
        yield content[at:], ""


def _any_of(patterns: Sequence[tuple[str, str]], without: Sequence[str] = ()) -> re.Pattern[str]:
    """One expression; which of them fitted is the name of its group."""
    parts: list[str] = []
    quick: list[str] = []
    for place, (name, text) in enumerate(patterns):
        if name not in without:
            (quick if KINDS.get(name) is text and name not in _ANYWHERE else parts).append(f"(?P<m{place}>{text})")
    if quick:
        parts.append(f"{_BEGINS}(?:{'|'.join(quick)})")
    return re.compile("|".join(parts) or r"(?!)")


_FREE = {ANY, EMPTY, WILD, GAP}


class _Masked(dict[str, str]):
    """Masked tokens by token. Most tokens of a log come again and again.

    `simple` is the expression without what needs an @ or ://, `number` the mask of a plain number where it has one.
    """

    def __init__(self, pattern: re.Pattern[str], simple: re.Pattern[str], number: str) -> None:
        super().__init__()
        self._sub, self._simple, self._number = pattern.sub, simple.sub, number

    def __missing__(self, token: str) -> str:
        if self._number and token.isdecimal() and token.isascii():
            return self._number
        masked = (self._sub if "@" in token or "://" in token else self._simple)(_mark, token)
        if len(self) >= _CACHED_TOKENS:
            self.clear()
        self[token] = masked
        return masked


def shaped(tokens: Sequence[str]) -> tuple[str, ...]:
    """The tokens with units behind numbers, names of days and months beside them, and truth values masked as well."""
    if _WORDS.isdisjoint(tokens):
        return tuple(tokens)
    found = list(tokens)
    for place, token in enumerate(found):
        if token in _WORDS:
            before = found[place - 1] if place else ""
            after = tokens[place + 1] if place + 1 < len(tokens) else ""
            if token in _TRUTH:
                masked = token.strip() != "null" or before[-1:] in {"=", ":"}
            else:
                masked = ANY in before or (token in _CALENDAR and (ANY in after or after in _CALENDAR))
            if masked:
                found[place] = f" {ANY}" if token[0] == " " else ANY
    return tuple(found)


def holds_mask(token: str) -> bool:
    """Whether something in the token of a shape varies."""
    return ANY in token or EMPTY in token or WILD in token or GAP in token


def only_mask(token: str) -> bool:
    """Whether the token of a shape is nothing but a mask."""
    return token.lstrip(" ") in _FREE


def check_expression(name: str, expression: str) -> None:
    """Raise Invalid where `expression` is none, is too long, or may take more than a few passes over a line."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name):
        raise Invalid(f"The mask {name!r} needs a name of small letters, digits and underscores, as in: order.")
    if name in KINDS:
        raise Invalid(f"The mask {name!r} is called like one of ours. Give it another name.")
    if not 0 < len(expression) <= 200:
        raise Invalid(f"The expression of mask {name!r} has {len(expression)} characters. Use 1 to 200.")
    try:
        compiled = re.compile(expression)
    except (re.error, RecursionError, OverflowError) as error:
        raise Invalid(f"The expression of mask {name!r} is no regular expression: {error}. Correct it.") from None
    if compiled.groups or _backtracks(expression):
        raise Invalid(
            f"The expression of mask {name!r} may take very long, or captures. Leave out groups that are captured or "
            f"repeated and hold repeats; use at most {_MOST_REPEATS} of * + {{}}."
        )
    if compiled.match(""):
        raise Invalid(f"The expression of mask {name!r} fits an empty text. Make it need a character.")


def _backtracks(expression: str) -> bool:
    """Whether a repeat holds another one, or there are many. Cautious: some harmless expressions are refused too."""
    plain = re.sub(r"\\.", "a", expression, flags=re.DOTALL)
    plain = re.sub(r"\[\^?\]?[^\]]*\]", "a", plain)
    if len(re.findall(r"[*+]|\{\d*,?\d*\}", plain)) > _MOST_REPEATS:
        return True
    inner: list[bool] = [False]
    for place, character in enumerate(plain):
        if character == "(":
            inner.append(False)
        elif character == ")":
            held = inner.pop() if len(inner) > 1 else False
            repeated = plain[place + 1 : place + 2] in {"*", "+", "{"}
            if held and repeated:
                return True
            inner[-1] = inner[-1] or held or repeated
        elif character in "*+{|":
            inner[-1] = True
    return False


def _cut(content: str) -> tuple[str, str]:
    """The part of a line that counts, and the rest, which is one parameter. Parted at a blank where there is one."""
    if len(content) <= LONGEST:
        return content, ""
    at = content.rfind(" ", 0, LONGEST) + 1 or LONGEST
    return content[:at], " ".join(content[at:].split())


_MARKS = {f"m{place}": chr(_FIRST_KIND + place) for place in range(len(KINDS) + _MOST_OWN)}


def _mark(found: re.Match[str]) -> str:
    return _MARKS[found.lastgroup or ""] if found.end() > found.start() else ""
