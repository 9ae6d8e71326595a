"""Key-encryption keys by their name: what Vault wraps, and another key for what is wrapped already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.registry import make_test_registry
from support.vault_transit import Transit, vault_transit
from support.versions import Steps, accepted, refused
from typer.testing import CliRunner

from registry.cli import commands, supervisor
from registry.cli.workspace import open_workspace
from registry.key_services import open_key_wrapper
from registry.runtime import Runtime
from registry.sealing import AesKeyWrapper, WrappedKey, write_key_file
from registry.settings import read_settings
from registry.vault import FolderKeyVault, VaultKeyWrapper, rewrap
from sdk.errors import ConfigurationError, ServiceError, ServiceUnavailable
from sdk.signing.remote import EXTRAS
from sdk.spec.digest import Digest

DATA_KEY = b"k" * 32


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Transit]:
    with vault_transit(monkeypatch) as made:
        made.sealing = {"imprimatur": bytes(32), "other": bytes(32)}
        yield made


class TestVault:
    def test_wraps_a_key_that_opens_only_as_what_it_is_about(self, vault: Transit) -> None:
        wrapper = open_key_wrapper("hv:imprimatur")
        key = wrapper.wrap(DATA_KEY, b"schl\xc3\xbcssel")
        assert wrapper.unwrap(key, b"schl\xc3\xbcssel") == DATA_KEY
        assert (DATA_KEY in key.wrapped, vault.calls) == (False, ["encrypt", "decrypt"])
        with pytest.raises(ServiceUnavailable, match="message authentication failed"):
            wrapper.unwrap(key, b"another")

    def test_key_of_another_name_is_not_asked(self, vault: Transit) -> None:
        key = open_key_wrapper("hv:imprimatur").wrap(DATA_KEY, b"x")
        with pytest.raises(ServiceError, match="imprimatur registry rewrap"):
            open_key_wrapper("hv:other").unwrap(key, b"x")

    def test_service_that_is_away_is_said(self, vault: Transit, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
        with pytest.raises(ServiceUnavailable, match="hv:imprimatur did not answer"):
            open_key_wrapper("hv:imprimatur").wrap(DATA_KEY, b"x")

    def test_artefacts_of_a_registry_open_through_it_and_only_through_it(
        self, database_url: str, vault: Transit, tmp_path: Path
    ) -> None:
        def through_vault(runtime: Runtime) -> Runtime:
            wrapper = VaultKeyWrapper(open_key_wrapper("hv:imprimatur"), FolderKeyVault(tmp_path / "vault"))
            return replace(runtime, key_wrapper=wrapper)

        with make_test_registry(database_url, change=through_vault) as registry:
            version = Steps(registry).approved(embedding=b"learned")
            grant = accepted(Steps(registry).compose(version))
            artefact = f"/v1/generations/{grant['id']}/artefacts/{Digest.of(version.embedding)}"
            assert registry.client("app").get(artefact).content == version.embedding
            vault.sealing.clear()
            refused(registry.client("app").get(artefact), 503, "service.unavailable")


class TestNames:
    @pytest.mark.parametrize("key", ["awskms:alias/x", "hv:", "gopher://x"])
    def test_unknown_services_are_refused(self, key: str) -> None:
        with pytest.raises(ConfigurationError, match="a file, or begin with hv:"):
            open_key_wrapper(key)

    def test_missing_library_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "hvac", None)
        with pytest.raises(ConfigurationError, match=rf"imprimatur\[{EXTRAS['hv']}\]"):
            open_key_wrapper("hv:imprimatur")

    @pytest.mark.parametrize(("given", "read"), [("kek.key", "{}/kek.key"), ("hv:imprimatur", "hv:imprimatur")])
    def test_setting_is_a_file_beside_the_settings_or_a_uri(self, given: str, read: str, tmp_path: Path) -> None:
        (tmp_path / "imprimatur.toml").write_text(f'[registry]\nkey_encryption_key = "{given}"\n')
        assert read_settings(tmp_path / "imprimatur.toml", {}).key_encryption_key == read.format(tmp_path)


class TestRewrap:
    def test_every_half_is_wrapped_anew_and_the_rows_stay(self, vault: Transit, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no key can be written to"):
            write_key_file(tmp_path / "none" / "kek.key")
        write_key_file(tmp_path / "kek.key")
        old, new, held = (
            open_key_wrapper(str(tmp_path / "kek.key")),
            open_key_wrapper("hv:imprimatur"),
            tmp_path / "vault",
        )
        folder = FolderKeyVault(held)
        keys = [VaultKeyWrapper(old, folder).wrap(DATA_KEY, b"x") for _ in range(3)]
        assert [rewrap(folder, old, new) for _ in range(2)] == [3, 0]
        (tmp_path / "kek.key").unlink()
        assert [VaultKeyWrapper(new, folder).unwrap(key, b"x") for key in keys] == [DATA_KEY] * 3
        assert sum(path.is_file() for path in held.rglob("*")) == 3

    def test_goes_on_where_it_was_stopped(self, tmp_path: Path) -> None:
        old, new, folder = AesKeyWrapper(lambda: bytes(32)), AesKeyWrapper(lambda: b"n" * 32), FolderKeyVault(tmp_path)
        keys = [VaultKeyWrapper(each, folder).wrap(DATA_KEY, b"x") for each in (old, new, old)]
        assert rewrap(folder, old, new) == 2
        assert [VaultKeyWrapper(new, folder).unwrap(key, b"x") for key in keys] == [DATA_KEY] * 3

    def test_is_a_command_for_a_workspace_that_is_down(self, vault: Transit, tmp_path: Path) -> None:
        (tmp_path / "imprimatur.toml").write_text("[registry]\n")
        (tmp_path / "keys").mkdir()
        write_key_file(tmp_path / "keys" / "key-encryption.key")
        before = open_key_wrapper(str(tmp_path / "keys" / "key-encryption.key"))
        key = VaultKeyWrapper(before, FolderKeyVault(tmp_path / "keys" / "vault")).wrap(DATA_KEY, b"x")
        for to, says in (("keys/next.key", "wrapped 1 keys"), ("keys/key-encryption.key", "is the key-encryption key")):
            done = CliRunner().invoke(commands, ["registry", "rewrap", str(tmp_path), to])
            assert says in done.output + str(done.exception)
        after = open_key_wrapper(str(tmp_path / "keys" / "next.key"))
        assert VaultKeyWrapper(after, FolderKeyVault(tmp_path / "keys" / "vault")).unwrap(key, b"x") == DATA_KEY
        with supervisor._lock(open_workspace(tmp_path)):
            done = CliRunner().invoke(commands, ["registry", "rewrap", str(tmp_path), "hv:imprimatur"])
        assert "is up" in str(done.exception)

    def test_half_from_before_halves_named_their_key_opens(self, tmp_path: Path) -> None:
        old, new, folder = AesKeyWrapper(lambda: bytes(32)), AesKeyWrapper(lambda: b"n" * 32), FolderKeyVault(tmp_path)
        key = VaultKeyWrapper(old, folder).wrap(DATA_KEY, b"x")
        (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
        path.write_bytes(path.read_bytes()[33:])
        assert VaultKeyWrapper(old, folder).unwrap(key, b"x") == DATA_KEY
        assert rewrap(folder, old, new) == 1
        assert VaultKeyWrapper(new, folder).unwrap(key, b"x") == DATA_KEY

    def test_damaged_half_is_said(self, tmp_path: Path) -> None:
        wrapper = VaultKeyWrapper(AesKeyWrapper(lambda: bytes(32)), FolderKeyVault(tmp_path))
        key: WrappedKey = wrapper.wrap(DATA_KEY, b"x")
        (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
        path.write_bytes(b"\x00" + path.read_bytes()[1:])
        with pytest.raises(ServiceError, match="damaged"):
            wrapper.unwrap(key, b"x")
