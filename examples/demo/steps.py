"""The demo's steps, one function each, in order. Each checks that what should happen happened, and only that.

Commands are run as a person would type them; `compose` is called as an application would.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import sdk
from examples.demo.stage import DemoFailed, Stage, require
from examples.demo.story import (
    FORBIDDEN_TERRITORY,
    SEED,
    USE,
    LearnedConcept,
    Story,
    agreement_text,
    consent_record,
    licence_grant,
)
from sdk.audit import GenerationAccount, VerifiedLog, account_for, find_faults, verify_log
from sdk.cli.train import follow, make_request, name_missing_concepts, read_plan
from sdk.client import Client
from sdk.compose import Composition
from sdk.credentials.read import ContentCredentials, verify_credentials
from sdk.errors import ImprimaturError
from sdk.profile import Profile, load_profile
from sdk.resolve import connect, load_trust_root
from sdk.signing.trust import TrustRoot
from sdk.spec.api import JobStatus, JobView
from sdk.spec.ids import RecordId

COMMAND = Path(sys.executable).with_name("imprimatur")
TRAINING_FILES = Path("training")


@dataclass
class Demo:
    """Where the demo happens and what has come of it so far."""

    workspace: Path
    out: Path
    story: Story
    stage: Stage
    base_model: Path | None = None  # the shipped one when left out
    consents: list[RecordId] = field(default_factory=list)
    licences: list[RecordId] = field(default_factory=list)
    job: JobView | None = None
    refusals: dict[str, str] = field(default_factory=dict)  # what was tried, and the answer
    compositions: dict[str, Composition] = field(default_factory=dict)  # by scene
    credentials: ContentCredentials | None = None
    accounts: tuple[GenerationAccount, ...] = ()

    def profile(self, role: str) -> Profile:
        return load_profile(self.workspace / "profiles" / f"{role}.toml")

    @contextmanager
    def client(self, role: str) -> Iterator[Client]:
        """A connection of one role."""
        client = connect(self.profile(role))
        try:
            yield client
        finally:
            client.close()

    def trust(self) -> TrustRoot:
        return load_trust_root(self.workspace / "trust-root.json", now=datetime.now(UTC))

    def run(self, *words: str, role: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run an `imprimatur` command as `role`, showing it first."""
        as_role = ("--profile", str(self.workspace / "profiles" / f"{role}.toml")) if role else ()
        self.stage.say(f"[dim]$ imprimatur {' '.join(words)}[/dim]")
        return subprocess.run([str(COMMAND), *words, *as_role], capture_output=True, text=True)

    def must(self, *words: str, role: str | None = None) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.run(*words, role=role)
        require(done.returncode == 0, f"'imprimatur {' '.join(words)}' failed: {done.stderr.strip()}")
        self.stage.say(done.stdout.rstrip())
        return done.stdout

    def version(self, concept: LearnedConcept) -> str:
        return f"{concept.id}@1"


def make_workspace(demo: Demo) -> None:
    base = ("--base-model", str(demo.base_model)) if demo.base_model else ()
    demo.must("init", str(demo.workspace), "--tenant", demo.story.subject.id.tenant, *base)
    again = demo.run("init", str(demo.workspace))
    require(again.returncode != 0, "a second init should refuse to touch a workspace that exists")
    keys = [
        path for path in (demo.workspace / "keys").rglob("*.pem") if "key" in path.name or path.parent.name == "keys"
    ]
    require(
        all(path.stat().st_mode & 0o077 == 0 for path in keys), "private keys should be readable by their owner only"
    )


def start_services(demo: Demo) -> None:
    demo.must("up", str(demo.workspace), "--detach")
    with demo.client("trainer") as client:
        require(client.health().status == client.trainer_health().status == "ok", "both services should be healthy")


def record_terms(demo: Demo) -> None:
    with demo.client("trainer") as client:
        agreement = client.put_blob(agreement_text(demo.story))
        consent = client.give_consent(consent_record(demo.story, agreement))
        licence = client.grant_licence(licence_grant(demo.story, agreement))
    demo.consents.append(consent.id)
    demo.licences.append(licence.id)
    demo.stage.say(
        f"consent {consent.id} is entry {consent.receipt.index} of the log, licence {licence.id} {licence.receipt.index}"
    )


def train(demo: Demo, plan_file: Path) -> None:
    plan = read_plan(plan_file)
    with demo.client("trainer") as client:
        name_missing_concepts(client, plan)
        job = client.create_job(make_request(client, plan, plan_file.parent, demo.consents, demo.licences))
        demo.job = follow(client, job.id)
        require(demo.job.status is JobStatus.SUCCEEDED, f"training {demo.job.status.value}: {demo.job.error}")
        _fetch_training_files(client, job.id, demo.out / TRAINING_FILES)
    expected = {demo.version(concept) for concept in demo.story.concepts}
    require(set(demo.job.versions) == expected, f"expected {sorted(expected)}, submitted were {demo.job.versions}")


def _fetch_training_files(client: Client, job: RecordId, folder: Path) -> None:
    for name in client.job_files(job).files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client.job_file(job, name))


def compose_too_early(demo: Demo) -> None:
    for concept in demo.story.concepts:
        said = _refusal(demo, [str(concept.id)], f"a photo of {{{concept.id}}}")
        require("approved" in said, f"the refusal should say that {concept.id} is not approved, but says: {said}")
        demo.refusals[f"compose {concept.id} before its approval"] = said


def approve(demo: Demo) -> None:
    for concept in demo.story.concepts:
        own = demo.run("approve", demo.version(concept), role="trainer")
        require(own.returncode != 0, "the trainer should not be able to approve what they trained")
        require("trained" in own.stderr or "trainer" in own.stderr, f"the refusal should name the duty: {own.stderr}")
        demo.refusals[f"the trainer approves {demo.version(concept)}"] = own.stderr.strip()
        demo.stage.say(f"[red]{own.stderr.strip()}[/red]")
        demo.must("approve", demo.version(concept), "--comment", "masks, samples and terms read", role="reviewer")


def compose(demo: Demo) -> None:
    story = demo.story
    subject, place = str(story.subject.id), str(story.place.id)
    _compose(demo, [subject, place], story.together, count=4)
    for scene in story.subject_elsewhere:
        _compose(demo, [subject], scene, count=2)
    for scene in story.place_with_others:
        _compose(demo, [place], scene, count=2)
    said = _refusal(demo, [subject], f"a photo of {{{subject}}}", territory=FORBIDDEN_TERRITORY)
    demo.refusals[f"compose {subject} for {FORBIDDEN_TERRITORY}"] = said


def _compose(demo: Demo, concepts: list[str], scene: str, *, count: int) -> None:
    result = sdk.compose(
        concepts,
        scene,
        purpose=USE.purpose,
        territory=USE.territory,
        channel=USE.channel,
        count=count,
        seed=SEED,
        profile=demo.profile("app"),
    )
    require(len(result.images) == count, f"expected {count} images of {scene!r}, got {len(result.images)}")
    for image in result.images:
        demo.credentials = verify_credentials(image.png, demo.trust().credential_authorities)
    demo.compositions[scene] = result
    demo.stage.say(f"{count} images of {scene!r}: generation {result.generation_id}, log entry {result.receipt.index}")


def _refusal(demo: Demo, concepts: list[str], scene: str, *, territory: str = USE.territory) -> str:
    """What an application is told when the answer is no. Raises `DemoFailed` when it is yes."""
    try:
        sdk.compose(
            concepts,
            scene,
            purpose=USE.purpose,
            territory=territory,
            channel=USE.channel,
            seed=SEED,
            profile=demo.profile("app"),
        )
    except ImprimaturError as exc:
        demo.stage.say(f"[red]{exc.message}[/red]")
        return exc.message
    raise DemoFailed(f"compose of {concepts} for {territory} should have been refused")


def audit(demo: Demo) -> None:
    log = _verified_log(demo)
    with demo.client("auditor") as client:
        generations = client.list_generations().generations
    faults = find_faults(log, generations)
    require(not faults, f"the audit found faults: {faults}")
    require(len(generations) >= len(demo.compositions), "every composition should be on record")
    demo.accounts = account_for(log, generations)
    demo.must("audit", "verify", role="auditor")


def _verified_log(demo: Demo) -> VerifiedLog:
    """Recompute the whole log from its tiles, from the first checkpoint this demo was shown."""
    first = next(iter(demo.compositions.values())).receipt.checkpoint.encode()
    with demo.client("auditor") as client:
        return verify_log(client, demo.trust(), remembered=[first])


def revoke(demo: Demo) -> None:
    subject = demo.story.subject
    demo.must("revoke", demo.version(subject), "--reason", "the rights holder asked for it", role="reviewer")
    said = _refusal(demo, [str(subject.id)], f"a photo of {{{subject.id}}}")
    require("revoked" in said or "approved" in said, f"the refusal should say that it is revoked, but says: {said}")
    demo.refusals[f"compose {subject.id} after its revocation"] = said
    with demo.client("auditor") as client:
        kept = client.list_generations(subject.id).generations
    require(any(view.images for view in kept), "records of what was generated should stay")
