"""Opens the object store that a URL means."""

from collections.abc import Mapping

from modelyard.core.errors import Invalid
from modelyard.core.registry import Registry
from modelyard.storage.objects.base import ObjectStore

REGISTRY: Registry[ObjectStore] = Registry(
    "modelyard.storage.objects",
    ObjectStore,  # type: ignore[type-abstract]
    exclude=frozenset({"opened", "keys"}),
)


def open_store(url: str, options: Mapping[str, str] | None = None) -> ObjectStore:
    """The store at `url`: a folder or `s3://bucket/path`. Nothing is asked of a server yet.

    `options` say what the URL does not, by the names of the usual variables: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …;
    what is in neither is read from this process's environment. Raises Invalid for a URL that no store accepts.
    """
    for name in REGISTRY.names():
        store = REGISTRY.get(name)
        if store.accepts(url):
            return store(url, options)
    raise Invalid(f"No object store is meant by {url!r}. Give a folder, or s3://bucket/path.")
