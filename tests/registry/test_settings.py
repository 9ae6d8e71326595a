"""Settings: what the file says, what wins, and what is refused by name."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from registry.settings import Settings, read_settings
from sdk.errors import ConfigurationError


def write(folder: Path, text: str) -> Path:
    path = folder / "imprimatur.toml"
    path.write_text(text)
    return path


class TestReadSettings:
    def test_takes_defaults_for_what_is_not_said(self, tmp_path: Path) -> None:
        settings = read_settings(write(tmp_path, ""), {})
        assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 8700, "")

    def test_paths_are_relative_to_the_file(self, tmp_path: Path) -> None:
        settings = read_settings(write(tmp_path, '[registry]\nlog_key = "k/log.pem"'), {})
        assert settings.log_key == tmp_path / "k/log.pem"
        assert settings.blobs == str(tmp_path / "blobs")

    def test_an_object_store_is_taken_as_it_is(self, tmp_path: Path) -> None:
        assert read_settings(write(tmp_path, '[registry]\nblobs = "s3://b/p"'), {}).blobs == "s3://b/p"

    def test_the_environment_wins_over_the_database_url_of_the_file(self, tmp_path: Path) -> None:
        path = write(tmp_path, '[registry]\ndatabase_url = "postgresql:///file"')
        assert read_settings(path, {"DATABASE_URL": "postgresql:///env"}).database_url == "postgresql:///env"
        assert read_settings(path, {}).database_url == "postgresql:///file"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[registry]\nprot = 1", "no setting 'prot'"),
            ("[registry]\nport = '8700'", "port should be a whole number above 0"),
            ("[registry]\nport = true", "port should be a whole number above 0"),
            ("[registry]\nport = 0", "port should be a whole number above 0"),
            ("[registry]\nhost = 1", "host should be a text"),
            ("registry = 1", "'registry' should be a table"),
            ("[registry", "is not TOML"),
        ],
    )
    def test_refuses_by_name(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            read_settings(write(tmp_path, text), {})

    def test_says_how_to_make_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="imprimatur init"):
            read_settings(tmp_path / "imprimatur.toml", {})


class TestSettings:
    def test_every_limit_states_its_unit(self) -> None:
        source = Path(read_settings.__code__.co_filename).read_text()
        limits = [field.name for field in fields(Settings) if field.type == "int" and field.name != "port"]
        assert limits
        assert [name for name in limits if not re.search(rf"^    {name}: int = .*  # \w+", source, re.MULTILINE)] == []
