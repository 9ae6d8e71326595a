"""/v1/log: checkpoint and tiles for everybody (C2SP tlog-tiles), entries and receipts for auditors.

Full tiles never change and may be cached for ever; checkpoints and partial tiles may not.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response

from registry.auth import CallerDep
from registry.log import proofs
from registry.log import query as reading
from registry.runtime import RuntimeDep
from sdk.errors import FormatError, NotFound
from sdk.spec.api import LogPage, LogQuery
from sdk.spec.log_entry import ConsistencyProof, LogReceipt
from sdk.spec.log_proof import MEDIA_TYPE as PROOF_MEDIA_TYPE
from sdk.spec.log_proof import encode_log_proof, proof_of_receipt
from sdk.spec.log_tiles import TILE_WIDTH, parse_tile_index

IMMUTABLE: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
FRESH: Final = {"Cache-Control": "no-store"}
_TILE = re.compile(r"(?P<index>[x0-9/]{3,30}?)(?:\.p/(?P<width>[1-9][0-9]{0,2}))?")

router = APIRouter(prefix="/v1/log", tags=["log"])


@router.get("/checkpoint", response_class=Response)
def get_checkpoint(runtime: RuntimeDep) -> Response:
    """The signed note over everything committed."""
    with runtime.transaction() as session:
        note = proofs.checkpoint_note(session, runtime)
    return Response(note, media_type="text/plain; charset=utf-8", headers=FRESH)


@router.get("/checkpoint/witnessed", response_class=Response)
def get_witnessed_checkpoint(runtime: RuntimeDep) -> Response:
    """The newest signed note that a quorum of the registry's witnesses cosigned."""
    with runtime.transaction() as session:
        size = proofs.witnessed_size(session, runtime)
        if size is None:
            raise NotFound(
                "no quorum of witnesses has cosigned a checkpoint here; see witness_policy in docs/operators.md"
            )
        note = proofs.checkpoint_note(session, runtime, size)
    return Response(note, media_type="text/plain; charset=utf-8", headers=FRESH)


@router.get("/tile/entries/{place:path}", response_class=Response)
def get_entry_bundle(place: str, runtime: RuntimeDep) -> Response:
    """A bundle of up to 256 entries."""
    index, width = parse_place(place)
    with runtime.transaction() as session:
        content = reading.entry_bundle(session, index, width)
    return _tile_response(content, width)


@router.get("/tile/{level}/{place:path}", response_class=Response)
def get_tile(level: Annotated[int, Path(ge=0, le=63)], place: str, runtime: RuntimeDep) -> Response:
    """A tile of up to 256 hashes."""
    index, width = parse_place(place)
    with runtime.transaction() as session:
        content = reading.tile(session, level, index, width)
    return _tile_response(content, width)


@router.get("/entries")
def get_entries(query: Annotated[LogQuery, Query()], runtime: RuntimeDep, caller: CallerDep) -> LogPage:
    """The entries of the caller's tenant, filtered."""
    reading.require_reader(runtime, caller)
    with runtime.transaction(caller.tenant) as session:
        return reading.page(session, caller.tenant, query)


@router.get("/receipts/{index}")
def get_receipt(index: Annotated[int, Path(ge=0, lt=2**62)], runtime: RuntimeDep, caller: CallerDep) -> LogReceipt:
    """Proof that an entry of the caller's tenant is in the log."""
    reading.require_reader(runtime, caller)
    with runtime.transaction(caller.tenant) as session:
        reading.require_entry_of(session, caller.tenant, index)
        return proofs.receipts(session, runtime, [index])[0]


@router.get("/proofs/{index}", response_class=Response)
def get_proof(index: Annotated[int, Path(ge=0, lt=2**62)], runtime: RuntimeDep, caller: CallerDep) -> Response:
    """A receipt as a `.tlog-proof` file (C2SP tlog-proof): of the caller's own act, or to auditors of any."""
    with runtime.transaction(caller.tenant) as session:
        reading.require_reader_of_entry(session, runtime, caller, index)
        proof = proof_of_receipt(proofs.file_receipt(session, runtime, index))
    headers = FRESH | {"Content-Disposition": f'attachment; filename="entry-{index}.tlog-proof"'}
    return Response(encode_log_proof(proof), media_type=PROOF_MEDIA_TYPE, headers=headers)


@router.get("/consistency")
def get_consistency(
    old_size: Annotated[int, Query(ge=0, lt=2**62)],
    new_size: Annotated[int, Query(ge=0, lt=2**62)],
    runtime: RuntimeDep,
    caller: CallerDep,
) -> ConsistencyProof:
    """Proof that the log of one size extends the log of another."""
    with runtime.transaction(caller.tenant) as session:
        return proofs.prove_consistency(session, old_size=old_size, new_size=new_size)


def parse_place(place: str) -> tuple[int, int]:
    """Read `x001/067` or `000.p/17` as tile index and width.

    Raises:
        NotFound: no tile is ever named so.
    """
    match = _TILE.fullmatch(place)
    width = int(match["width"] or TILE_WIDTH) if match else 0
    if not match or not (1 <= width < TILE_WIDTH or (width == TILE_WIDTH and match["width"] is None)):
        raise NotFound(f"no tile of the log is named {place!r}; see https://c2sp.org/tlog-tiles")
    try:
        return parse_tile_index(match["index"]), width
    except FormatError as exc:
        raise NotFound(f"no tile of the log is named {place!r}: {exc.message}") from exc


def _tile_response(content: bytes, width: int) -> Response:
    headers = IMMUTABLE if width == TILE_WIDTH else FRESH
    return Response(content, media_type="application/octet-stream", headers=headers)
