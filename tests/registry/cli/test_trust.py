"""The trust root of a workspace: the next one is signed by the root key, and clients follow it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from support.credentials import PICTURE, concept_use
from typer.testing import CliRunner

from registry.cli import commands
from registry.cli.authorities import AuthorityUse, add_authority
from registry.cli.init import Plan, create_workspace
from registry.cli.serving import open_runtime, read_trust_root
from registry.cli.trust import publish_now, renew, replace_root, rotate_root
from registry.cli.workspace import Address, Workspace
from registry.settings import SHIPPED_POLICIES, Settings
from sdk.credentials.authority import create_authority
from sdk.credentials.mark import encode_png, mark_image
from sdk.credentials.read import verify_credentials
from sdk.credentials.signer import load_credential_signer
from sdk.errors import ConfigurationError, Conflict, InputError, NotFound, TrustRootInvalid
from sdk.policy.bundle import load_bundle
from sdk.signing.public_keys import encode_public_key
from sdk.signing.signer import generate_key_file, load_key_file
from sdk.signing.trust import TrustRole, TrustRoot, verify_trust_root
from sdk.signing.tuf_client import POLICIES_TARGET, TRUST_ROOT_TARGET, fetch_target
from sdk.spec.api import PolicyBundleView
from sdk.spec.canonical import parse_wire
from sdk.spec.ids import TenantName


@pytest.fixture(scope="module")
def made() -> Iterator[Workspace]:
    yield from new_workspace()


@pytest.fixture
def own() -> Iterator[Workspace]:
    """A workspace for one test: what it changes, others would meet."""
    yield from new_workspace()


def new_workspace() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="imprimatur-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        addresses = [Address(host="127.0.0.1", port=port) for port in (18730, 18731)]
        plan = Plan(tenant=TenantName("studio"), registry=addresses[0], trainer=addresses[1])
        yield create_workspace(Path(name) / "ws", plan)


def trusted(workspace: Workspace, previous: TrustRoot | None = None) -> TrustRoot:
    return verify_trust_root(read_trust_root(workspace.trust_root), now=datetime.now(UTC), previous=previous)


def settings_of(workspace: Workspace) -> Settings:
    return replace(
        Settings(),
        database_url="postgresql://nobody@127.0.0.1:1/none",
        blobs=str(workspace.root / "blobs"),
        log_key=workspace.key("log"),
        status_key=workspace.key("status"),
        decision_key=workspace.key("decision"),
        key_encryption_key=str(workspace.key_encryption_key),
        trust_root=workspace.trust_root,
    )


class TestRenew:
    def test_is_followed_by_who_knew_the_one_before(self, made: Workspace) -> None:
        before = trusted(made)
        done = renew(made)
        after = trusted(made, before)
        assert (after.version, after.keys, done.new_keys) == (before.version + 1, before.keys, ())
        assert after.expires_at > before.expires_at

    @pytest.mark.parametrize("role", [TrustRole.STATUS, TrustRole.DECISION])
    def test_gives_a_workspace_from_before_there_was_a_key_that_key(self, made: Workspace, role: TrustRole) -> None:
        def without_it(root: TrustRoot) -> TrustRoot:
            kept = {keyid: key for keyid, key in root.keys.items() if key.role is not role}
            return root.model_copy(update={"keys": kept})

        old = replace_root(made, without_it)
        made.key(role.value).unlink()
        with pytest.raises(ConfigurationError, match="imprimatur trust renew"), open_runtime(settings_of(made)):
            pass
        assert renew(made).new_keys == (role.value,)
        assert trusted(made, old).keys_for(role)
        assert made.key(role.value).stat().st_mode & 0o777 == 0o600
        with open_runtime(settings_of(made)) as runtime:
            signers = {TrustRole.STATUS: runtime.status_signer, TrustRole.DECISION: runtime.decision_signer}
            assert signers[role].keyid in runtime.trust_root.keys_for(role)

    def test_mends_a_trust_root_whose_term_is_over(self, made: Workspace) -> None:
        def over(root: TrustRoot) -> TrustRoot:
            return root.model_copy(update={"expires_at": datetime.now(UTC) + timedelta(seconds=1)})

        replace_root(made, over)
        with pytest.raises(TrustRootInvalid, match="expired"):
            verify_trust_root(read_trust_root(made.trust_root), now=datetime.now(UTC) + timedelta(seconds=2))
        renew(made)
        assert trusted(made).expires_at > datetime.now(UTC) + timedelta(days=365)

    def test_needs_the_root_key_that_clients_know(self, made: Workspace, tmp_path: Path) -> None:
        before = made.trust_root.read_bytes()
        generate_key_file(tmp_path / "other.pem")
        with pytest.raises(ConfigurationError, match="is no root key of"):
            renew(made, [tmp_path / "other.pem"])
        with pytest.raises(ConfigurationError, match="no signing key can be read"):
            renew(made, [tmp_path / "nowhere.pem"])
        assert made.trust_root.read_bytes() == before

    def test_is_a_command_and_so_is_looking(self, made: Workspace) -> None:
        version = trusted(made).version
        done = CliRunner().invoke(commands, ["trust", "renew", str(made.root)])
        assert f"trust root version {version + 1}" in done.output
        shown = CliRunner().invoke(commands, ["trust", "show", str(made.root)])
        assert "studio/reviewer" in shown.output
        assert all(keyid[:16] in shown.output for keyid in trusted(made).keys)


class TestKeys:
    def invoke(self, *words: str) -> Result:
        return CliRunner().invoke(commands, ["trust", *words])

    def test_a_key_is_revoked_by_its_last_entry(self, made: Workspace) -> None:
        before, keyid = trusted(made), load_key_file(made.key("reviewer")).keyid
        done = self.invoke("revoke-key", str(made.root), keyid[:12], "--last-entry", "41")
        assert "counts up to entry 41, and no further" in done.output
        after = trusted(made, before)
        assert after.keys[keyid].last_entry == 41
        assert keyid not in after.keys_for(TrustRole.APPROVAL)
        assert keyid in after.keys_for(TrustRole.APPROVAL, entry=41)
        assert keyid not in after.keys_for(TrustRole.APPROVAL, entry=42)
        assert "revoked: counts up to entry 41" in self.invoke("show", str(made.root)).output

    def test_a_revocation_is_never_taken_back(self, made: Workspace) -> None:
        keyid = load_key_file(made.key("auditor")).keyid
        self.invoke("revoke-key", str(made.root), keyid, "--last-entry", "10")
        later = self.invoke("revoke-key", str(made.root), keyid, "--last-entry", "11")
        assert isinstance(later.exception, Conflict)
        earlier = self.invoke("revoke-key", str(made.root), keyid, "--last-entry", "9")
        assert earlier.exit_code == 0
        renew(made)
        assert trusted(made).keys[keyid].last_entry == 9
        (made.root / "again.pub").write_bytes(encode_public_key(load_key_file(made.key("auditor")).public_key))
        words = ("add-key", str(made.root), str(made.root / "again.pub"), "--role", "audit", "--holder", "studio/x")
        assert isinstance(self.invoke(*words).exception, Conflict)

    def test_the_newest_entry_needs_a_running_registry(self, made: Workspace) -> None:
        keyid = load_key_file(made.key("app")).keyid
        done = self.invoke("revoke-key", str(made.root), keyid)
        assert isinstance(done.exception, ConfigurationError)
        assert "--last-entry" in done.exception.message

    @pytest.mark.parametrize("key", ["", "0000", "zzzzzzzzzz"])
    def test_a_key_is_named_unmistakably(self, made: Workspace, key: str) -> None:
        done = self.invoke("revoke-key", str(made.root), key, "--last-entry", "1")
        assert isinstance(done.exception, InputError)

    def test_root_keys_are_no_matter_of_the_log(self, made: Workspace) -> None:
        done = self.invoke("revoke-key", str(made.root), load_key_file(made.key("root")).keyid, "--last-entry", "1")
        assert isinstance(done.exception, InputError)

    def test_a_new_key_is_made_where_it_is_held_and_trusted_where_the_root_is(
        self, made: Workspace, tmp_path: Path
    ) -> None:
        before = trusted(made)
        assert self.invoke("make-key", str(tmp_path / "aiko.pem")).exit_code == 0
        public = str(tmp_path / "aiko.pem.pub")
        words = ("add-key", str(made.root), public, "--role", "approval", "--holder", "studio/aiko")
        assert "studio/aiko is trusted with approval" in self.invoke(*words).output
        signer = load_key_file(tmp_path / "aiko.pem")
        assert trusted(made, before).keys[signer.keyid].holder == "studio/aiko"

    @pytest.mark.parametrize("content", [b"no key", None])
    def test_what_is_no_public_key_is_named(self, made: Workspace, tmp_path: Path, content: bytes | None) -> None:
        if content:
            (tmp_path / "x.pub").write_bytes(content)
        words = ("add-key", str(made.root), str(tmp_path / "x.pub"), "--role", "audit", "--holder", "studio/x")
        done = self.invoke(*words)
        assert isinstance(done.exception, ConfigurationError)
        assert "x.pub" in done.exception.message


class TestAuthorities:
    """Who vouches for images."""

    @pytest.mark.parametrize(("option", "member"), [((), 1), (("--time-stamps",), 2)])
    def test_another_one_is_believed_about_one_thing(
        self, made: Workspace, tmp_path: Path, option: tuple[str, ...], member: int
    ) -> None:
        create_authority(tmp_path / "theirs", organization="Organisation", now=datetime.now(UTC))
        certificate, before = tmp_path / "theirs" / "ca.pem", trusted(made)
        done = CliRunner().invoke(commands, ["trust", "add-authority", str(made.root), str(certificate), *option])
        assert done.exit_code == 0
        after = trusted(made, before)
        named = [after.credential_authorities, after.time_stamp_authorities or ()]
        assert named[member - 1][-1] == certificate.read_text()
        assert certificate.read_text() not in named[2 - member]
        shown = CliRunner().invoke(commands, ["trust", "show", str(made.root)]).output
        use = "time-stamps" if option else "credentials"
        assert f"{use}: CN=Organisation Content Credentials authority,O=Organisation, until" in shown
        with pytest.raises(Conflict, match="already"):
            add_authority(made, certificate, AuthorityUse.TIME_STAMPS if option else AuthorityUse.CREDENTIALS)

    @pytest.mark.parametrize("content", [b"no PEM", None], ids=["no PEM", "nothing"])
    def test_what_is_no_certificate_is_named(self, made: Workspace, tmp_path: Path, content: bytes | None) -> None:
        if content:
            (tmp_path / "x.pem").write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"x\.pem"):
            add_authority(made, tmp_path / "x.pem", AuthorityUse.CREDENTIALS)

    def test_an_application_elsewhere_gets_a_certificate_and_not_the_authoritys_key(
        self, made: Workspace, tmp_path: Path
    ) -> None:
        folder = tmp_path / "app"
        words = ["trust", "issue-signer", str(made.root), "studio/app", str(folder), "--days", "2"]
        assert CliRunner().invoke(commands, words).exit_code == 0
        assert {path.name for path in folder.iterdir()} == {"chain.pem", "key.pem"}
        signer = load_credential_signer(folder, holder="studio/app", now=datetime.now(UTC))
        image = mark_image(encode_png(PICTURE), concept_use(), signer)
        assert verify_credentials(image, trusted(made).credential_authorities).signer == "studio/app"
        with pytest.raises(ConfigurationError, match="may issue no others"):
            add_authority(made, folder / "chain.pem", AuthorityUse.CREDENTIALS)


class TestOverTuf:
    def over_tuf(self, made: Workspace, cache: Path, name: str = TRUST_ROOT_TARGET) -> bytes:
        def fetch(name: str) -> bytes:
            try:
                return (made.tuf / name).read_bytes()
            except FileNotFoundError as exc:
                raise NotFound(name) from exc

        return fetch_target(name, root=made.tuf / "root.json", cache=cache, fetch=fetch)

    def test_a_new_workspace_distributes_its_trust_root_and_policies(self, made: Workspace, tmp_path: Path) -> None:
        assert self.over_tuf(made, tmp_path) == made.trust_root.read_bytes()
        policies = parse_wire(PolicyBundleView, self.over_tuf(made, tmp_path, POLICIES_TARGET), "policies")
        assert policies == load_bundle(SHIPPED_POLICIES).view()

    def test_every_new_trust_root_is_distributed(self, made: Workspace, tmp_path: Path) -> None:
        before = self.over_tuf(made, tmp_path)
        renew(made)
        assert self.over_tuf(made, tmp_path) == made.trust_root.read_bytes() != before

    def test_a_workspace_from_before_is_published_once(self, made: Workspace, tmp_path: Path) -> None:
        made.tuf.rename(made.root / "tuf-before")
        made.key("tuf-online").unlink()
        done = CliRunner().invoke(commands, ["trust", "publish", str(made.root)])
        assert "clients start from" in done.output
        assert self.over_tuf(made, tmp_path) == made.trust_root.read_bytes()

    def test_changed_policies_are_distributed_when_they_are_published(self, own: Workspace, tmp_path: Path) -> None:
        shutil.copytree(SHIPPED_POLICIES, tmp_path / "policies")
        with (tmp_path / "policies" / "composition" / "rules.cedar").open("a") as file:
            file.write("\n// stricter days\n")
        settings = own.settings.read_text()
        own.settings.write_text(
            settings.replace("[registry]\n", f'[registry]\npolicies = "{tmp_path / "policies"}"\n', 1)
        )
        publish_now(own)
        own.settings.write_text(settings)
        found = parse_wire(PolicyBundleView, self.over_tuf(own, tmp_path / "c", POLICIES_TARGET), "policies")
        assert found == load_bundle(tmp_path / "policies").view()

    def test_a_root_key_is_none_that_has_another_role(self, made: Workspace) -> None:
        with pytest.raises(Conflict, match="is trusted for log; one key has one role"):
            rotate_root(made, [made.key("log")], 1)
        with pytest.raises(InputError, match="2 root keys are to sign, but 1 are named"):
            rotate_root(made, [made.key("root")], 2)

    def test_root_keys_rotate_to_two_of_three(self, made: Workspace, tmp_path: Path) -> None:
        names = [str(tmp_path / f"{name}.pem") for name in ("a", "b", "c")]
        for name in names:
            CliRunner().invoke(commands, ["trust", "make-key", name])
        new = [word for name in names for word in ("--new", name)]
        old = trusted(made)
        done = CliRunner().invoke(commands, ["trust", "rotate-root", str(made.root), *new, "--threshold", "2"])
        assert "2 of 3 root keys must sign" in done.output, done.exception
        assert trusted(made, old).root_threshold == 2
        assert self.over_tuf(made, tmp_path / "c") == made.trust_root.read_bytes()
        with pytest.raises(ConfigurationError, match="is no root key"):
            renew(made)
        with pytest.raises(ConfigurationError, match="2 root keys must sign, 1 are here"):
            renew(made, [Path(names[0])])
        renew(made, [Path(name) for name in names[1:]])
        assert self.over_tuf(made, tmp_path / "c") == made.trust_root.read_bytes()
        rotate_root(made, [made.key("root")], 1, [Path(name) for name in names[:2]])  # for the tests after this one
