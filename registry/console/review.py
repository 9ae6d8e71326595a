"""What reviewers read: a version with everything an approval is about, its pictures and its report.

A verdict is signed with the reviewer's own key, which never comes here: the page names the command that signs it, with
the digest that the reader has just seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from registry.approvals import break_glass
from registry.approvals import query as approvals
from registry.blobs import READERS
from registry.concepts import service as concepts
from registry.console.changes import Standing, changes_between
from registry.console.pages import FILE_CSP, REPORT_CSP, guarded
from registry.console.renewals import asks_for, may_ask, renewals_of
from registry.console.view import BASE, ViewDep
from registry.console.work import may_assign, may_comment
from registry.reviews import query as work
from registry.versions import reading, service
from registry.versions.lifecycle import WAITING
from registry.versions.preview import preview
from registry.versions.version import Version
from sdk.errors import NotFound
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ArtefactDescriptor, ArtefactRole, ConceptManifest
from sdk.spec.policy import Role
from sdk.spec.review import threaded

Number = Annotated[int, Path(ge=1, lt=2**31)]
PICTURE_TYPES: Final[Mapping[bytes, str]] = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
HTML: Final = "text/html"

router = APIRouter()


@router.get("/concepts/{tenant}/{name}/versions/{number}")
def show_version(tenant: str, name: str, number: Number, view: ViewDep) -> Response:
    """Everything that an approval of this version would be about."""
    view.caller.require(*READERS)
    runtime, caller = view.runtime, view.caller
    now = runtime.clock()
    with runtime.transaction(caller.tenant) as session:
        version = service.load(session, caller.tenant, ConceptId(f"{tenant}/{name}"), number)
        concept = concepts.load(session, caller.tenant, version.concept)
        terms = service.terms_of(session, version, now)
        earlier = reading.approved_before(session, version)
        acts = approvals.acts_on(session, version)
        glass = break_glass.of_version(session, version, terms)
        task = work.task_of(session, runtime, version) if version.review_requested_by else None
        comments = threaded(work.comments_of(session, caller, version))
        proposed, renewals = renewals_of(view, session, version, terms)
    waiting = version.stored_status in WAITING
    foreseen = approvals.foresee(runtime, caller, version, terms) if Role.REVIEWER in caller.roles else None
    return view.page(
        "version.html",
        version=version,
        manifest=version.manifest,
        concept=concept,
        status=version.status(terms),
        terms=terms,
        acts=acts,
        glass=glass,
        proposed=proposed,
        renewals=renewals,
        renews=may_ask(view, version),
        task=task,
        comments=comments,
        here=f"{BASE}/concepts/{version.concept}/versions/{version.number}",
        assigns=may_assign(view),
        comments_too=may_comment(view),
        asks=asks_for(view, version),
        foreseen=foreseen if waiting and caller.principal not in {act.by for act in acts} else None,
        earlier=earlier,
        changes=changes_between(_standing(earlier, now), _standing(version, now)) if earlier else (),
        pictures=_with_masks(version.manifest),
        samples=version.manifest.by_role(ArtefactRole.SAMPLE),
        report=_report(version.manifest),
    )


@router.get("/concepts/{tenant}/{name}/versions/{number}/files/{digest}")
def show_file(tenant: str, name: str, number: Number, digest: Digest, view: ViewDep) -> Response:
    """A picture or the report of a version, shut in: whatever it is, it can do nothing in the reader's browser."""
    view.caller.require(*READERS)
    with view.runtime.transaction(view.caller.tenant) as session:
        version = service.load(session, view.caller.tenant, ConceptId(f"{tenant}/{name}"), number)
        artefact, found = preview(session, view.runtime, view.caller, version, digest)
    content = found.open(view.runtime.blobs)
    if artefact.role is ArtefactRole.REPORT and artefact.media_type == HTML:
        return guarded(Response(content, media_type=f"{HTML}; charset=utf-8"), REPORT_CSP)
    return guarded(Response(content, media_type=_picture_type(content, artefact)), FILE_CSP)


def _picture_type(content: bytes, artefact: ArtefactDescriptor) -> str:
    """What the bytes are, whatever the manifest calls them; only pictures are shown."""
    for start, media_type in PICTURE_TYPES.items():
        if content.startswith(start):
            return media_type
    raise NotFound(f"{artefact.name} is neither a PNG nor a JPEG picture, so it is not shown; read it with the API")


def _standing(version: Version, now: datetime) -> Standing:
    return Standing(manifest=version.manifest, consents=version.consents_at(now), licences=version.licences_at(now))


def _with_masks(manifest: ConceptManifest) -> tuple[tuple[ArtefactDescriptor | None, ArtefactDescriptor | None], ...]:
    """Training pictures beside their masks, by file name; either may be missing."""
    pictures = {_base(artefact): artefact for artefact in manifest.by_role(ArtefactRole.TRAINING_PICTURE)}
    masks = {_base(artefact): artefact for artefact in manifest.by_role(ArtefactRole.MASK)}
    return tuple((pictures.get(name), masks.get(name)) for name in dict.fromkeys([*pictures, *masks]))


def _base(artefact: ArtefactDescriptor) -> str:
    return artefact.name.rpartition("/")[2]


def _report(manifest: ConceptManifest) -> ArtefactDescriptor | None:
    reports = manifest.by_role(ArtefactRole.REPORT)
    return next((artefact for artefact in reports if artefact.media_type == HTML), None)
