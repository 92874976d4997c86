"""Which platform and whose key: arguments, then the environment, then what a login kept."""

import pytest

from modelyard.core.errors import Malformed
from modelyard.sdk import profile
from modelyard.sdk.profile import DEFAULT_URL, Profile


def test_without_anything_it_is_this_machine_s_usual_port():
    assert profile.resolve() == Profile(url=DEFAULT_URL)


def test_what_is_kept_is_only_for_its_owner_s_eyes_and_comes_back():
    path = profile.keep("https://models.example.org", 'my_"quoted"\\key')
    assert path.stat().st_mode & 0o777 == 0o600
    assert profile.read() == Profile(url="https://models.example.org", api_key='my_"quoted"\\key')
    assert profile.resolve().source == str(path)


def test_keeping_again_replaces():
    profile.keep("https://one.example.org", "my_1")
    path = profile.keep("https://two.example.org", None)
    assert profile.read() == Profile(url="https://two.example.org")
    assert list(path.parent.iterdir()) == [path]


def test_the_environment_goes_before_what_is_kept_and_arguments_before_both(monkeypatch):
    profile.keep("https://kept.example.org", "my_kept")
    monkeypatch.setenv("MODELYARD_URL", "https://set.example.org")
    monkeypatch.setenv("MODELYARD_API_KEY", "my_set")
    assert (profile.resolve().url, profile.resolve().api_key) == ("https://set.example.org", "my_set")
    given = profile.resolve("https://given.example.org", "my_given")
    assert (given.url, given.api_key, given.source) == ("https://given.example.org", "my_given", "arguments")


def test_a_kept_key_is_sent_to_its_own_platform_only(monkeypatch):
    profile.keep("https://kept.example.org", "my_kept")
    assert profile.resolve("https://kept.example.org/").api_key == "my_kept"
    assert profile.resolve("https://other.example.org").api_key is None
    monkeypatch.setenv("MODELYARD_URL", "https://other.example.org")
    assert profile.resolve().api_key is None


@pytest.mark.parametrize("content", ["url = ", "\x00", "[[["])
def test_a_damaged_file_says_what_to_do(content):
    path = profile.keep("https://kept.example.org", "my_kept")
    path.write_text(content)
    with pytest.raises(Malformed, match="modelyard login"):
        profile.resolve()
