"""What an application asks the registry to bring along when it records an intent or a result, so that one answer is enough.

None of it changes what is asked for or recorded: that is the intent's and the result's own (`sdk.spec.api`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.envelope import Base64Bytes
from sdk.spec.log_entry import ConsistencyProof, LogReceipt

LogSize = Annotated[int, Field(ge=0, lt=2**62)]


class RecordingQuery(WireModel):
    """The query of POST /v1/generations/{id}/result."""

    since: LogSize | None = None  # the size of the log that the caller knows: prove that it only grew


class OpeningQuery(RecordingQuery):
    """The query of POST /v1/generations."""

    meant: tuple[Annotated[str, Field(max_length=300)], ...] = Field(default=(), max_length=16)
    """By which references the intent's versions were found, in its order: a Conflict unless each still means its version."""
    terms: tuple[Digest, ...] = Field(default=(), max_length=16)
    """The terms that each of them was found to stand under (`terms_digest`): a Conflict if one was renewed since."""
    release: bool = False  # the embeddings of the versions, to whoever draws


class ReleasedArtefact(WireModel):
    """An embedding that came with the grant; it is what its digest says, or it is not used."""

    digest: Digest
    content: Base64Bytes


class GrownReceipt(LogReceipt):
    """A receipt, and the proof that its checkpoint extends the log of `since` entries, where one was asked for."""

    growth: ConsistencyProof | None = None

    @property
    def alone(self) -> LogReceipt:
        """The receipt as it is kept."""
        return LogReceipt(entry=self.entry, index=self.index, inclusion=self.inclusion, checkpoint=self.checkpoint)
