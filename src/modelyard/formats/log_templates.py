"""Format: templates of log lines, found again in a tree of fixed depth. `templates.json`: data only.

The file holds what makes shapes of lines (header, masks), the tree's settings, and the clusters with their templates;
the tree is built when it is loaded. Masks are written by name in angle brackets; `<*>` is any one token, `<...>` any
number of them.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelyard.core.errors import Broken, Invalid
from modelyard.formats._log_header import Header
from modelyard.formats._log_lines import Masks
from modelyard.formats._log_tree import Tokens, Tree, Variant, generalised, parameters
from modelyard.formats.base import Batch, Format, NoOptions, RequestPredictor
from modelyard.formats.folder import read_signature, write
from modelyard.protocol.signature import Signature

FILE = "templates.json"
SAMPLES = 5
LONGEST_SAMPLE = 500
_CACHED_KEYS = 100_000


class Cluster(msgspec.Struct, kw_only=True):
    """One group of lines.

    `template` is what all its lines have in common. `variants` are its templates by length, those that lines are held
    against. `count` lines were of this group in training; `samples` are some of them as they came.
    """

    number: int
    template: tuple[str, ...]
    variants: list[tuple[str, ...]]
    count: int
    samples: list[str]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How lines are read and templates found: see Masks, Header and Tree."""

    header: Header = Header()
    kinds: tuple[str, ...]
    own: tuple[tuple[str, str], ...] = ()
    similarity: Annotated[float, msgspec.Meta(ge=0, le=1)]
    depth: Annotated[int, msgspec.Meta(ge=1, le=100)]
    max_children: Annotated[int, msgspec.Meta(ge=1)]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What `templates.json` holds. Clusters are in order of their numbers; tokens have their masks by name."""

    version: int = 1
    settings: Settings
    clusters: list[Cluster]


class LogTemplates(RequestPredictor):
    """Says which group a line belongs to, by which template, and what varies in it.

    The tokens of `clusters` hold masks as characters, not by name.
    """

    Options = NoOptions

    def __init__(self, signature: Signature, settings: Settings, clusters: Sequence[Cluster]) -> None:
        self.signature = signature
        self.settings = settings
        self.clusters = list(clusters)
        self._build()

    def _build(self) -> None:
        self.masks = Masks(self.settings.kinds, self.settings.own)
        self.tree = tree_of(self.settings)
        for cluster in self.clusters:
            for variant in cluster.variants:
                self.tree.add(Variant(self.masks.generic_tokens(variant), cluster.number))
        self._by_number = {cluster.number: cluster for cluster in self.clusters}
        self._header = self.settings.header.pattern()
        self._found = _Found(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("signature", "settings", "clusters")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._build()

    def predict(self, batch: Batch) -> NDArray[np.float32]:
        found = list(map(self._found.__getitem__, self.masks.keys(self.contents(batch.strings[:, 0].tolist()))))
        return np.array(found, np.float32).reshape(batch.rows, 1)

    def answer(self, batch: Batch, options: Any) -> list[dict[str, Any]]:  # noqa: ARG002 - nothing to choose
        return [self._entry(content) for content in self.contents(batch.strings[:, 0].tolist())]

    def contents(self, lines: Iterable[str]) -> list[str]:
        """The message of each line: what follows the header."""
        if self._header is None:
            return list(lines)
        match = self._header.match
        return [line[found.end() :] if (found := match(line)) else line for line in lines]

    def templates(self) -> list[dict[str, Any]]:
        """Every cluster: its number, its template as text, how many lines it had in training, and some of them."""
        return [
            {
                "cluster": cluster.number,
                "template": self._text(cluster.template),
                "count": cluster.count,
                "samples": list(cluster.samples),
            }
            for cluster in self.clusters
        ]

    def save(self, folder: Path) -> str:
        """Write `templates.json` into a version folder; the name of this format."""
        spell = self.masks.spell
        clusters = [
            Cluster(
                number=cluster.number,
                template=tuple(map(spell, cluster.template)),
                variants=[tuple(map(spell, variant)) for variant in cluster.variants],
                count=cluster.count,
                samples=cluster.samples,
            )
            for cluster in self.clusters
        ]
        write(folder / FILE, Stored(settings=self.settings, clusters=clusters))
        return "log_templates"

    def find(self, key: str) -> Variant | None:
        """The template of a masked line: one that fits, else the nearest that is near enough."""
        tokens = self.masks.shape(key)
        return (self.tree.exact(tokens) or self.tree.nearest(tokens)) if tokens else None

    def _entry(self, content: str) -> dict[str, Any]:
        variant = self.find(self.masks.key(content))
        if variant is None:
            return {"cluster": None, "template": None, "parameters": []}
        pieces = self.masks.pieces(content)
        template = self._by_number[variant.cluster].template
        values = parameters(tuple(map(self.masks.generic, template)), pieces)
        if values is None:
            # A line that no template fits as it is: the one of the nearest, with a wildcard wherever they differ.
            template = generalised(variant.tokens, tuple(piece.token for piece in pieces))
            values = parameters(template, pieces) or []
        return {"cluster": variant.cluster, "template": self._text(template), "parameters": values}

    def _text(self, tokens: Tokens) -> str:
        return "".join(map(self.masks.show, tokens))


class _Found(dict[str, int]):
    """The cluster of a masked line. Most lines of a log come again and again."""

    def __init__(self, predictor: LogTemplates) -> None:
        super().__init__()
        self._find = predictor.find

    def __missing__(self, key: str) -> int:
        variant = self._find(key)
        number = -1 if variant is None else variant.cluster
        if len(self) >= _CACHED_KEYS:
            self.clear()
        self[key] = number
        return number


class LogTemplatesFormat(Format):
    """Reads `templates.json`."""

    def load(self, folder: Path, *, threads: int = 1) -> LogTemplates:  # noqa: ARG002 - one thread is what there is
        signature = read_signature(folder)
        if not signature.string_inputs:
            raise Broken(f"{folder.name} has no text column in its signature. Train the version again.")
        return LogTemplates(signature, *read(folder))


def tree_of(settings: Settings) -> Tree:
    """An empty tree."""
    return Tree(depth=settings.depth, max_children=settings.max_children, similarity=settings.similarity)


def read(folder: Path) -> tuple[Settings, list[Cluster]]:
    """What a folder holds, masks in tokens as characters. Raises Broken."""
    path = folder / FILE
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=Stored)
        masks = Masks(stored.settings.kinds, stored.settings.own)
        stored.settings.header.pattern()
    except (OSError, msgspec.DecodeError, Invalid) as error:
        raise Broken(f"{folder.name}/{FILE} cannot be read: {error}. Train the version again.") from error
    if [cluster.number for cluster in stored.clusters] != list(range(len(stored.clusters))):
        raise Broken(f"{folder.name}/{FILE} has clusters whose numbers do not follow on. Train the version again.")
    try:
        for cluster in stored.clusters:
            cluster.template = tuple(map(masks.unspell, cluster.template))
            cluster.variants = [tuple(map(masks.unspell, variant)) for variant in cluster.variants]
    except KeyError as error:
        raise Broken(f"{folder.name}/{FILE} uses a mask {error} that it does not have. Train it again.") from error
    if stored.version != 1 or not all(
        all(map(all, (cluster.template, *cluster.variants))) for cluster in stored.clusters
    ):
        raise Broken(f"{folder.name}/{FILE} is of another version or has empty tokens. Train the version again.")
    return stored.settings, stored.clusters
