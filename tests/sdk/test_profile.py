"""Profiles: where they are found, what they hold, and what is refused."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from sdk.errors import ConfigurationError
from sdk.profile import PROFILE_VARIABLE, find_profile, load_profile
from sdk.resolve import connect

MEMBERS = {
    "registry": "http://127.0.0.1:8700",
    "principal": "demo/app",
    "credential": "imp_secret",
    "trust_root": "../trust-root.json",
    "signing_key": "../keys/app.pem",
}


def write(path: Path, **changes: str | None) -> Path:
    members = {name: value for name, value in (MEMBERS | changes).items() if value is not None}
    path.write_text("".join(f'{name} = "{value}"\n' for name, value in members.items()))
    path.chmod(0o600)
    return path


class TestFinding:
    def test_an_explicit_path_wins(self) -> None:
        for path in (Path("a.toml"), "a.toml"):
            assert find_profile(path, environment={PROFILE_VARIABLE: "b.toml"}) == Path("a.toml")

    def test_then_the_environment(self) -> None:
        assert find_profile(environment={PROFILE_VARIABLE: "b.toml"}) == Path("b.toml")

    def test_then_the_home_folder(self) -> None:
        assert find_profile(environment={}) == Path.home() / ".config/imprimatur/profile.toml"


class TestReading:
    def test_paths_are_relative_to_the_file(self, tmp_path: Path) -> None:
        profile = load_profile(write(tmp_path / "app.toml", base_model="/models/mini"))
        assert profile.trust_root == tmp_path / "../trust-root.json"
        assert profile.need("base_model") == Path("/models/mini")
        assert profile.principal == "demo/app"

    def test_proxy_authorities_and_patience_reach_the_connection(self, tmp_path: Path) -> None:
        path = write(tmp_path / "app.toml", registry="https://registry.test", proxy="http://proxy.test:3128")
        path.write_text(path.read_text() + "timeout_seconds = 2.5\n")
        with connect(load_profile(path)) as client:
            http = client._registry._http
            assert http.timeout == httpx.Timeout(2.5)
            carrier = http._transport_for_url(httpx.URL("https://registry.test/v1/whoami"))
            assert carrier._pool._proxy_url.host == b"proxy.test"
        with pytest.raises(ConfigurationError, match="no certificates can be read"):
            connect(load_profile(write(tmp_path / "other.toml", ca_file="none.pem")))

    @pytest.mark.parametrize("seconds", ["0", "-1", "true", '"5"', "inf", "nan"])
    def test_patience_is_a_number_above_zero(self, tmp_path: Path, seconds: str) -> None:
        path = write(tmp_path / "app.toml")
        path.write_text(path.read_text() + f"timeout_seconds = {seconds}\n")
        with pytest.raises(ConfigurationError, match="timeout_seconds"):
            load_profile(path)

    def test_credential_is_not_shown(self, tmp_path: Path) -> None:
        assert "imp_secret" not in repr(load_profile(write(tmp_path / "app.toml")))

    def test_names_what_a_command_needs_and_the_profile_lacks(self, tmp_path: Path) -> None:
        profile = load_profile(write(tmp_path / "app.toml", signing_key=None))
        with pytest.raises(ConfigurationError, match="'signing_key'"):
            profile.need("signing_key")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"credential": None}, r"lacks \['credential'\]"),
            ({"colour": "red"}, r"unknown \['colour'\]"),
            ({"principal": "nobody"}, "principal id"),
            ({"registry": ""}, "not empty"),
        ],
    )
    def test_refuses_what_does_not_fit(self, tmp_path: Path, changes: dict[str, str | None], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            load_profile(write(tmp_path / "app.toml", **changes))

    def test_refuses_a_value_that_is_no_text(self, tmp_path: Path) -> None:
        path = write(tmp_path / "app.toml")
        path.write_text(path.read_text() + "trainer = 8701\n")
        with pytest.raises(ConfigurationError, match="a text"):
            load_profile(path)

    def test_refuses_a_file_that_others_may_read(self, tmp_path: Path) -> None:
        path = write(tmp_path / "app.toml")
        path.chmod(0o640)
        with pytest.raises(ConfigurationError, match="chmod 600"):
            load_profile(path)

    def test_says_how_to_get_one_when_there_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="imprimatur init"):
            load_profile(tmp_path / "none.toml")

    @pytest.mark.parametrize("content", [b"a = ", b"\xff"])
    def test_refuses_what_is_not_toml(self, tmp_path: Path, content: bytes) -> None:
        path = write(tmp_path / "app.toml")
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="not TOML"):
            load_profile(path)
