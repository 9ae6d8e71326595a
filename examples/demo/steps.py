"""The demo's steps from terms to revocation, one function each. Each checks that what should happen happened.

A step raises `DemoFailed` when something did not happen, or happened that must not; errors of the SDK pass through. A
refusal counts only when it gives the reason that the step is about. Commands are run as a person would type them;
`compose` is called as an application would.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import sdk
from examples.demo import copies
from examples.demo.demo import ComposedScene, Demo
from examples.demo.stage import DemoFailed, require
from examples.demo.story import (
    FORBIDDEN_TERRITORY,
    SEED,
    USE,
    agreement_text,
    consent_record,
    licence_grant,
)
from sdk.audit import account_for, verify_log
from sdk.cli.train import follow, make_request, name_missing_concepts, read_plan
from sdk.client import Client
from sdk.compose import Composition
from sdk.credentials.read import verify_credentials
from sdk.errors import ImprimaturError
from sdk.findings import find_faults
from sdk.resolve import load_trust_root
from sdk.signing.trust import TrustRoot
from sdk.spec.ids import RecordId
from sdk.spec.manifest import ArtefactRole
from sdk.spec.training import JobStatus

_OWN_TRAINING = "approval.not-own-training"  # the rules that refusals must name
_TERRITORY = "composition.territory"


def record_terms(demo: Demo) -> None:
    with demo.studio.client("trainer") as client:
        agreement, given, granted = client.put_blob(agreement_text()), consent_record(), licence_grant()
        require(
            given.evidence.document == granted.evidence.document == agreement, "the records are of another agreement"
        )
        consent, licence = client.give_consent(given), client.grant_licence(granted)
    demo.consents.append(consent.id)
    demo.licences.append(licence.id)
    demo.stage.say(f"consent {consent.id}: log entry {consent.receipt.index}")
    demo.stage.say(f"licence {licence.id}: log entry {licence.receipt.index}")


def train(demo: Demo, plan_file: Path) -> None:
    plan = read_plan(plan_file)
    with demo.studio.client("trainer") as client:
        name_missing_concepts(client, plan)
        job = client.create_job(make_request(client, plan, plan_file.parent, demo.consents, demo.licences))
        demo.job = follow(client, job.id)
        require(demo.job.status is JobStatus.SUCCEEDED, f"training {demo.job.status.value}: {demo.job.error}")
        _fetch_training_files(client, job.id, demo.training_files)
    expected = {demo.version(concept) for concept in demo.story.concepts}
    require(set(demo.job.versions) == expected, f"expected {sorted(expected)}, submitted were {demo.job.versions}")
    demo.stage.say(f"submitted: {', '.join(demo.job.versions)}")


def _fetch_training_files(client: Client, job: RecordId, folder: Path) -> None:
    for name in client.job_files(job).files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client.job_file(job, name))


def compose_too_early(demo: Demo) -> None:
    for concept in demo.story.concepts:
        said = _refusal(demo, str(concept.id), because=f"no version of {concept.id} is approved")
        demo.refused(f"compose {concept.id} before its approval", said)


def approve(demo: Demo) -> None:
    for concept in demo.story.concepts:
        version = demo.version(concept)
        own = demo.run("approve", version, role="trainer")
        require(own.returncode != 0, f"the trainer should not be able to approve {version}, which they had trained")
        require(
            _OWN_TRAINING in own.stderr,
            f"the refusal should name the duties that must be separate, but says: {own.stderr}",
        )
        demo.refused(f"the trainer approves {version}", own.stderr)
        demo.must("approve", version, "--comment", "masks, samples and terms read", role="reviewer")


def compose(demo: Demo) -> None:
    story = demo.story
    subject, place = str(story.subject.id), str(story.place.id)
    _compose_scene(demo, [subject, place], story.together, count=4)
    for scene in story.subject_elsewhere:
        _compose_scene(demo, [subject], scene, count=2)
    for scene in story.place_with_others:
        _compose_scene(demo, [place], scene, count=2)
    said = _refusal(demo, subject, territory=FORBIDDEN_TERRITORY, because=_TERRITORY)
    demo.refused(f"compose {subject} for {FORBIDDEN_TERRITORY}", said)


def _compose_scene(demo: Demo, concepts: list[str], scene: str, *, count: int) -> None:
    made = _call_compose(demo, concepts, scene, count=count)
    require(len(made.images) == count, f"expected {count} images of {scene!r}, got {len(made.images)}")
    authorities = _trust(demo).credential_authorities
    credentials = tuple(verify_credentials(image.png, authorities) for image in made.images)
    carried = {each.title for found in credentials for each in found.carried}
    sampled = {version.name for version in made.versions if version.manifest.by_role(ArtefactRole.SAMPLE)}
    require(carried == sampled, f"the images carry on the credentials of {carried}, not of {sampled}")
    used = {found.use.generation for found in credentials if found.use}
    require(used == {made.generation_id}, f"the images' credentials name {used}, not {made.generation_id}")
    demo.composed.append(ComposedScene(scene=scene, composition=made, credentials=credentials))
    demo.stage.say(f"{count} images of {scene!r}: generation {made.generation_id}, log entry {made.receipt.index}")


def _refusal(demo: Demo, concept: str, *, because: str, territory: str = USE.territory) -> str:
    """What an application is told when the answer is no. Raises `DemoFailed` when it is yes, or not for that reason."""
    try:
        _call_compose(demo, [concept], f"a photo of {{{concept}}}", territory=territory)
    except ImprimaturError as exc:
        require(because in exc.message, f"{concept} should be refused because of {because!r}, but: {exc.message}")
        return exc.message
    raise DemoFailed(f"compose of {concept} for {territory} should have been refused: {because}")


def _call_compose(
    demo: Demo, concepts: list[str], scene: str, *, count: int = 1, territory: str = USE.territory
) -> Composition:
    with demo.studio.client("app") as client:
        return sdk.compose(
            concepts,
            scene,
            purpose=USE.purpose,
            territory=territory,
            channel=USE.channel,
            count=count,
            seed=SEED,
            steps=demo.sampling_steps,
            profile=demo.studio.profile("app"),
            client=client,
        )


def audit(demo: Demo) -> None:
    first = demo.composed[0].composition.receipt.checkpoint.encode()
    with demo.studio.client("auditor") as client:
        log = verify_log(client, _trust(demo), remembered=[first])
        generations = client.list_generations().generations
    faults = find_faults(log, generations, tenant=demo.story.subject.id.tenant)
    require(not faults, f"the audit found faults: {faults}")
    demo.accounts = account_for(log, generations)
    demo.log_size = log.checkpoint.tree_size
    recorded = {account.generation: account.images for account in demo.accounts if account.recorded}
    for made in (scene.composition for scene in demo.composed):
        handed_out = tuple(image.digest for image in made.images)
        require(
            recorded.get(made.generation_id) == handed_out,
            f"the images handed out as {made.generation_id} are not those on record",
        )
    demo.must("audit", "verify", role="auditor")


def find_copies(demo: Demo) -> None:
    copies.find_copies(demo, _trust(demo))


def revoke(demo: Demo) -> None:
    subject = demo.story.subject
    demo.must("revoke", demo.version(subject), "--reason", "the rights holder asked for it", role="reviewer")
    said = _refusal(demo, str(subject.id), because="revoked")
    demo.refused(f"compose {subject.id} after its revocation", said)
    with demo.studio.client("auditor") as client:
        kept = {view.id for view in client.list_generations(subject.id).generations if view.images}
    before = {
        account.generation
        for account in demo.accounts
        if account.recorded and demo.version(subject) in account.versions
    }
    require(bool(before) and before <= kept, "the records of what was generated should stay")


def _trust(demo: Demo) -> TrustRoot:
    return load_trust_root(demo.studio.profile("auditor").trust_root, now=datetime.now(UTC))
