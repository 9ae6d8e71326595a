"""Uploads: documents of records, and artefacts on their way into a version. All are ciphertext in `registry.storage`.

An upload is sealed under a data key of its own before it is stored, and known by the digest of its plaintext, to the
tenant that brought it alone: knowing a digest is not enough, the bytes have to be brought once by each tenant.
What people bring are documents, such as the agreement that a consent names: they are kept, and read by those who review.
What only a training service brought are artefacts: they go out by no route. A version that takes one seals it anew, for
itself (`registry.versions.sealed`); what was not brought again for `upload_days` is forgotten, and its key destroyed.

Keys go just before the commit, while the rows are held: a crash in between leaves rows that open no more, and go the next
time. The other way round it would leave keys that no row names, and that no erasure finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import BigInteger, ColumnElement, Index, Row, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from registry.auth import Caller, CallerDep, caller_of_credential
from registry.db import Base
from registry.runtime import Runtime, RuntimeDep
from registry.sealing import WrappedKey, new_key, seal, unseal
from registry.vault import KeyName, vault_name
from sdk.errors import NotFound
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.ids import PrincipalId, TenantName
from sdk.spec.policy import Role

UPLOADERS = (Role.OWNER, Role.TRAINER, Role.TRAINING_SERVICE)
"""Who brings uploads."""
READERS = (Role.REVIEWER, Role.OWNER, Role.TRAINER, Role.TRAINING_SERVICE, Role.AUDITOR)
"""Who reads documents, and looks at the files of versions (`registry.versions.preview`)."""

router = APIRouter(prefix="/v1/blobs", tags=["blobs"])


class BlobHolderRow(Base):
    """A tenant has brought a content; inserted only."""

    __tablename__ = "blob_holders"

    digest: Mapped[Digest] = mapped_column(primary_key=True)
    tenant: Mapped[TenantName] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    put_by: Mapped[PrincipalId]
    put_at: Mapped[datetime]


class BlobUploadRow(Base):
    """A sealed upload with its wrapped key. No evidence: deleting the row destroys the upload."""

    __tablename__ = "blob_uploads"
    __table_args__ = (Index("ix_blob_uploads_tenant_put_at", "tenant", "put_at"),)

    tenant: Mapped[TenantName] = mapped_column(primary_key=True)
    digest: Mapped[Digest] = mapped_column(primary_key=True)
    stored: Mapped[Digest]  # of the ciphertext
    wrapped_key: Mapped[bytes]
    wrapped_by: Mapped[str]
    document: Mapped[bool]  # somebody other than a training service brought it
    put_at: Mapped[datetime]


@dataclass(frozen=True, kw_only=True)
class Discarded:
    """A sealed upload that no row names any more once this is committed: its key in the vault, and its ciphertext."""

    key: KeyName | None  # none: from before there was a vault
    stored: Digest


def store_upload(runtime: Runtime, caller: Caller, digest: Digest, content: bytes) -> bool:
    """Seal and keep an upload; whether it was not there before. Old uploads of the tenant are forgotten."""
    document = Role.TRAINING_SERVICE not in caller.roles
    with runtime.transaction(caller.tenant) as session:
        if caller.credential:  # an upload takes its time, and the credential may have ended meanwhile
            caller_of_credential(session, runtime, caller.credential)
        _hold(session, runtime, caller=caller, digest=digest, size=len(content))
        discarded = _forget_old(session, runtime, BlobUploadRow.tenant == caller.tenant)
        known = session.get(BlobUploadRow, (caller.tenant, digest), with_for_update=True)
        new = known is None or not _is_whole(runtime, known)
        if new:
            document = document or (known is not None and known.document)
            discarded += seal_upload(session, runtime, caller.tenant, digest, content, document=document)
        elif known:
            known.put_at = runtime.clock()
            known.document = known.document or document
        session.flush()
        destroy_keys(runtime, discarded)
    for gone in discarded:
        runtime.blobs.remove(gone.stored)
    return new


def forget_old_uploads(runtime: Runtime) -> None:
    """Forget, of every tenant, what a training service brought and no version took for `upload_days`; done by the clock."""
    with runtime.sessions.begin() as session:  # as the database's owner, who sees all tenants
        discarded = _forget_old(session, runtime)
        destroy_keys(runtime, discarded)
    for gone in discarded:
        runtime.blobs.remove(gone.stored)


def seal_upload(
    session: Session, runtime: Runtime, tenant: TenantName, digest: Digest, content: bytes, *, document: bool
) -> tuple[Discarded, ...]:
    """Seal a content and keep it as the tenant's upload; returns what was kept before, for the caller to destroy."""
    data_key, about = new_key(), _about(tenant, digest)
    same = (BlobUploadRow.tenant == tenant, BlobUploadRow.digest == digest)
    before = select(BlobUploadRow.wrapped_key, BlobUploadRow.stored).where(*same).with_for_update()
    discarded = _discarded(session.execute(before).all())
    key = runtime.key_wrapper.wrap(data_key, about)
    kept = {
        "stored": runtime.blobs.put(seal(content, data_key, about)),
        "wrapped_key": key.wrapped,
        "wrapped_by": key.wrapped_by,
        "document": document,
        "put_at": runtime.clock(),
    }
    statement = insert(BlobUploadRow).values(tenant=tenant, digest=digest, **kept)
    session.execute(statement.on_conflict_do_update(index_elements=["tenant", "digest"], set_=kept))
    return discarded


def destroy_keys(runtime: Runtime, discarded: Sequence[Discarded]) -> None:
    """Destroy the keys of what is kept no more: it opens from no backup."""
    for gone in discarded:
        if gone.key is not None:
            runtime.key_wrapper.destroy(gone.key)


def open_document(session: Session, runtime: Runtime, tenant: TenantName, digest: Digest) -> bytes:
    """The content of a document. Raises `NotFound` like `open_upload`, and for an artefact, which has other doors."""
    row = session.get(BlobUploadRow, (tenant, digest))
    if row is not None and not row.document:
        raise NotFound(
            f"{digest} is no document but an artefact; it is read as a file of its version, or under a grant"
        )
    return open_upload(session, runtime, tenant, digest)


def open_upload(session: Session, runtime: Runtime, tenant: TenantName, digest: Digest, *, hold: bool = True) -> bytes:
    """The content of an upload, which is kept until the transaction ends, unless it is not to be held.

    Raises:
        NotFound: the tenant has brought no such content, or it was forgotten.
    """
    row = session.get(BlobUploadRow, (tenant, digest), with_for_update={"read": True} if hold else None)
    if row is None:
        raise _missing(tenant, digest)
    about = _about(tenant, digest)
    data_key = runtime.key_wrapper.unwrap(WrappedKey(wrapped=row.wrapped_key, wrapped_by=row.wrapped_by), about)
    return verify_digest(unseal(runtime.blobs.get(row.stored), data_key, about), digest, "upload as it was sealed")


def rewrap(session: Session, runtime: Runtime, row: BlobUploadRow) -> None:
    """Wrap an upload's data key anew, under the key-encryption key and with the vault of today."""
    about = _about(row.tenant, row.digest)
    data_key = runtime.key_wrapper.unwrap(WrappedKey(wrapped=row.wrapped_key, wrapped_by=row.wrapped_by), about)
    wrapped = runtime.key_wrapper.wrap(data_key, about)
    row.wrapped_key, row.wrapped_by = wrapped.wrapped, wrapped.wrapped_by
    session.flush()


def claim_key(session: Session, tenant: TenantName, digest: Digest) -> tuple[WrappedKey, Digest] | None:
    """The wrapped key of an upload and where its ciphertext is, held until the transaction ends; none if it is not there."""
    row = session.get(BlobUploadRow, (tenant, digest), with_for_update=True)
    return None if row is None else (WrappedKey(wrapped=row.wrapped_key, wrapped_by=row.wrapped_by), row.stored)


def held_size(session: Session, tenant: TenantName, digest: Digest) -> int:
    """Bytes of a content that `tenant` has brought.

    Raises:
        NotFound: nobody of this tenant has.
    """
    row = session.get(BlobHolderRow, (digest, tenant))
    if row is None:
        raise _missing(tenant, digest)
    return row.size


def _hold(session: Session, runtime: Runtime, *, caller: Caller, digest: Digest, size: int) -> None:
    """Say that the tenant has brought a content; whoever brings it at the same moment waits, so that it has one key."""
    statement = insert(BlobHolderRow).values(
        digest=digest, tenant=caller.tenant, size=size, put_by=caller.principal, put_at=runtime.clock()
    )
    session.execute(statement.on_conflict_do_nothing(index_elements=["digest", "tenant"]))
    session.get_one(BlobHolderRow, (digest, caller.tenant), with_for_update={"key_share": True})


def _is_whole(runtime: Runtime, row: BlobUploadRow) -> bool:
    name = vault_name(row.wrapped_key)
    return runtime.blobs.has(row.stored) and (name is None or runtime.key_wrapper.has(name))


def _forget_old(session: Session, runtime: Runtime, *whose: ColumnElement[bool]) -> tuple[Discarded, ...]:
    end = runtime.clock() - timedelta(days=runtime.settings.upload_days)
    old = delete(BlobUploadRow).where(*whose, BlobUploadRow.put_at < end, BlobUploadRow.document.is_(False))
    return _discarded(session.execute(old.returning(BlobUploadRow.wrapped_key, BlobUploadRow.stored)).all())


def _discarded(rows: Sequence[Row[bytes, Digest]]) -> tuple[Discarded, ...]:
    return tuple(Discarded(key=vault_name(wrapped), stored=stored) for wrapped, stored in rows)


def _about(tenant: TenantName, digest: Digest) -> bytes:
    return f"upload\n{tenant}\n{digest}".encode()


def _missing(tenant: TenantName, digest: Digest) -> NotFound:
    return NotFound(f"{tenant} holds no blob {digest}; upload it with PUT /v1/blobs/{digest}")


async def _upload(request: Request, caller: CallerDep) -> bytes:
    caller.require(*UPLOADERS)  # before anything is read from who may bring nothing
    return await request.body()  # bounded by `registry.limits`


@router.put("/{digest}", status_code=201, responses={200: {"description": "held already"}})
def put_blob(
    digest: Digest, runtime: RuntimeDep, caller: CallerDep, response: Response, content: bytes = Depends(_upload)
) -> None:
    """Store the body, which must have this digest."""
    new = store_upload(runtime, caller, digest, verify_digest(content, digest, "uploaded blob"))
    response.status_code = 201 if new else 200


@router.get("/{digest}", response_class=Response)
def get_blob(digest: Digest, runtime: RuntimeDep, caller: CallerDep) -> Response:
    """The bytes of a document that the caller's tenant has brought."""
    caller.require(*READERS)
    with runtime.transaction(caller.tenant) as session:
        content = open_document(session, runtime, caller.tenant, digest)
    # An upload may be anything: a browser must neither guess its type nor show it as a page of ours.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
    return Response(content, media_type="application/octet-stream", headers=headers)
