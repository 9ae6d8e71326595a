"""What the trainer reads from a workspace, and what it refuses to guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk.errors import ConfigurationError
from trainer.settings import SHIPPED_BASE_MODEL, SHIPPED_IMAGE_ENCODER, TrainerSettings, read_settings

URL = "postgresql://me@/db?host=/run/pg"


def workspace(directory: Path, text: str = "", url: str | None = URL) -> Path:
    (directory / "imprimatur.toml").write_text(text)
    if url:
        (directory / "postgres").mkdir()
        (directory / "postgres" / "url").write_text(url + "\n")
    return directory


class TestReadSettings:
    def test_needs_nothing_but_a_workspace_that_is_up(self, tmp_path: Path) -> None:
        settings = read_settings(workspace(tmp_path), {})
        assert settings == TrainerSettings(directory=tmp_path, database_url=URL)
        assert settings.base_model == SHIPPED_BASE_MODEL

    def test_reads_both_tables(self, tmp_path: Path) -> None:
        text = f'[registry]\ndatabase_url = "{URL}"\n[trainer]\nport = 9001\nmax_picture_bytes = 5\n'
        settings = read_settings(workspace(tmp_path, text, url=None), {})
        assert (settings.database_url, settings.port, settings.max_picture_bytes) == (URL, 9001, 5)

    def test_reads_a_relative_base_model_from_the_workspace(self, tmp_path: Path) -> None:
        settings = read_settings(workspace(tmp_path, '[trainer]\nbase_model = "models/sd"\n'), {})
        assert settings.base_model == tmp_path / "models" / "sd"

    def test_takes_an_empty_base_model_for_none_given(self, tmp_path: Path) -> None:
        assert read_settings(workspace(tmp_path, '[trainer]\nbase_model = ""\n'), {}).base_model == SHIPPED_BASE_MODEL

    def test_measures_with_what_ships_beside_the_base_model_in_use(self, tmp_path: Path) -> None:
        assert TrainerSettings(directory=tmp_path, database_url=URL).likeness_encoder == SHIPPED_IMAGE_ENCODER
        another = TrainerSettings(directory=tmp_path, database_url=URL, base_model=tmp_path / "sd")
        assert another.likeness_encoder is None

    def test_reads_a_relative_image_encoder_from_the_workspace(self, tmp_path: Path) -> None:
        settings = read_settings(workspace(tmp_path, '[trainer]\nimage_encoder = "models/clip"\n'), {})
        assert settings.likeness_encoder == tmp_path / "models" / "clip"

    def test_prefers_environment_to_file_and_file_to_embedded(self, tmp_path: Path) -> None:
        text = '[registry]\ndatabase_url = "postgresql://file/db"\n'
        directory = workspace(tmp_path, text)
        assert read_settings(directory, {}).database_url == "postgresql://file/db"
        environment = {"DATABASE_URL": "postgresql://environment/db"}
        assert read_settings(directory, environment).database_url == "postgresql://environment/db"

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("[trainer]\nprot = 1\n", "has no setting 'prot'"),
            ('[trainer]\nport = "8701"\n', "port should be a number"),
            ("[trainer]\nport = 0\n", "port should be a number above 0"),
            ("[trainer]\nport = true\n", "port should be a number"),
            ("[trainer]\nmax_attempts = 1.5\n", "max_attempts should be a number"),
            ("[trainer]\nhost = 1\n", "host should be a text"),
            ("[trainer]\nupkeep_seconds = 7\n", "should divide 60"),
            ("[trainer]\ndirectory = 'x'\n", "has no setting 'directory'"),
            ("trainer = 1\n", "should be a table"),
            ("[trainer\n", "is not TOML"),
        ],
    )
    def test_names_what_it_cannot_use(self, tmp_path: Path, text: str, fault: str) -> None:
        with pytest.raises(ConfigurationError, match=fault):
            read_settings(workspace(tmp_path, text), {})

    def test_says_how_to_make_a_workspace(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="imprimatur init"):
            read_settings(tmp_path / "nowhere", {})

    def test_says_how_to_start_the_database(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="imprimatur up"):
            read_settings(workspace(tmp_path, url=None), {})


class TestDatabaseUrl:
    def test_names_its_driver_for_sqlalchemy_and_none_for_libpq(self, tmp_path: Path) -> None:
        settings = TrainerSettings(directory=tmp_path, database_url="postgresql://me:secret@host/db?host=/run/pg")
        assert settings.driver_url.startswith("postgresql+psycopg://me:secret@host/db")
        assert settings.libpq_url.startswith("postgresql://me:secret@host/db")

    @pytest.mark.parametrize("url", ["sqlite://secret", "no url: secret"])
    def test_is_postgresql_and_is_never_repeated(self, tmp_path: Path, url: str) -> None:
        settings = TrainerSettings(directory=tmp_path, database_url=url)
        with pytest.raises(ConfigurationError) as refusal:
            _ = settings.driver_url
        assert "secret" not in refusal.value.message
