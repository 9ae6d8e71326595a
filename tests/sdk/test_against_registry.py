"""The SDK against the real registry in process: submit, refuse, approve, compose, audit, revoke, refuse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.governed import consent_record, licence_grant, make_manifest, record_id, use_terms
from support.registry import RegistryUnderTest
from support.tiny_backbone import make_backbone_dir
from support.workshop import USE, make_embedding

from sdk.audit import account_for, find_faults, verify_log
from sdk.cli.application import run
from sdk.client import Client
from sdk.compose import Composition, compose
from sdk.credentials.authority import create_authority
from sdk.credentials.read import verify_credentials
from sdk.errors import NotApproved, PolicyDenied
from sdk.generate.base_model import base_model_digest
from sdk.profile import Profile, load_profile
from sdk.resolve import log_memory
from sdk.signing.signer import sign_envelope
from sdk.spec.api import NewConcept, VersionSubmission
from sdk.spec.envelope import encode_envelope
from sdk.spec.ids import ConceptId, TenantName
from sdk.spec.log_entry import AuditEventType
from sdk.spec.manifest import ConceptKind, ConceptManifest, encode_manifest
from sdk.spec.statements import TrainingPredicate, encode_statement

FOX = ConceptId("demo/fox")
SCENE = "a photo of {demo/fox}"


class Studio:
    """Everybody of tenant demo, each with a profile of their own."""

    def __init__(self, registry: RegistryUnderTest, folder: Path) -> None:
        self.registry = registry
        self.folder = folder
        self.base = make_backbone_dir(folder / "base", "sd")
        self.authority = create_authority(
            folder / "content-credentials", organization="Demo", signer_name="demo/app", now=datetime.now(UTC)
        )
        (folder / "trust-root.json").write_bytes(encode_envelope(registry.runtime.trust_root_envelope))

    def client(self, name: str) -> Client:
        return Client("http://registry.test", self.registry.credentials[name], transport=self.registry.transport)

    def profile(self, name: str) -> Profile:
        path = self.folder / f"{name}.toml"
        key = self.registry.keys[name]._private_key
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{name}.pem").write_bytes(pem)
        members = {
            "registry": "http://registry.test",
            "principal": f"demo/{name}",
            "credential": self.registry.credentials[name],
            "trust_root": "trust-root.json",
            "signing_key": f"{name}.pem",
            "content_credentials": "content-credentials",
            "base_model": str(self.base),
        }
        path.write_text("".join(f'{member} = "{value}"\n' for member, value in members.items()))
        path.chmod(0o600)
        return load_profile(path)

    def submit(self) -> ConceptManifest:
        """Record consent and licence, name the concept, and submit a version as the trainer's worker does."""
        at = self.registry.clock.now
        terms = use_terms(valid_from=at - timedelta(days=1), valid_until=at + timedelta(days=90))
        owner = self.client("trainer")
        owner.create_concept(NewConcept(id=FOX, kind=ConceptKind.SUBJECT, title="Fox"))
        consent = owner.give_consent(consent_record(FOX, terms=terms)).id
        licence = owner.grant_licence(licence_grant(FOX, terms=terms)).id
        embedding = make_embedding()
        training = make_manifest().training.model_copy(update={"job": record_id("job")})
        manifest = make_manifest(
            embedding,
            base_model=base_model_digest(self.base),
            consents=(consent,),
            licences=(licence,),
            training=training,
        )
        service = self.client("training-service")
        service.put_blob(embedding)
        statement = encode_statement(
            TrainingPredicate(concept=FOX, record=manifest.training), subjects={str(FOX): manifest.digest}
        )
        attestation = sign_envelope(statement, self.registry.keys["training-service"])
        service.submit_version(FOX, VersionSubmission(manifest=encode_manifest(manifest), attestation=attestation))
        return manifest

    def compose(self, **changes: object) -> Composition:
        with self.client("app") as client:
            options = USE | {"steps": 2, "profile": self.profile("app"), "client": client} | changes
            return compose([FOX], SCENE, clock=self.registry.clock, **options)  # type: ignore[arg-type]


@pytest.fixture
def studio(registry: RegistryUnderTest, tmp_path: Path) -> Studio:
    return Studio(registry, tmp_path)


@pytest.fixture
def command(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a command as somebody."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    for module in ("connection", "review", "audit", "compose"):
        monkeypatch.setattr(f"sdk.cli.{module}.now", studio.registry.clock)

    def perform(name: str, *arguments: str) -> int:
        monkeypatch.setattr("sdk.cli.connection.connect", lambda profile: studio.client(name))
        return run([*arguments, "--profile", str(studio.profile(name).path)])

    return perform


class TestJourney:
    def test_from_submission_to_revocation(
        self, studio: Studio, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
    ) -> None:
        studio.submit()
        with pytest.raises(NotApproved, match="no version of demo/fox is approved"):
            studio.compose()
        assert command("reviewer", "show", "demo/fox@1") == 0
        assert command("trainer", "approve", "demo/fox@1") == 1
        assert "nobody approves their own training" in capsys.readouterr().err
        assert command("reviewer", "approve", "demo/fox@1", "--comment", "fine") == 0

        result = studio.compose(count=2, seed=7)
        use = verify_credentials(result.images[0].png, [studio.authority]).use
        assert use is not None
        assert use.generation == result.generation_id
        with pytest.raises(PolicyDenied) as refusal:
            studio.compose(territory="US")
        assert {reason.rule for reason in refusal.value.decision.reasons} == {"composition.territory"}

        assert command("auditor", "audit", "verify") == 0
        assert command("auditor", "audit", "generations", "--concept", "demo/fox") == 0
        assert "demo/reviewer (entry" in capsys.readouterr().out

        assert command("reviewer", "revoke", "demo/fox@1", "--reason", "harm") == 0
        with pytest.raises(NotApproved, match="revoked"):
            studio.compose()
        self.check_accounts(studio, result)

    def check_accounts(self, studio: Studio, result: Composition) -> None:
        """The records stay, and the log bears them out."""
        auditor, profile = studio.client("auditor"), studio.profile("auditor")
        trust = studio.registry.runtime.trust_root
        first = log_memory(profile).first(trust.log_origin)
        assert first
        log = verify_log(auditor, trust, remembered=[first])
        listed = auditor.list_generations(FOX).generations
        assert find_faults(log, listed, tenant=TenantName("demo")) == ()
        (account,) = account_for(log, listed)
        assert account.generation == result.generation_id
        assert account.images == tuple(image.digest for image in result.images)
        assert [(reviewer, version) for _, reviewer, version in account.approvals] == [("demo/reviewer", "demo/fox@1")]
        events = [entry.event for entry in log.entries]
        assert events.count(AuditEventType.APPROVAL_REFUSED) == 1
        assert events[-1] is AuditEventType.VERSION_REVOKED

    def test_withdrawn_consent_ends_the_use(self, studio: Studio, command: Callable[..., int]) -> None:
        manifest = studio.submit()
        assert command("reviewer", "approve", "demo/fox@1") == 0
        studio.compose()
        studio.client("trainer").withdraw_consent(manifest.consents[0], "asked to")
        with pytest.raises(NotApproved, match="suspended"):
            studio.compose()
