"""Root keys that several people hold: each signs where their key is, and nothing is published before enough have."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from support.governed import fixed_signer, make_trust_root
from tuf.api.metadata import Metadata, Root
from typer.testing import CliRunner

from registry.cli import commands
from registry.cli.distribution import create_repository
from registry.cli.trust import add_key, publish_signed, renew, rotate_root
from registry.cli.trust_file import read_proposal, read_trust_root, write_proposal
from registry.cli.workspace import Workspace, open_workspace
from registry.distribution.proposal import TrustProposal, lacking, sign_proposal
from sdk.errors import ConfigurationError, Conflict, ImprimaturError, NotFound, ThresholdNotMet, VerificationError
from sdk.signing.public_keys import encode_public_key
from sdk.signing.signer import Signer, generate_key_file, load_key_file
from sdk.signing.trust import TrustedKey, TrustRole, TrustRoot, known_root, sign_trust_root
from sdk.signing.tuf_client import TRUST_ROOT_TARGET, fetch_target
from sdk.spec.canonical import encode_canonical
from sdk.spec.envelope import encode_envelope
from sdk.spec.ids import PrincipalId

HOLDERS = ("aiko", "bela", "chidi")
REVIEWER = PrincipalId("demo/new-reviewer")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace as far as its trust root goes, whose root keys three people hold, two of whom must sign."""
    (tmp_path / "ws" / "keys").mkdir(parents=True)
    (tmp_path / "ws" / "imprimatur.toml").write_text("[registry]\n")
    made = open_workspace(tmp_path / "ws")
    for name in HOLDERS:
        generate_key_file(tmp_path / f"{name}.pem")
    keys = [load_key_file(tmp_path / f"{name}.pem") for name in HOLDERS]
    held = {
        key.keyid: TrustedKey(public_key=key.public_key, role=TrustRole.ROOT, holder=PrincipalId(f"demo/{name}"))
        for name, key in zip(HOLDERS, keys, strict=True)
    }
    others = {keyid: key for keyid, key in make_trust_root().keys.items() if key.role is not TrustRole.ROOT}
    ends = datetime.now(UTC) + timedelta(days=300)
    root = make_trust_root(keys=others | held, root_threshold=2, expires_at=ends)
    made.trust_root.write_bytes(encode_envelope(sign_trust_root(root, *keys[:2])))
    create_repository(made, keys, root)
    return made


def signer(workspace: Workspace, name: str) -> Signer:
    return load_key_file(workspace.root.parent / f"{name}.pem")


def in_force(workspace: Workspace) -> TrustRoot:
    return known_root(read_trust_root(workspace.trust_root))


def proposed(workspace: Workspace, *signed_by: str) -> Path:
    """A proposal to trust another reviewer, signed by these holders one after the other."""
    path = workspace.root.parent / f"next-{len(signed_by)}-{'-'.join(signed_by)}.json"
    add_key(workspace, fixed_signer("new").public_key, TrustRole.APPROVAL, REVIEWER, proposal=path)
    for name in signed_by:
        signed = sign_proposal(read_proposal(path), signer(workspace, name), in_force(workspace))
        write_proposal(path, signed, over=True)
    return path


def over_tuf(workspace: Workspace) -> bytes:
    """What a client of the first root reads now."""

    def fetch(name: str) -> bytes:
        try:
            return (workspace.tuf / name).read_bytes()
        except FileNotFoundError as exc:
            raise NotFound(name) from exc

    first, cache = workspace.tuf / "root.json", workspace.root.parent / "cache"
    return fetch_target(TRUST_ROOT_TARGET, root=first, cache=cache, fetch=fetch)


def files(workspace: Workspace) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}


class TestProposal:
    def test_is_published_when_two_of_three_have_signed_everything(self, workspace: Workspace) -> None:
        path = proposed(workspace, "aiko", "bela", "chidi")
        root = publish_signed(workspace, path)
        assert (root.version, REVIEWER in {key.holder for key in root.keys.values()}) == (2, True)
        assert over_tuf(workspace) == workspace.trust_root.read_bytes()
        assert in_force(workspace) == root

    @pytest.mark.parametrize(
        ("signed_by", "words"),
        [
            ((), "the trust root has 0 of 2 signatures by root keys of version 1"),
            (("aiko",), "the trust root has 1 of 2"),
            (("aiko", "aiko"), "the trust root has 1 of 2"),
            (("aiko", "bela"), "TUF's targets has 1 of 2"),
            (("aiko", "bela", "bela"), "TUF's targets has 1 of 2"),
        ],
    )
    def test_below_the_threshold_changes_nothing(
        self, workspace: Workspace, signed_by: tuple[str, ...], words: str
    ) -> None:
        path, before = proposed(workspace, *signed_by), files(workspace)
        with pytest.raises(ThresholdNotMet, match=words):
            publish_signed(workspace, path)
        assert files(workspace) == before

    def test_first_signer_signs_the_targets_once_the_trust_root_is_whole(self, workspace: Workspace) -> None:
        path = proposed(workspace, "aiko", "bela", "aiko")
        assert lacking(read_proposal(path), in_force(workspace)) == ()
        publish_signed(workspace, path)

    def test_is_signed_by_nobody_else(self, workspace: Workspace) -> None:
        with pytest.raises(ConfigurationError, match="is no root key"):
            sign_proposal(read_proposal(proposed(workspace)), fixed_signer("stranger"), in_force(workspace))

    def test_that_was_overtaken_is_refused(self, workspace: Workspace) -> None:
        late, first = proposed(workspace, "aiko", "bela", "aiko"), proposed(workspace, "aiko", "bela", "chidi")
        publish_signed(workspace, first)
        before = files(workspace)
        other = renew_by_all(workspace)
        with pytest.raises(VerificationError, match="propose it anew"):
            publish_signed(workspace, late)
        assert other.version == 3
        assert files(workspace) != before

    def test_is_never_written_over_another(self, workspace: Workspace) -> None:
        proposed(workspace)
        with pytest.raises(ConfigurationError, match="never written over"):
            proposed(workspace)

    def test_goes_on_where_publishing_was_interrupted(self, workspace: Workspace) -> None:
        path = proposed(workspace, "aiko", "bela", "chidi")
        proposal = read_proposal(path)
        workspace.trust_root.write_bytes(encode_envelope(proposal.trust_root))
        publish_signed(workspace, path)
        publish_signed(workspace, path)
        assert over_tuf(workspace) == workspace.trust_root.read_bytes()

    def test_signed_before_something_else_was_distributed_is_refused(self, workspace: Workspace) -> None:
        path = proposed(workspace, "aiko", "bela", "chidi")
        root = in_force(workspace)
        proposal = workspace.root.parent / "policies.json"
        keys = [workspace.root.parent / f"{name}.pem" for name in HOLDERS]
        CliRunner().invoke(commands, ["trust", "publish", str(workspace.root), "--propose", str(proposal)])
        for key in (keys[0], keys[1]):
            write_proposal(proposal, sign_proposal(read_proposal(proposal), load_key_file(key), root), over=True)
        publish_signed(workspace, proposal)
        with pytest.raises(Conflict, match="something else was published"):
            publish_signed(workspace, path)
        assert in_force(workspace) == root


def renew_by_all(workspace: Workspace) -> TrustRoot:
    return renew(workspace, [workspace.root.parent / f"{name}.pem" for name in HOLDERS]).root


class TestRotation:
    def test_to_holders_whose_keys_were_never_here(self, workspace: Workspace) -> None:
        new = {name: fixed_signer(name) for name in ("dana", "emre")}
        paths = [workspace.root.parent / f"{name}.pub" for name in new]
        for path, key in zip(paths, new.values(), strict=True):
            path.write_bytes(encode_public_key(key.public_key))
        known, proposal = in_force(workspace), workspace.root.parent / "rotation.json"
        rotate_root(workspace, paths, 2, proposal=proposal)
        signers = [signer(workspace, "aiko"), new["dana"], signer(workspace, "chidi"), new["emre"], new["dana"]]
        for place, each in enumerate(signers):
            assert lacking(read_proposal(proposal), known), place
            write_proposal(proposal, sign_proposal(read_proposal(proposal), each, known), over=True)
        root = publish_signed(workspace, proposal)
        assert set(root.keys_for(TrustRole.ROOT)) == {key.keyid for key in new.values()}
        assert over_tuf(workspace) == workspace.trust_root.read_bytes()

    def test_renewal_renews_the_term_of_the_tuf_root_as_well(self, workspace: Workspace) -> None:
        root = renew_by_all(workspace)
        newest = Metadata[Root].from_file(str(workspace.tuf / "metadata" / "2.root.json")).signed
        assert newest.expires == root.expires_at.replace(microsecond=0)
        assert over_tuf(workspace) == workspace.trust_root.read_bytes()
        add = [workspace.root.parent / f"{name}.pem" for name in HOLDERS[:2]]
        add_key(workspace, fixed_signer("new").public_key, TrustRole.APPROVAL, REVIEWER, add)
        assert not (workspace.tuf / "metadata" / "3.root.json").exists()


def other_policies(proposal: TrustProposal, root: TrustRoot) -> TrustProposal:
    return proposal.model_copy(update={"policies": b"{}"})


def another_target(proposal: TrustProposal, root: TrustRoot) -> TrustProposal:
    targets = json.loads(proposal.tuf_targets)
    listed = targets["signed"]["targets"]
    listed["more.json"] = listed["policies.json"]
    return proposal.model_copy(update={"tuf_targets": json.dumps(targets).encode()})


def lower_threshold(proposal: TrustProposal, root: TrustRoot) -> TrustProposal:
    tuf_root = json.loads((proposal.tuf_root or b"").decode())
    tuf_root["signed"]["roles"]["targets"]["threshold"] = 1
    return proposal.model_copy(update={"tuf_root": json.dumps(tuf_root).encode()})


def outliving(proposal: TrustProposal, root: TrustRoot) -> TrustProposal:
    targets = json.loads(proposal.tuf_targets)
    targets["signed"]["expires"] = "2099-01-01T00:00:00Z"
    return proposal.model_copy(update={"tuf_targets": json.dumps(targets).encode()})


def with_root(proposal: TrustProposal, root: TrustRoot, **changes: object) -> TrustProposal:
    content = encode_canonical(root.model_copy(update=changes))
    return proposal.model_copy(
        update={"trust_root": proposal.trust_root.model_copy(update={"payload": content, "signatures": ()})}
    )


class TestHolder:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (other_policies, "another policies.json"),
            (another_target, "would distribute more.json, policies.json"),
            (lower_threshold, "TUF's targets would ask for other keys"),
            (outliving, "would outlive the trust root"),
            (
                lambda proposal, root: with_root(proposal, root, log_origin="elsewhere.test/log"),
                "for the log elsewhere",
            ),
            (
                lambda proposal, root: with_root(proposal, root, version=7),
                "for version 7 of the trust root, known is 1",
            ),
            (lambda proposal, root: proposal.model_copy(update={"tuf_targets": b"{}"}), "no TUF metadata"),
            (lambda proposal, root: proposal.model_copy(update={"tuf_targets": proposal.tuf_root}), "where targets"),
        ],
    )
    def test_signs_only_what_follows_from_what_they_know(
        self, workspace: Workspace, change: object, words: str
    ) -> None:
        path = workspace.root.parent / "next.json"
        renew(workspace, proposal=path)
        known = in_force(workspace)
        asked = change(read_proposal(path), read_proposal(path).root)  # type: ignore[operator]
        with pytest.raises(ImprimaturError, match=words):
            sign_proposal(asked, signer(workspace, "aiko"), known)

    def test_is_shown_what_would_change_and_is_asked(self, workspace: Workspace) -> None:
        keys = {name: str(workspace.root.parent / f"{name}.pem") for name in HOLDERS}
        known, path = str(workspace.trust_root), workspace.root.parent / "next.json"
        (keyid,) = (each for each, key in in_force(workspace).keys.items() if key.role is TrustRole.AUDIT)
        revoke = ["trust", "revoke-key", str(workspace.root), keyid, "--last-entry", "7", "--propose", str(path)]
        assert f"version 2 is proposed in {path}; nothing is published yet" in run(*revoke).output
        sign = ("trust", "sign", str(path), "--trust-root", known, "--root-key")
        asked = run(*sign, keys["aiko"], given="n\n")
        assert f"revoked: {keyid[:16]}  audit" in asked.output
        assert (asked.exit_code, read_proposal(path).trust_root.signatures) == (1, ())
        assert "still to come: the trust root has 1 of 2" in run(*sign, keys["aiko"], given="y\n").output
        assert "still to come: TUF's targets" in run(*sign, keys["bela"], "--yes").output
        refused = run("trust", "publish", str(workspace.root), "--signed", str(path))
        assert "more holders have to sign" in str(refused.exception)
        assert "complete" in run(*sign, keys["chidi"], "--yes").output
        assert "version 2" in run("trust", "publish", str(workspace.root), "--signed", str(path)).output
        assert in_force(workspace).keys[keyid].last_entry == 7


def run(*words: str, given: str = "") -> Result:
    return CliRunner().invoke(commands, list(words), input=given)
