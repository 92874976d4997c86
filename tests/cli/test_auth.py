"""`modelyard login`, `whoami`, `key`."""

import io

import pytest


def test_a_login_with_a_password_keeps_a_new_key_for_its_owner_alone(bare, api_url, login, home):
    ran = bare("login", api_url, "--username", login["username"], "--password", login["password"])
    assert ran.code == 0, ran.err
    kept = home / ".config" / "modelyard" / "config.toml"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert login["password"] not in kept.read_text()
    assert login["api_key"] not in kept.read_text()
    me = bare("whoami", "--json").json
    assert (me["url"], me["username"], me["api_key"] is not None) == (api_url, "admin", True)
    assert any(row[1].startswith("command line on") for row in bare("key", "list").rows)


def test_a_login_asks_for_what_is_missing(bare, api_url, login, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: login["password"])
    monkeypatch.setattr("sys.stdin", io.StringIO(f"admin\n{login['password']}\n"))
    ran = bare("login", api_url)
    assert ran.code == 0, ran.err
    assert bare("whoami").code == 0


def test_a_login_with_a_key_keeps_that_key(bare, api_url, login, home):
    assert bare("login", api_url, "--api-key", login["api_key"]).code == 0
    assert login["api_key"] in (home / ".config" / "modelyard" / "config.toml").read_text()
    assert "user      admin" in bare("whoami").out


@pytest.mark.parametrize("wrong", [("--username", "admin", "--password", "no"), ("--api-key", "my_no")])
def test_a_login_that_fails_keeps_nothing(bare, api_url, home, wrong):
    ran = bare("login", api_url, *wrong)
    assert ran.code == 4
    assert not (home / ".config").exists()


def test_a_login_says_when_the_environment_goes_before_it(bare, api_url, login, monkeypatch):
    monkeypatch.setenv("MODELYARD_API_KEY", "my_other")
    ran = bare("login", api_url, "--api-key", login["api_key"])
    assert (ran.code, "goes before" in ran.err) == (0, True)


def test_flags_go_before_the_environment(bare, api_url, login, monkeypatch):
    monkeypatch.setenv("MODELYARD_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELYARD_API_KEY", "my_none")
    assert bare("--url", api_url, "--api-key", login["api_key"], "whoami").code == 0


def test_without_a_credential_it_says_how_to_get_one(bare, api_url):
    ran = bare("--url", api_url, "whoami")
    assert ran.code == 4
    assert "error:" in ran.err


def test_a_key_is_all_that_create_writes_to_standard_output(at_api, bare, api_url):
    made = at_api("key", "create", "--read-only", "--prefix", "sales", "--expires", "30d")
    text = made.out.strip()
    assert made.out == f"{text}\n"
    assert text.startswith("my_")
    assert text not in made.err
    ran = bare("--url", api_url, "--api-key", text, "whoami", "--json")
    assert (ran.json["read_only"], ran.json["prefixes"]) == (True, ["sales"])
    refused = bare("--url", api_url, "--api-key", text, "dataset", "create", "mine")
    assert refused.code == 4


def test_a_revoked_key_is_refused(at_api, bare, api_url):
    made = at_api("key", "create", "--name", "short", "--json").json
    assert at_api("key", "revoke", made["id"]).code == 0
    assert bare("--url", api_url, "--api-key", made["key"], "whoami").code == 4
    assert at_api("key", "revoke", "key_none").code == 3


def test_an_expiry_that_is_no_duration_is_a_usage_error(at_api):
    ran = at_api("key", "create", "--expires", "soon")
    assert (ran.code, "30d" in ran.err) == (2, True)
