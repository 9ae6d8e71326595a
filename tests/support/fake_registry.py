"""A registry in memory behind an HTTP transport: enough for compose and the command line, and easy to make lie.

It answers the routes of `sdk.spec.api` from a `World`; `overrides` replaces the answer of one route. The real registry
is exercised by the journey tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from support.governed import NOW, World, fixed_signer, record_id

from sdk.client import Client
from sdk.compose.question import composition_context
from sdk.errors import Conflict, ImprimaturError, NotFound, PolicyDenied
from sdk.policy.bundle import PolicyBundle, load_bundle
from sdk.policy.cedar import CedarEngine
from sdk.signing.grants import sign_grant
from sdk.signing.trust import TrustRole, sign_trust_root, verify_role
from sdk.spec.api import (
    GenerationGrant,
    GenerationIntent,
    GenerationList,
    GenerationResult,
    GenerationView,
    LoggedEntry,
    LogPage,
    Problem,
    VersionView,
    WhoAmI,
)
from sdk.spec.bundle import VersionBundle, VersionStatus
from sdk.spec.canonical import WireModel, encode_canonical, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.grant import GrantedVersion, GrantPredicate
from sdk.spec.identify import NEAR, IdentifyAnswer, IdentifyQuery, Likeness
from sdk.spec.ids import RecordId, parse_version_ref
from sdk.spec.log_entry import AuditEventType, ConsistencyProof, LogReceipt, parse_log_entry
from sdk.spec.log_tiles import TILE_WIDTH, parse_tile_index
from sdk.spec.manifest import ArtefactRole
from sdk.spec.opening import GrownReceipt, ReleasedArtefact
from sdk.spec.policy import Decision, Effect, PolicyContext, PolicyPrincipal, Role
from sdk.verify import verify_version

POLICIES = Path(__file__).resolve().parents[2] / "policies"
Answer = WireModel | bytes


def generation_id(number: int) -> RecordId:
    """The id of the generation that is the `number`th, from 1."""
    return record_id("gen", "abcdefghijklmnopqrstuvwxyz"[(number - 1) % 26])


def digest_of(value: WireModel) -> Digest:
    """The digest of a value's canonical form, as log entries name evidence."""
    return Digest.of(encode_canonical(value))


class FakeRegistry:
    """One registry over a world of versions."""

    def __init__(self, *worlds: World, principal: str = "demo/app", roles: tuple[Role, ...] = (Role.APP,)) -> None:
        self.worlds = {str(world.manifest.concept): world for world in worlds}
        self.log = worlds[0].log
        self.trust = worlds[0].trust
        self.status = dict.fromkeys(self.worlds, VersionStatus.APPROVED)
        self.principal, self.roles = principal, roles
        self.policies: PolicyBundle = load_bundle(POLICIES)
        self.effect: Effect | None = None  # what is answered whatever the policies say
        self.blobs: dict[Digest, bytes] = {}
        self.intents: list[GenerationIntent] = []
        self.denied: list[GenerationIntent] = []
        self.results: list[GenerationResult] = []
        self.reviews: list[Envelope] = []
        self.asked: list[str] = []
        self.overrides: dict[str, Callable[[], Answer | ImprimaturError]] = {}
        self.ended: dict[str, ImprimaturError] = {}  # idempotency keys whose call cannot go on, and why
        self.tuf = Path("/nonexistent")  # the folder of a TUF repository
        self.permitted_at: datetime = NOW
        self.clock: Callable[[], datetime] = lambda: NOW  # of the status lists and decisions

    def client(self) -> Client:
        carrier = httpx.MockTransport(self._answer)
        return Client("http://registry.test", "imp_x", transport=carrier, sleep=lambda seconds: None)

    def bundle(self, concept: str) -> VersionBundle:
        return self.worlds[concept].bundle(status=self.status[concept])

    def _tuf(self, name: str) -> bytes | ImprimaturError:
        try:
            return (self.tuf / name).read_bytes()
        except FileNotFoundError:
            return NotFound(name)

    def status_list(self) -> bytes:
        """One list over all worlds, which share a log."""
        world = next(iter(self.worlds.values()))
        statuses = {each.submission_index: self.status[concept] for concept, each in self.worlds.items()}
        return world.status_list(at=self.clock(), statuses=statuses)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(f"{request.method} {path}")
        override = next(
            (make for part, make in self.overrides.items() if re.search(part, f"{request.method} {path}")), None
        )
        answer = override() if override else self._route(request.method, path, request)
        if isinstance(answer, ImprimaturError):
            decision = answer.decision if isinstance(answer, PolicyDenied) else None
            problem = Problem(
                type="x", title="no", status=409, detail=answer.message, code=answer.code, decision=decision
            )
            return httpx.Response(409, content=encode_canonical(problem))
        return httpx.Response(200, content=answer if isinstance(answer, bytes) else encode_canonical(answer))

    def _route(self, method: str, path: str, request: httpx.Request) -> Answer | ImprimaturError:
        if path == "/v1/trust-root":
            return sign_trust_root(self.trust, fixed_signer("root"))
        if path == "/v1/whoami":
            return WhoAmI(principal=self.principal, tenant="demo", roles=self.roles)
        if path == "/v1/policies":
            return self.policies.view()
        if path == "/v1/resolve":
            return self.bundle(parse_version_ref(request.url.params["ref"]).concept)
        if path.startswith("/v1/tuf/"):
            return self._tuf(path.removeprefix("/v1/tuf/"))
        if path.startswith("/v1/status/"):
            return self.status_list()
        if path.startswith("/v1/log/"):
            return self._log(path.removeprefix("/v1/log/"), request)
        if path == "/v1/generations/identify":
            return self._identify(parse_wire(IdentifyQuery, request.content, "query"))
        if path.startswith("/v1/generations"):
            return self._generation(method, path, request)
        if re.fullmatch(r"/v1/concepts/demo/\w+/versions/1/files/sha256:[0-9a-f]{64}", path):
            return self.blobs[Digest(path.rpartition("/")[2])]
        if match := re.fullmatch(r"/v1/concepts/(demo/\w+)/versions/1(/reviews|/revocation)?", path):
            return self._version(match[1], bool(match[2]), request)
        raise AssertionError(f"the fake has no {method} {path}")

    def _version(self, concept: str, reviewed: bool, request: httpx.Request) -> Answer:
        if not reviewed:
            return self.bundle(concept)
        self.reviews.append(parse_wire(Envelope, request.content, "review"))
        return VersionView(
            concept=concept,
            number=1,
            status=VersionStatus.APPROVED,
            manifest=self.worlds[concept].manifest.digest,
            submitted_by="demo/training-service",
            submitted_at=NOW,
            approvals=1,
            approvals_required=1,
        )

    def _log(self, path: str, request: httpx.Request) -> Answer:
        if path == "checkpoint":
            return self.log.note()
        if path == "consistency":
            old, new = int(request.url.params["old_size"]), int(request.url.params["new_size"])
            return ConsistencyProof(old_size=old, new_size=new, hashes=tuple(self.log.consistency(old, new)))
        if path == "entries":
            entries = [LoggedEntry(index=i, entry=parse_log_entry(c)) for i, c in enumerate(self.log.contents)]
            return LogPage(entries=tuple(entries))
        _, level, rest = path.split("/", 2)
        index, _, width = rest.partition(".p/")
        wide = int(width or TILE_WIDTH)
        if level == "entries":
            return self.log.log_entry_bundle(parse_tile_index(index), width=wide)
        return self.log.log_tile(int(level), parse_tile_index(index), width=wide)

    def _generation(self, method: str, path: str, request: httpx.Request) -> Answer | ImprimaturError:
        if "/artefacts/" in path:
            return self.blobs[Digest(path.rpartition("/")[2])]
        if path.endswith("/result"):
            recorded = parse_wire(GenerationResult, request.content, "result")
            receipt = self._result(RecordId(path.split("/")[-2]), recorded)
            return GrownReceipt(**dict(receipt), growth=self._growth(request))
        if method == "GET" and path != "/v1/generations":
            number = next(n for n in range(len(self.intents)) if path.endswith(generation_id(n + 1)))
            return self._view(number)
        if method == "GET":
            return GenerationList(generations=tuple(self._view(index) for index in range(len(self.intents))))
        return self._open(parse_wire(GenerationIntent, request.content, "intent"), request)

    def _open(self, intent: GenerationIntent, request: httpx.Request) -> Answer | ImprimaturError:
        asked = request.url.params
        if why := self.ended.get(intent.idempotency_key):
            return why
        for reference in asked.get_list("meant"):
            concept = parse_version_ref(reference).concept
            if self.status[concept] is not VersionStatus.APPROVED:
                return Conflict(f"{reference} is not approved any more; resolve it again")
            if self.worlds[concept].manifest.digest not in intent.manifests:
                return Conflict(f"{reference} means another version by now; resolve it again")
        said = self.decision(self.context(intent))
        if self.effect is None and not said.permitted:
            self.denied.append(intent)
            return PolicyDenied("compose is refused", said)
        granted = self.grant(intent)
        released = tuple(
            ReleasedArtefact(digest=digest, content=self.blobs[digest]) for digest in self._embeddings(intent)
        )
        return granted.model_copy(
            update={"growth": self._growth(request), "released": released if asked.get("release") == "true" else None}
        )

    def _embeddings(self, intent: GenerationIntent) -> list[Digest]:
        manifests = [self._named(manifest).manifest for manifest in intent.manifests]
        return [each.digest for manifest in manifests for each in manifest.by_role(ArtefactRole.EMBEDDING)]

    def _growth(self, request: httpx.Request) -> ConsistencyProof | None:
        since = request.url.params.get("since")
        size = len(self.log.contents)
        if since is None or int(since) > size:
            return None
        return ConsistencyProof(
            old_size=int(since), new_size=size, hashes=tuple(self.log.consistency(int(since), size))
        )

    def grant(self, intent: GenerationIntent) -> GenerationGrant:
        """Leave to do what `intent` says, as an honest registry gives it."""
        self.intents.append(intent)
        generation, context = generation_id(len(self.intents)), self.context(intent)
        decision = self.decision(context)
        signed = sign_grant(self.leave(generation, intent, decision), fixed_signer("decision"))
        evidence = {name: digest_of(value) for name, value in {"intent": intent, "decision": decision}.items()}
        evidence |= {"context": context.digest, "grant": signed.digest}
        index = self.log.append(
            AuditEventType.GENERATION_PERMITTED,
            generation,
            actor=self.principal,
            evidence=evidence,
            facts={"versions": " ".join(self._named(manifest).name for manifest in intent.manifests)},
        )
        return GenerationGrant(
            id=generation,
            decision=decision,
            context=context,
            grant=signed,
            receipt=self.log.receipt(index),
            expires_at=NOW + timedelta(minutes=10),
        )

    def leave(self, generation: RecordId, intent: GenerationIntent, decision: Decision) -> GrantPredicate:
        """The grant itself; a test changes one thing."""
        worlds = [self._named(manifest) for manifest in intent.manifests]
        return GrantPredicate(
            generation=generation,
            application=self.principal,
            executor=intent.executor or self.principal,
            intent=digest_of(intent),
            versions=tuple(
                GrantedVersion(
                    concept=world.manifest.concept,
                    number=world.number,
                    manifest=world.manifest.digest,
                    terms=world.terms,
                )
                for world in worlds
            ),
            use=intent.use,
            count=intent.count,
            scene=intent.scene,
            sampling=intent.sampling,
            base_model=intent.base_model,
            decision=digest_of(decision),
            policy_bundle=decision.bundle,
            issued_at=NOW,
            expires_at=NOW + timedelta(minutes=10),
            nonce="0" * 32,
        )

    def context(self, intent: GenerationIntent) -> PolicyContext:
        """The question as an honest registry puts it."""
        named = [self._named(manifest) for manifest in intent.manifests]
        versions = [
            verify_version(
                world.bundle(),
                ref=parse_version_ref(world.name),
                trust=world.trust,
                now=NOW,
                status_list=world.status_list(),
            )
            for world in named
        ]
        asker = PolicyPrincipal(id=self.principal, roles=self.roles)
        return composition_context(asker, versions, intent.use, count=intent.count, at=self.clock())

    def _named(self, manifest: Digest) -> World:
        return next(world for world in self.worlds.values() if world.manifest.digest == manifest)

    def _identify(self, query: IdentifyQuery) -> Answer:
        matches = []
        for number, result in enumerate(self.results):
            for image in result.images:
                pairs = [
                    (asked, held) for asked in (*query.fingerprints, *query.crops) for held in image.fingerprints or ()
                ]
                distance = min((asked.distance(held) for asked, held in pairs), default=NEAR + 1)
                marked = image.watermark if image.watermark in query.watermarks else None
                near = distance if distance <= NEAR else None
                known = image.digest == query.digest
                if known or marked or near is not None:
                    said = {} if known else {"watermark": marked, "distance": near}
                    matches.append(Likeness(generation=self._view(number), image=image.digest, **said))
        return IdentifyAnswer(matches=tuple(sorted(matches, key=lambda match: match.distance or -1)))

    def _result(self, generation: RecordId, result: GenerationResult) -> LogReceipt:
        verify_role(result.statement, self.trust, TrustRole.GENERATION)
        self.results.append(result)
        index = self.log.append(
            AuditEventType.GENERATION_RECORDED,
            generation,
            actor=self.principal,
            evidence={"result": digest_of(result)},
            facts={"images": str(len(result.images))},
        )
        return self.log.receipt(index)

    def decision(self, context: PolicyContext) -> Decision:
        """What the policies say, or what `effect` makes of it, a lie."""
        said = CedarEngine(self.policies).evaluate(context)
        return said if self.effect is None else said.model_copy(update={"effect": self.effect})

    def _view(self, number: int) -> GenerationView:
        events = [parse_log_entry(content).event for content in self.log.contents]
        recorded = AuditEventType.GENERATION_RECORDED in events
        return GenerationView(
            id=generation_id(number + 1),
            application=self.principal,
            intent=self.intents[number],
            decision=self.decision(self.context(self.intents[number])),
            versions=tuple(world.name for world in self.worlds.values()),
            permitted_at=self.permitted_at,
            images=self.results[0].images if self.results else (),
            attention=self.results[0].attention if self.results else None,
            intent_index=events.index(AuditEventType.GENERATION_PERMITTED),
            result_index=events.index(AuditEventType.GENERATION_RECORDED) if recorded else None,
        )
