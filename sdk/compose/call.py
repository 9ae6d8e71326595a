"""The compose call: images with learned concepts, or a refusal that says why.

It reads top to bottom, and the order is the promise. Nothing is generated before every concept passed every check;
nothing is handed out that was not recorded:
1. Resolve    references to version bundles, by the registry's answer or one that an earlier call verified (`sdk.compose.premises`).
2. Verify     every bundle (`sdk.verify`), and that the log extends what was seen of it before.
3. Enforce    the policies here, on all concepts together. A refusal is told to the registry, which decides and records it.
4. Record     the intent; the registry's decision of record must permit it too, and mean by the references what we do.
5. Generate   with the embeddings that come with the grant, each checked against its manifest.
6. Credential every image with signed Content Credentials.
7. Record     the result, signed.
8. Verify     again that every version is live, by status lists that are fresh now. Only then are the images returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sdk.cache import LogWatch
from sdk.client import Client
from sdk.compose.bar import progress_bar
from sdk.compose.checking import enforce_policy, require_base_model, require_live
from sdk.compose.drawing import concept_use, generate_pictures, load_for, mark_picture
from sdk.compose.explaining import explain_composition, keep_attention
from sdk.compose.grant import RefusedHere
from sdk.compose.options import check_fee, check_key, check_options, check_photo, check_run, check_use, check_whole
from sdk.compose.premises import Premises, on_premises
from sdk.compose.recording import make_intent, open_generation, record_result, report_refusal
from sdk.compose.samples import signed_samples
from sdk.compose.values import (
    Clock,
    ComposeProgress,
    Composer,
    ComposeStage,
    Composition,
    OnProgress,
    Run,
    Watcher,
)
from sdk.compose.versions import resolve_versions, verify_versions
from sdk.credentials.signer import load_credential_signer
from sdk.generate.photo import GivenPhoto, Photo
from sdk.generate.pipeline import LoadedPipeline
from sdk.generate.places import GivenPlace
from sdk.generate.scene import Scene, concept_of, name_concepts, parse_scene
from sdk.profile import Profile, load_profile
from sdk.resolve import (
    log_memory,
    require_witnessed,
    shared_connection,
    watch_log,
    witness_policy,
)
from sdk.signing.signer import load_key_file
from sdk.signing.trust import TrustRoot
from sdk.spec.api import GenerationGrant, GenerationIntent
from sdk.spec.explanation import ConceptAttention
from sdk.spec.money import Money
from sdk.spec.policy import Use
from sdk.spec.sampling import MAX_STEPS, Sampling
from sdk.verify import VerifiedVersion


def utc_now() -> datetime:
    """The clock of a call that is given no other."""
    return datetime.now(UTC)


def compose(
    concepts: Sequence[str] | Mapping[str, str],
    scene: str,
    *,
    purpose: str,
    territory: str,
    channel: str,
    count: int = 1,
    seed: int = 0,
    seeds: Sequence[int] | None = None,
    steps: int = 30,
    guidance: float = 5.0,
    scheduler: str = "ddim",
    negative_prompt: str | None = None,
    size: tuple[int, int] | None = None,
    layout: Mapping[str, GivenPlace] | None = None,
    leakage: float = 1.0,
    photo: GivenPhoto | None = None,
    photo_mask: GivenPhoto | None = None,
    strength: float = 0.75,
    progress: bool = False,
    preview_every: int = 0,
    explain: bool = False,
    fee: tuple[str, str] | None = None,
    run: str | None = None,
    idempotency_key: str | None = None,
    profile: Profile | Path | str | None = None,
    client: Client | None = None,
    on_progress: OnProgress | None = None,
    clock: Clock = utc_now,
) -> Composition:
    """Generate `count` images of `scene` with approved concepts.

    `concepts` are references (`tenant/name`, or with `@number`), written in the scene as `{tenant/name}`; a mapping
    gives them short names: `{"hero": "demo/fox"}` and `{hero}`. Image i is drawn under `seed + i`, or under `seeds[i]`.
    `scheduler` is a name of `sdk.spec.sampling.Scheduler`. `layout` gives a concept a place by its name in the scene:
    (left, top, right, bottom) in fractions of the canvas, or a mask; `leakage` says how much placed concepts see of
    each other. `photo` is drawn into, where `photo_mask` is white, as far as `strength` lets it change. `progress` shows
    a bar; `on_progress` is told every step, with a small preview every `preview_every` steps; `explain` keeps what each
    image attended to (`Composition.explain`). `fee` is what is charged for the generation, such as ("JPY", "4000"): where a
    licence has a share of it, it is stated with the result. `run` says where images are drawn: "local" or "service"; by default here,
    if the profile has a base model. `idempotency_key` names the call: repeated under the same one within five minutes,
    before a result is recorded, its images are counted once. `profile` is who composes; `client` replaces the connection that it describes;
    `clock` the time.

    Raises:
        NotApproved: a version is not approved (any more), nor opened by break-glass and named by its number or digest.
        VerificationError: a proof does not hold.
        PolicyDenied: policy refuses the use; `decision` says which rule, and who can change it.
        SceneError, InputError: the scene or a number cannot be used.
        Conflict: `idempotency_key` named another call, or one whose result is recorded.
    """
    names = name_concepts(concepts)
    placeholders = {name: concept_of(reference) for name, reference in names.items()}
    parsed = parse_scene(scene, placeholders)
    count, sampling = check_options(
        placeholders,
        count=count,
        seed=seed,
        seeds=seeds,
        steps=steps,
        guidance=guidance,
        scheduler=scheduler,
        negative_prompt=negative_prompt,
        size=size,
        layout=layout,
        leakage=leakage,
    )
    place, key = check_run(run), check_key(idempotency_key)
    parent, sampling = check_photo(photo, photo_mask, strength, sampling, place)
    preview_every = check_whole("preview_every", preview_every, 0, MAX_STEPS)
    use, charged = check_use(purpose, territory, channel), check_fee(fee)
    chosen = profile if isinstance(profile, Profile) else load_profile(profile)
    if place is None and parent is None and chosen.base_model is None and chosen.trainer is not None:
        place = Run.SERVICE
    with ExitStack() as opened:
        told = [opened.enter_context(progress_bar())] if progress else []
        watcher = Watcher((*told, *((on_progress,) if on_progress else ())), preview_every)
        composer = _composer(chosen, client or shared_connection(chosen), clock, place or Run.LOCAL)
        asked = Asked(scene=parsed, use=use, sampling=sampling, count=count, photo=parent, explain=explain, fee=charged)
        return _compose(replace(composer, key=key), tuple(names.values()), asked, watcher)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a call asks for, checked."""

    scene: Scene
    use: Use
    sampling: Sampling
    count: int
    photo: Photo | None
    explain: bool
    fee: Money | None


def _compose(composer: Composer, references: tuple[str, ...], asked: Asked, watcher: Watcher) -> Composition:
    scene, sampling, count, photo = asked.scene, asked.sampling, asked.count, asked.photo
    try:
        permitted = on_premises(
            composer, lambda premises: _permit(composer, references, asked, premises, watcher)
        )  # 1 to 4
    except RefusedHere as exc:
        report_refusal(composer, exc, scene, sampling)
        raise
    trust, log, versions, grant = permitted.trust, permitted.log, permitted.versions, permitted.grant

    watcher.tell(ComposeProgress(stage=ComposeStage.GENERATE, images=count, steps=sampling.steps))
    attended: list[Sequence[ConceptAttention]] = []
    on_attention = attended.append if asked.explain else None
    pictures = generate_pictures(
        composer, permitted.loaded, grant, versions, scene, sampling, count, photo, watcher, on_attention
    )  # 5

    watcher.tell(ComposeProgress(stage=ComposeStage.CREDENTIAL, images=count))
    facts = concept_use(composer, grant, versions, permitted.intent, trust)
    signer, samples = composer.credential_signer, permitted.samples
    images = tuple(mark_picture(picture, facts, signer, photo, samples) for picture in pictures)  # 6

    watcher.tell(ComposeProgress(stage=ComposeStage.RESULT, images=count))
    attention = keep_attention(grant.id, images, attended) if asked.explain else None
    receipt = record_result(composer, grant.id, versions, images, attention, asked.fee, trust, log)  # 7
    require_live(composer, versions, trust)  # 8
    explanation = explain_composition(
        composer, grant, permitted.intent, versions, receipt, attention, trust, permitted.decided_at
    )
    return Composition(
        images=images,
        generation_id=grant.id,
        decision=grant.decision,
        receipt=receipt,
        versions=versions,
        explanation=explanation,
    )


@dataclass(frozen=True, kw_only=True)
class Permitted:
    """What is known when the registry's permit is on record."""

    trust: TrustRoot
    log: LogWatch
    versions: tuple[VerifiedVersion, ...]
    decided_at: datetime
    samples: Mapping[str, bytes]
    loaded: LoadedPipeline | None
    intent: GenerationIntent
    grant: GenerationGrant


def _permit(
    composer: Composer,
    references: tuple[str, ...],
    asked: Asked,
    premises: Premises,
    watcher: Watcher,
) -> Permitted:
    watcher.tell(ComposeProgress(stage=ComposeStage.RESOLVE))
    meant = resolve_versions(composer, references, premises)  # 1

    watcher.tell(ComposeProgress(stage=ComposeStage.VERIFY))
    trust = premises.trust
    log = watch_log(composer.client, trust, composer.memory)
    versions, now = verify_versions(composer, meant, premises, log)  # 2
    relied_on = [index for version in versions for index in version.approval_indices]
    relied_on += [version.break_glass.log_index for version in versions if version.break_glass]
    require_witnessed(composer.client, log, trust, witness_policy(composer.profile), relied_on)
    executor = require_base_model(composer, versions)
    samples = signed_samples(composer.client, versions)

    watcher.tell(ComposeProgress(stage=ComposeStage.ENFORCE))
    enforced = enforce_policy(premises, versions, asked.use, asked.count, now)  # 3
    loaded = load_for(composer, versions, asked.scene, asked.sampling)

    watcher.tell(ComposeProgress(stage=ComposeStage.INTENT))
    intent = make_intent(composer, enforced, asked.scene, asked.sampling, executor)
    grant = open_generation(composer, intent, references, enforced, trust, log)  # 4
    return Permitted(
        trust=trust,
        log=log,
        versions=versions,
        decided_at=now,
        samples=samples,
        loaded=loaded,
        intent=intent,
        grant=grant,
    )


def _composer(profile: Profile, client: Client, clock: Clock, run: Run) -> Composer:
    return Composer(
        client=client,
        profile=profile,
        signer=load_key_file(profile.need("signing_key")),
        credential_signer=load_credential_signer(
            profile.need("content_credentials"),
            holder=profile.principal,
            now=utc_now(),  # readers of images go by the real time, whatever clock a call is given
            time_stamp_url=profile.time_stamp_url,
        ),
        base_model=profile.need("base_model") if run is Run.LOCAL else None,
        memory=log_memory(profile),
        clock=clock,
    )
