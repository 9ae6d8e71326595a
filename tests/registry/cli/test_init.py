"""Making a workspace: complete, private, consistent in itself; never over something, never half."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from registry.cli import init, postgres
from registry.cli.init import Plan, create_workspace
from registry.cli.serving import open_runtime, read_trust_root, require_own_database, workspace_settings
from registry.cli.workspace import KEY_ROLES, PRINCIPALS, Address, Workspace, open_workspace, trainer_address
from registry.log.proofs import receipts
from sdk.errors import ConfigurationError
from sdk.profile import load_profile
from sdk.signing.signer import load_key_file
from sdk.signing.trust import TrustRole, verify_trust_root
from sdk.spec.ids import TenantName
from sdk.spec.log_entry import parse_log_entry

pytestmark = pytest.mark.long
REGISTRY, TRAINER = Address(host="127.0.0.1", port=18710), Address(host="127.0.0.1", port=18711)
PLAN = Plan(tenant=TenantName("studio"), registry=REGISTRY, trainer=TRAINER)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that the database's own user may pass through."""
    with tempfile.TemporaryDirectory(prefix="imprimatur-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name) / "ws"


@pytest.fixture(scope="module")
def made() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="imprimatur-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        base_model = Path(name) / "base model"
        base_model.mkdir()
        yield create_workspace(
            Path(name) / "ws",
            Plan(tenant=TenantName("studio"), registry=REGISTRY, trainer=TRAINER, base_model=base_model),
        )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestWorkspace:
    def test_has_a_trust_root_signed_by_its_root_key(self, made: Workspace) -> None:
        envelope = read_trust_root(made.trust_root)
        root = verify_trust_root(envelope, now=datetime.now(UTC))
        assert {key.holder: key.role for key in root.keys.values()} == {
            f"studio/{name}": role for name, role in KEY_ROLES.items() if role is not None
        }
        (authority,) = root.credential_authorities
        assert x509.load_pem_x509_certificate(authority.encode()).subject

    def test_trusts_exactly_the_keys_that_lie_in_it_and_not_the_trainers(self, made: Workspace) -> None:
        root = verify_trust_root(read_trust_root(made.trust_root), now=datetime.now(UTC))
        keyids = {name: load_key_file(made.key(name)).keyid for name in KEY_ROLES}
        assert root.keys.keys() == {keyid for name, keyid in keyids.items() if KEY_ROLES[name]}
        assert keyids["reviewer"] in root.keys_for(TrustRole.APPROVAL)

    def test_keeps_secrets_to_its_owner(self, made: Workspace) -> None:
        secrets = [made.key_encryption_key, *made.keys.rglob("*.pem"), *made.profiles.glob("*.toml")]
        assert len(secrets) == 1 + len(KEY_ROLES) + 2 + len(PRINCIPALS)
        assert {mode(path) for path in secrets} == {0o600}
        assert {mode(path) for path in made.private_folders} == {0o700}
        assert mode(made.database) == 0o700

    def test_gives_everybody_a_profile_that_loads(self, made: Workspace) -> None:
        for name in PRINCIPALS:
            profile = load_profile(made.profile(name))
            assert (profile.principal, profile.registry, profile.trainer) == (
                f"studio/{name}",
                str(REGISTRY),
                str(TRAINER),
            )
            if name in KEY_ROLES:  # an administrator signs nothing
                assert profile.need("signing_key").samefile(made.key(name))
            assert profile.trust_root.samefile(made.trust_root)
            assert profile.need("tuf_root").samefile(made.tuf / "root.json")
            assert profile.need("base_model") == made.root.parent / "base model"
            assert (profile.content_credentials is not None) == (name in ("app", "training-service"))

    def test_has_an_open_log_with_every_credential_and_nothing_running(self, made: Workspace) -> None:
        assert postgres.running(made.database) is None
        with pytest.raises(ConfigurationError, match="imprimatur up"):
            workspace_settings(made)
        made.database_url.write_text(postgres.start(made.database))
        try:
            with open_runtime(workspace_settings(made)) as runtime:
                require_own_database(runtime)
                with runtime.transaction() as session:
                    entries = [
                        parse_log_entry(proof.entry) for proof in receipts(session, runtime, range(len(PRINCIPALS) + 1))
                    ]
        finally:
            postgres.stop(made.database)
            made.database_url.unlink()
        assert [entry.event for entry in entries] == ["log:opened"] + ["credential:issued"] * len(PRINCIPALS)
        assert entries[0].evidence["trust_root"] == read_trust_root(made.trust_root).digest

    def test_says_where_the_services_listen(self, made: Workspace) -> None:
        assert open_workspace(made.root) == made
        assert trainer_address(made) == TRAINER

    def test_is_not_any_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="is no workspace"):
            open_workspace(tmp_path)


class TestRefusal:
    def test_of_a_folder_that_holds_anything_touches_nothing(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "mine").write_text("mine")
        with pytest.raises(ConfigurationError, match="is not empty"):
            create_workspace(folder, PLAN)
        assert [path.name for path in folder.iterdir()] == ["mine"]

    def test_of_a_second_workspace_touches_nothing(self, made: Workspace) -> None:
        before = {path: path.read_bytes() for path in made.root.rglob("*") if path.is_file()}
        with pytest.raises(ConfigurationError, match="is not empty"):
            create_workspace(made.root, PLAN)
        assert {path: path.read_bytes() for path in made.root.rglob("*") if path.is_file()} == before

    def test_of_a_file(self, folder: Path) -> None:
        folder.touch()
        with pytest.raises(ConfigurationError, match="is a file"):
            create_workspace(folder, PLAN)

    def test_of_a_base_model_that_is_not_there(self, folder: Path) -> None:
        plan = Plan(tenant=PLAN.tenant, registry=REGISTRY, trainer=TRAINER, base_model=folder / "nowhere")
        with pytest.raises(ConfigurationError, match="nowhere"):
            create_workspace(folder, plan)
        assert not folder.exists()

    def test_of_a_path_the_database_cannot_bear(self, folder: Path) -> None:
        with pytest.raises(ConfigurationError, match="its path contains ' '"):
            create_workspace(folder.with_name("my workspace"), PLAN)
        assert not folder.with_name("my workspace").exists()

    @pytest.mark.parametrize("existed", [False, True])
    def test_leaves_nothing_half_made(self, folder: Path, monkeypatch: pytest.MonkeyPatch, existed: bool) -> None:
        def fail(*_: object) -> str:
            raise OSError("disk full")

        if existed:
            folder.mkdir()
        monkeypatch.setattr(init, "_profile", fail)  # after keys, trust root and database
        with pytest.raises(OSError, match="disk full"):
            create_workspace(folder, PLAN)
        assert folder.exists() == existed
        assert not existed or os.listdir(folder) == []


class TestServing:
    def test_refuses_the_database_of_another_workspace(self, made: Workspace, folder: Path) -> None:
        other = create_workspace(folder, PLAN)
        other.database_url.write_text(postgres.start(made.database))
        try:
            settings = workspace_settings(other)
            with open_runtime(settings) as runtime, pytest.raises(ConfigurationError, match="do not fit"):
                require_own_database(runtime)
        finally:
            postgres.stop(made.database)
