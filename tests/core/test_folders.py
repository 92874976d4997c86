"""Private folders, also where others can be first to take a name."""

import os
from pathlib import Path

import pytest

from modelyard.core.errors import Broken, Forbidden
from modelyard.core.folders import make_private


def test_a_missing_folder_is_made_for_its_owner_only(tmp_path: Path):
    assert make_private(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert make_private(tmp_path / "a" / "b").is_dir()


def test_a_file_or_a_link_in_the_way_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(Broken, match="in the way"):
            make_private(tmp_path / name)


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path):
    theirs = Path("/")
    if os.getuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        os.chown(theirs, 12345, 12345)
    with pytest.raises(Forbidden, match="another user"):
        make_private(theirs)
