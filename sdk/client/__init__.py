"""The typed client of the registry and the trainer: one method a route of `sdk.spec.api`.

transport     one service over httpx: credential, retries, problem documents to errors
credentials   issuing, listing, rotating, revoking
webhooks      where events are sent, deliveries, replay
records       who am I, consents, licences, policies, blobs
subjects      consents about a person, and who they are
versions      concepts, versions, resolving, reviews, revocation
reviews       the review queue, requests for review, assignments, comments, break-glass
generations   intent, artefacts, result
accounting    the ledger of use that royalties are computed from
recalls       blast-radius reports, notices that a version has ended, reminders of terms that end
log           checkpoints, tiles, entries, receipts, consistency
mirror        a log's tiles alone, from an address or a folder, without a credential
training      the trainer: pictures, jobs, files
rendering     the rendering service: who draws, renders, their images

with Client("http://127.0.0.1:8700", "imp_...") as client:
    bundle = client.resolve("demo/fox")
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import httpx

from sdk.client.accounting import AccountingCalls
from sdk.client.credentials import CredentialCalls
from sdk.client.generations import GenerationCalls
from sdk.client.log import LogCalls
from sdk.client.recalls import RecallCalls
from sdk.client.records import RecordCalls
from sdk.client.rendering import RenderingCalls
from sdk.client.reviews import ReviewCalls
from sdk.client.subjects import SubjectCalls
from sdk.client.training import TrainingCalls
from sdk.client.transport import Service
from sdk.client.versions import VersionCalls
from sdk.client.webhooks import WebhookCalls

__all__ = ["DEFAULT_TIMEOUT_SECONDS", "Client"]

DEFAULT_TIMEOUT_SECONDS: Final = 30.0


class Client(
    WebhookCalls,
    CredentialCalls,
    RecordCalls,
    SubjectCalls,
    VersionCalls,
    ReviewCalls,
    GenerationCalls,
    RecallCalls,
    AccountingCalls,
    LogCalls,
    TrainingCalls,
    RenderingCalls,
):
    """Speaks to one registry and, if named, one trainer, as one principal.

    Answers are parsed but not believed: what proves something is verified in `sdk.verify`. Calls that may be
    repeated are repeated when no answer came. Safe to share between threads; close it, or use it in a `with`.

    Raises (every method): a class of `sdk.errors` by the answer's code, `ServiceUnavailable` without an answer,
    `FormatError` when the answer is not what the route promises.
    """

    def __init__(
        self,
        registry_url: str,
        credential: str,
        *,
        trainer_url: str | None = None,
        transport: httpx.BaseTransport | None = None,
        trainer_transport: httpx.BaseTransport | None = None,
        timeout: float | httpx.Timeout = DEFAULT_TIMEOUT_SECONDS,
        proxy: str | httpx.Proxy | None = None,
        verify: ssl.SSLContext | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`transport` carries the calls to the registry and, unless `trainer_transport` is given, to the trainer.

        `timeout`, `proxy` and `verify` are httpx's; certificates are always checked. Without `proxy` those of the
        environment hold (`HTTPS_PROXY`, `NO_PROXY`), never for services on this machine.
        """

        def service(name: str, url: str, carrier: httpx.BaseTransport | None) -> Service:
            return Service(
                name,
                url,
                credential,
                transport=carrier,
                timeout=timeout,
                proxy=proxy,
                verify=verify,
                sleep=sleep,
            )

        self._registry = service("registry", registry_url, transport)
        self._trainer = service("trainer", trainer_url, trainer_transport or transport) if trainer_url else None

    def close(self) -> None:
        """Close the connections."""
        self._registry.close()
        if self._trainer:
            self._trainer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
