"""Who holds which blob, and the routes for uploading and reading them. The bytes are kept by `registry.storage`.

The store knows content only by its digest, whoever put it there. A tenant may read what a principal of that tenant
has put, so knowing a digest is not enough: the bytes have to be brought once by each tenant.
"""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import BigInteger
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from registry.auth import Caller, CallerDep
from registry.db import Base
from registry.runtime import Runtime, RuntimeDep
from sdk.errors import NotFound
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.ids import PrincipalId, TenantName
from sdk.spec.policy import Role

UPLOADERS = (Role.OWNER, Role.TRAINER, Role.TRAINING_SERVICE)
READERS = (Role.REVIEWER, Role.OWNER, Role.TRAINER, Role.TRAINING_SERVICE, Role.AUDITOR)

router = APIRouter(prefix="/v1/blobs", tags=["blobs"])


class BlobHolderRow(Base):
    """A tenant holds a blob; inserted only."""

    __tablename__ = "blob_holders"

    digest: Mapped[Digest] = mapped_column(primary_key=True)
    tenant: Mapped[TenantName] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    put_by: Mapped[PrincipalId]
    put_at: Mapped[datetime]


def hold(session: Session, runtime: Runtime, *, caller: Caller, digest: Digest, size: int) -> bool:
    """Note that the caller's tenant holds a blob; whether that is new."""
    statement = insert(BlobHolderRow).values(
        digest=digest, tenant=caller.tenant, size=size, put_by=caller.principal, put_at=runtime.clock()
    )
    statement = statement.on_conflict_do_nothing(index_elements=["digest", "tenant"])
    return session.scalar(statement.returning(BlobHolderRow.size)) is not None


def held_size(session: Session, tenant: TenantName, digest: Digest) -> int:
    """Bytes of a blob that `tenant` holds.

    Raises:
        NotFound: nobody of this tenant has put it.
    """
    row = session.get(BlobHolderRow, (digest, tenant))
    if row is None:
        raise NotFound(f"{tenant} holds no blob {digest}; upload it with PUT /v1/blobs/{digest}")
    return row.size


async def _upload(request: Request, caller: CallerDep) -> bytes:
    caller.require(*UPLOADERS)  # before anything is read from who may bring nothing
    return await request.body()  # bounded by `registry.limits`


@router.put("/{digest}", status_code=201, responses={200: {"description": "held already"}})
def put_blob(
    digest: Digest, runtime: RuntimeDep, caller: CallerDep, response: Response, content: bytes = Depends(_upload)
) -> None:
    """Store the body under its digest."""
    runtime.blobs.put(verify_digest(content, digest, "uploaded blob"))
    with runtime.transaction(caller.tenant) as session:
        new = hold(session, runtime, caller=caller, digest=digest, size=len(content))
    response.status_code = 201 if new else 200


@router.get("/{digest}", response_class=Response)
def get_blob(digest: Digest, runtime: RuntimeDep, caller: CallerDep) -> Response:
    """The bytes of a blob that the caller's tenant holds."""
    caller.require(*READERS)
    with runtime.transaction(caller.tenant) as session:
        held_size(session, caller.tenant, digest)
    # An upload may be anything: a browser must neither guess its type nor show it as a page of ours.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
    return Response(runtime.blobs.get(digest), media_type="application/octet-stream", headers=headers)
