"""From a picture to its contract, and from a generation to why its pictures look as they do.

What is uploaded here is looked at and forgotten: nothing of it is stored or logged. Attention that an application kept
beside its images counts only if its digest is the one on record.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, File, Form, Response, UploadFile

from registry.console.contracts import contracts_of
from registry.console.heat import Heat, heat_of
from registry.console.pages import UPLOADS_CSP
from registry.console.sessions import require_form_token
from registry.console.view import ViewDep, may_read_versions
from registry.generations import query as reading
from registry.generations.identify import identify
from sdk.credentials.lookup import query_of, query_of_crops
from sdk.credentials.picture import read_picture
from sdk.credentials.read import look_for_credentials
from sdk.errors import InputError
from sdk.spec.canonical import parse_wire
from sdk.spec.digest import Digest
from sdk.spec.explanation import GenerationAttention
from sdk.spec.identify import Likeness
from sdk.spec.ids import RecordId

SHOWN_SIDE: Final = 384  # pixels of a picture on a page
Upload = Annotated[UploadFile | None, File()]
FormToken = Annotated[str, Form(max_length=5000)]

router = APIRouter(prefix="/origins")


class Recognised(StrEnum):
    """By what a picture was recognised, strongest first."""

    FILE = "file"  # it is the very file
    WATERMARK = "watermark"
    LIKENESS = "likeness"  # a near fingerprint


@dataclass(frozen=True, kw_only=True)
class Looked:
    """A picture, and where it attended to what."""

    digest: Digest
    picture: str | None  # as a data URI, if its file was given
    maps: tuple[Heat, ...]


@router.get("")
def ask(view: ViewDep) -> Response:
    """The form: whose picture is this?"""
    reading.readable_of(view.runtime, view.caller)
    return view.page("origins.html", found=None)


@router.post("")
def find(view: ViewDep, form_token: FormToken, picture: Upload = None) -> Response:
    """Where the picture comes from: its credentials, the generations that it is of or looks like, and their contracts."""
    require_form_token(view.secret, form_token)
    content = _content(picture)
    shown = read_picture(content)
    query = query_of(content, shown)
    with view.runtime.transaction(view.caller.tenant) as session:
        matches = identify(session, view.runtime, view.caller, query).matches
        if not matches:
            matches = identify(session, view.runtime, view.caller, query_of_crops(query, shown)).matches
        names = [name for match in matches for name in match.generation.versions]
        contracts = contracts_of(session, view.runtime, view.caller, names)
    trust = view.runtime.trust_root
    said = look_for_credentials(content, trust.credential_authorities, trust.time_stamp_authorities or ())
    return view.page(
        "origins.html",
        csp=UPLOADS_CSP,
        found=matches,
        recognised={match.image: _recognised(match).value for match in matches},
        digest=query.digest,
        picture=_data_uri(content),
        said=said,
        contracts=contracts,
        linked=may_read_versions(view.caller),
    )


@router.post("/{generation}/explanation")
def explain(
    generation: RecordId,
    view: ViewDep,
    form_token: FormToken,
    attention: Upload = None,
    pictures: Annotated[Sequence[UploadFile], File(max_length=64)] = (),
) -> Response:
    """Why the pictures of a generation look as they do, from the attention that was kept beside them."""
    require_form_token(view.secret, form_token)
    with view.runtime.transaction(view.caller.tenant) as session:
        found = reading.one(session, view.runtime, view.caller, generation)
        contracts = contracts_of(session, view.runtime, view.caller, found.versions)
    kept = parse_wire(GenerationAttention, _content(attention), "attention")
    if kept.digest != found.attention:
        raise InputError(
            f"the attention has digest {kept.digest}, but {found.attention or 'none'} is on record for {generation}: it is "
            "not what was seen while drawing"
        )
    given = {Digest.of(content): content for each in pictures if (content := each.file.read())}
    looked = tuple(
        Looked(
            digest=image.image,
            picture=_data_uri(given[image.image]) if image.image in given else None,
            maps=tuple(map(heat_of, image.concepts)),
        )
        for image in kept.images
    )
    return view.page(
        "explanation.html",
        csp=UPLOADS_CSP,
        generation=found,
        looked=looked,
        contracts=contracts,
        linked=may_read_versions(view.caller),
    )


def _content(upload: UploadFile | None) -> bytes:
    content = upload.file.read() if upload else b""
    if not content:
        raise InputError("no file was chosen; choose one and send the form again")
    return content


def _recognised(match: Likeness) -> Recognised:
    if match.watermark:
        return Recognised.WATERMARK
    return Recognised.FILE if match.distance is None else Recognised.LIKENESS


def _data_uri(content: bytes) -> str:
    """The picture decoded and encoded anew, small: nothing of the uploaded file itself is shown."""
    shown = read_picture(content)
    shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    encoded = io.BytesIO()
    shown.save(encoded, "PNG")
    return "data:image/png;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")
