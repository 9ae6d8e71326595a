"""A workspace made for the benchmark: real keys, a real PostgreSQL, the registry in a process of its own.

One version is approved in it. What it "learned" is noise: how long a call takes does not depend on that.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import torch
from safetensors.torch import save

from examples.demo.story import consent_record, licence_grant
from registry.cli import postgres
from registry.cli.init import Plan, create_workspace
from registry.cli.workspace import Address, Workspace
from sdk.cli.application import run
from sdk.errors import ConfigurationError
from sdk.generate.base_model import base_model_digest
from sdk.generate.tokens import placeholder_token
from sdk.profile import Profile, load_profile
from sdk.resolve import connect
from sdk.signing.signer import load_key_file, sign_envelope
from sdk.spec.api import NewConcept, VersionSubmission
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, RecordId, TenantName
from sdk.spec.manifest import (
    ArtefactDescriptor,
    ArtefactRole,
    ConceptKind,
    ConceptManifest,
    EmbeddingFacts,
    TrainingRecord,
    encode_manifest,
)
from sdk.spec.statements import TrainingPredicate, encode_statement
from trainer.settings import SHIPPED_BASE_MODEL

CONCEPT: Final = ConceptId("demo/fox")
READY_SECONDS: Final = 120.0


@contextmanager
def governed_workspace(folder: Path) -> Iterator[Profile]:
    """Make a workspace in `folder`, serve it, and give the application's profile."""
    addresses = (Address(host="127.0.0.1", port=_free_port()), Address(host="127.0.0.1", port=_free_port()))
    plan = Plan(tenant=TenantName("demo"), registry=addresses[0], trainer=addresses[1])
    workspace = create_workspace(folder, plan)
    url = postgres.start(workspace.database)
    try:
        with _served(workspace, url, str(addresses[0])):
            _approve_one(workspace)
            yield load_profile(workspace.profile("app"))
    finally:
        postgres.stop(workspace.database)


@contextmanager
def _served(workspace: Workspace, database_url: str, address: str) -> Iterator[None]:
    command = [sys.executable, "-c", "from sdk.cli import main; main()", "registry", "serve", str(workspace.root)]
    environment = {**os.environ, "DATABASE_URL": database_url}
    with (workspace.logs / "registry.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(address)
            yield
        finally:
            process.terminate()
            process.wait()


def _wait_for(address: str) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        try:
            if httpx.get(f"{address}/readyz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise ConfigurationError(f"the registry at {address} was not ready after {READY_SECONDS:.0f} s")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _approve_one(workspace: Workspace) -> None:
    now = datetime.now(UTC)
    with connect(load_profile(workspace.profile("trainer"))) as owner:
        owner.create_concept(NewConcept(id=CONCEPT, kind=ConceptKind.SUBJECT, title="The fox"))
        consent = owner.give_consent(consent_record()).id
        licence = owner.grant_licence(licence_grant()).id
    _submit(workspace, consent, licence, now)
    if run(["approve", f"{CONCEPT}@1", "--profile", str(workspace.profile("reviewer"))]):
        raise ConfigurationError("the version of the benchmark could not be approved")


def _submit(workspace: Workspace, consent: RecordId, licence: RecordId, now: datetime) -> None:
    profile = load_profile(workspace.profile("training-service"))
    content, facts = _embedding()
    record = TrainingRecord(
        job=RecordId("job_" + "a" * 26),
        requested_by=load_profile(workspace.profile("trainer")).principal,
        software="imprimatur benchmark",
        config=Digest.of(b"none"),
        seed=0,
        rounds=1,
        steps=1,
        pictures=(Digest.of(b"none"),),
        started_at=now - timedelta(minutes=2),
        finished_at=now - timedelta(minutes=1),
    )
    artefact = ArtefactDescriptor(
        name="learned_embeds.safetensors",
        role=ArtefactRole.EMBEDDING,
        media_type="application/vnd.safetensors",
        size=len(content),
        digest=Digest.of(content),
    )
    manifest = ConceptManifest(
        concept=CONCEPT,
        kind=ConceptKind.SUBJECT,
        base_model=base_model_digest(SHIPPED_BASE_MODEL),
        embedding=facts,
        artefacts=(artefact,),
        training=record,
        consents=(consent,),
        licences=(licence,),
    )
    predicate = TrainingPredicate(concept=CONCEPT, record=record)
    statement = encode_statement(predicate, subjects={str(CONCEPT): manifest.digest})
    attestation = sign_envelope(statement, load_key_file(profile.need("signing_key")))
    with connect(profile) as service:
        service.put_blob(content)
        service.submit_version(CONCEPT, VersionSubmission(manifest=encode_manifest(manifest), attestation=attestation))


def _embedding() -> tuple[bytes, EmbeddingFacts]:
    from sdk.generate.pipeline import load_pipeline

    encoder = load_pipeline(SHIPPED_BASE_MODEL).towers[0][1]
    width = int(encoder.config.hidden_size)
    token = placeholder_token(CONCEPT)
    rows = torch.randn(2, width, generator=torch.Generator().manual_seed(1)) * 0.02
    facts = EmbeddingFacts(placeholder_token=token, vectors=2, dimensions=(width,), class_word="fox")
    return save({token: rows}), facts
