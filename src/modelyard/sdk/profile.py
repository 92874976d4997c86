"""Which platform, and as whom: arguments > environment > the file that `modelyard login` writes."""

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from modelyard.core.errors import Forbidden, Malformed

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Where the platform is, and the API key for it, if any. `source` says where the key is from."""

    url: str
    api_key: str | None = None
    source: str = ""


def resolve(url: str | None = None, api_key: str | None = None) -> Profile:
    """The profile that holds here. Raises Malformed where the file is damaged.

    The file's key is for the file's URL only: it is sent nowhere else.
    """
    kept = read()
    variables = os.environ  # noqa: TID251 - the one place of the client; settings.py is the platform's
    found_url = url or variables.get("MODELYARD_URL") or (kept.url if kept else DEFAULT_URL)
    if api_key:
        return Profile(url=found_url, api_key=api_key, source="arguments")
    if variables.get("MODELYARD_API_KEY"):
        return Profile(url=found_url, api_key=variables["MODELYARD_API_KEY"], source="MODELYARD_API_KEY")
    if kept and kept.api_key and _same(kept.url, found_url):
        return Profile(url=found_url, api_key=kept.api_key, source=str(location()))
    return Profile(url=found_url)


def location() -> Path:
    """Where the profile is kept."""
    return Path.home() / ".config" / "modelyard" / "config.toml"


def read() -> Profile | None:
    """What is kept, None where nothing is. Raises Malformed, Forbidden."""
    path = location()
    try:
        found = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return None
    except PermissionError:
        raise Forbidden(f"{path} may not be read. Change its owner, or log in again: `modelyard login`.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"{path} cannot be read: {error}. Log in again: `modelyard login`.") from None
    url, key = found.get("url"), found.get("api_key")
    return Profile(url=url if isinstance(url, str) else DEFAULT_URL, api_key=key if isinstance(key, str) else None)


def keep(url: str, api_key: str | None) -> Path:
    """Write the profile, for its owner's eyes only; where it is now."""
    path = location()
    lines = [f"url = {json.dumps(url)}", *([f"api_key = {json.dumps(api_key)}"] if api_key else [])]
    draft = path.with_suffix(".draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines) + "\n")
        draft.replace(path)
    except OSError as error:
        raise Forbidden(f"{path} cannot be written: {error.strerror}.") from None
    return path


def _same(one: str, other: str) -> bool:
    return one.rstrip("/").lower() == other.rstrip("/").lower()
