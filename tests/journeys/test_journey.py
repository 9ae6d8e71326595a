"""The main job in process, as four people do it: train, approve, compose, audit; and what ends a version's use.

Registry, trainer, PostgreSQL, policies, signatures, credentials and networks are real; only the networks are tiny.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from support.database import DatabaseServer
from support.prompt_trainer import QUICK, prompt_trainer
from support.studio import StudioInProcess, make_studio

import sdk
from examples.demo.story import EXAMPLES
from sdk.compose import Composition
from sdk.credentials.read import verify_credentials
from sdk.errors import Conflict, NotApproved, PolicyDenied, ServiceUnavailable
from sdk.spec.ids import ConceptId

pytestmark = pytest.mark.long
FOX, LAVENDER = ConceptId("demo/fox"), ConceptId("demo/lavender")
TOGETHER = "a photo of {demo/fox} at {demo/lavender}"
USE = {"purpose": "advertising", "territory": "JP", "channel": "web"}


@pytest.fixture
def studio(postgres_server: DatabaseServer, tmp_path: Path) -> Iterator[StudioInProcess]:
    torch.set_num_threads(1)
    with postgres_server.fresh_database() as url, make_studio(url, tmp_path) as made:
        with prompt_trainer(made, url) as with_trainer:
            yield with_trainer


def typed(studio: StudioInProcess, role: str, *words: str) -> str:
    """What a command that must succeed prints."""
    done = studio.command(*words, role=role)
    assert done.returncode == 0, done.stderr
    return done.stdout


def turned_away(studio: StudioInProcess, role: str, *words: str) -> str:
    """What a command that must be refused says, in one line."""
    done = studio.command(*words, role=role)
    assert done.returncode == 1, done.stdout
    assert done.stderr.count("\n") == 1
    return done.stderr


def record_terms(studio: StudioInProcess) -> tuple[str, str]:
    """The trainer puts consent and licence on file; returns their ids."""
    consent = typed(studio, "trainer", "consent", "give", str(EXAMPLES / "consent.json"))
    licence = typed(studio, "trainer", "licence", "grant", str(EXAMPLES / "licence.json"))
    return consent.split()[1], licence.split()[1]


def train(studio: StudioInProcess, consent: str, licence: str) -> str:
    """The trainer has both concepts learned from the example's pictures, with settings for tiny networks."""
    plan = yaml.safe_load((EXAMPLES / "concepts.yaml").read_text()) | {"settings": QUICK}
    for picture in plan["pictures"]:
        picture["file"] = str(EXAMPLES / picture["file"])
    (studio.folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    file = str(studio.folder / "plan.yaml")
    return typed(studio, "trainer", "train", file, "--consent", consent, "--licence", licence)


def compose(studio: StudioInProcess, *concepts: ConceptId, scene: str, **changes: str) -> Composition:
    """An application asks for pictures."""
    with studio.client("app") as client:
        return sdk.compose(
            concepts, scene, count=2, seed=7, steps=2, profile=studio.profile("app"), client=client, **USE | changes
        )


def broken(*_args: object) -> None:
    raise ServiceUnavailable("away")


class TestTheMainJob:
    def test_train_approve_compose_audit_revoke(self, studio: StudioInProcess) -> None:
        # Train: both concepts from pictures in which they are entangled, under recorded terms.
        consent, licence = record_terms(studio)
        said = train(studio, consent, licence)
        assert "demo/fox@1 is submitted" in said
        assert "demo/lavender@1 is submitted" in said

        # Nobody has approved yet.
        with pytest.raises(NotApproved, match="no version of demo/fox is approved"):
            compose(studio, FOX, LAVENDER, scene=TOGETHER)

        # Approve: the reviewer reads what there is; who had it trained may not approve it.
        shown = typed(studio, "reviewer", "show", "demo/fox@1")
        for expected in ("demo/fox@1 (subject) is submitted", "masks/1.png", "samples/0.png", "advertising"):
            assert expected in shown
        assert "nobody approves their own training" in turned_away(studio, "trainer", "approve", "demo/fox@1")
        for version in ("demo/fox@1", "demo/lavender@1"):
            assert f"{version} is approved" in typed(studio, "reviewer", "approve", version, "--comment", "fine")

        # Compose: together, and the subject alone; every file says what it is.
        both = compose(studio, FOX, LAVENDER, scene=TOGETHER)
        alone = compose(studio, FOX, scene="a photo of {demo/fox} on grass")
        for made, versions in ((both, ["demo/fox@1", "demo/lavender@1"]), (alone, ["demo/fox@1"])):
            found = verify_credentials(made.images[0].png, [studio.authority])
            assert sorted(each.title for each in found.carried) == versions  # the samples' own credentials
            use = found.use
            assert use is not None
            assert use.generation == made.generation_id
            assert [version.name for version in use.versions] == versions
        with pytest.MonkeyPatch.context() as patch:  # the images were permitted, and then something broke
            patch.setattr("sdk.compose.call.record_result", broken)
            with pytest.raises(ServiceUnavailable):
                compose(studio, FOX, scene="a photo of {demo/fox}", idempotency_key="spring-2027-poster-1")
        assert compose(studio, FOX, scene="a photo of {demo/fox}", idempotency_key="spring-2027-poster-1").images
        with pytest.raises(Conflict, match="is finished"):
            compose(studio, FOX, scene="a photo of {demo/fox}", idempotency_key="spring-2027-poster-1")
        with pytest.raises(Conflict, match="another intent"):
            compose(studio, FOX, scene="a picture of {demo/fox}", idempotency_key="spring-2027-poster-1")
        with studio.client("auditor") as client:
            listed = client.list_generations().generations
        assert len(listed) == 3  # what was repeated under its key is there once
        with pytest.raises(PolicyDenied, match=r"composition\.territory"):
            compose(studio, FOX, scene="a photo of {demo/fox}", territory="US")
        assert "composition.territory" in typed(studio, "auditor", "ledger")  # refused by the SDK, and on record

        # Audit: the log verifies from outside, and says who, what, and under whose approval.
        report = studio.folder / "report.json"
        assert "every entry is included" in typed(studio, "auditor", "audit", "verify", "--out", str(report))
        assert json.loads(report.read_bytes())["signatures"]
        assert "demo/trainer" in typed(studio, "auditor", "audit", "log", "--event", "approval:refused")
        account = typed(studio, "auditor", "audit", "generations", "--concept", "demo/lavender")
        assert both.generation_id in account
        assert alone.generation_id not in account
        assert re.search(r"approved by +demo/reviewer \(entry \d+, demo/lavender@1\)", account)

        # Revoke: the subject can never be used again; the place can, and the records stay.
        assert "revoked" in typed(studio, "reviewer", "revoke", "demo/fox@1", "--reason", "the rights holder asked")
        with pytest.raises(NotApproved, match="revoked"):
            compose(studio, FOX, LAVENDER, scene=TOGETHER)
        assert compose(studio, LAVENDER, scene="a red car at {demo/lavender}").images
        kept = typed(studio, "auditor", "audit", "generations", "--concept", "demo/fox")
        assert both.generation_id in kept
        assert alone.generation_id in kept
        assert "every entry is included" in typed(studio, "auditor", "audit", "verify")

    def test_withdrawn_consent_ends_the_use(self, studio: StudioInProcess) -> None:
        consent, licence = record_terms(studio)
        train(studio, consent, licence)
        typed(studio, "reviewer", "approve", "demo/fox@1")
        assert compose(studio, FOX, scene="a photo of {demo/fox}").images

        typed(studio, "trainer", "consent", "withdraw", consent, "--reason", "asked to")
        with pytest.raises(NotApproved, match="suspended"):
            compose(studio, FOX, scene="a photo of {demo/fox}")
        refused = studio.command("approve", "demo/lavender@1", role="reviewer")
        assert refused.returncode == 1
        assert "consent" in refused.stderr
