"""What the trainer's disk holds of a person goes when the registry has erased them, and only that."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from support.governed import fixed_signer
from support.training import CONSENT, PICTURE, SERVICE_CREDENTIAL, Bench, training_request

from sdk.errors import ServiceUnavailable
from sdk.signing.signer import sign_envelope
from sdk.spec.digest import Digest
from sdk.spec.erasure import ErasureList, ErasurePredicate, ErasureView
from sdk.spec.ids import PrincipalId, RecordId, TenantName
from sdk.spec.policy import Decision, Effect
from sdk.spec.statements import encode_statement
from sdk.spec.training import JobStatus, JobView, TrainingRequest
from trainer.jobs import query, service
from trainer.jobs.erasing import erase_what_was_erased
from trainer.jobs.lifecycle import JobEvent
from trainer.jobs.tables import EventRow, JobRow

DEMO = TenantName("demo")
ERASURE = RecordId("era_" + "a" * 26)
OTHERS = RecordId("con_" + "b" * 26)
THEIRS, NOT_THEIRS = RecordId("job_" + "b" * 26), RecordId("job_" + "c" * 26)
PERMIT = Decision(effect=Effect.PERMIT, action="train", reasons=(), bundle=Digest.of(b"b"), context=Digest.of(b"c"))


def of(consent: RecordId, picture: bytes = PICTURE) -> TrainingRequest:
    request = training_request()
    concepts = tuple(concept.model_copy(update={"consents": (consent,)}) for concept in request.concepts)
    named = {"digest": Digest.of(picture), "caption": "Aiko at the pier", "name": "aiko.png"}
    return request.model_copy(
        update={"concepts": concepts, "pictures": (request.pictures[0].model_copy(update=named),)}
    )


def job(bench: Bench, identity: RecordId, request: TrainingRequest, *, ended: bool = True) -> Path:
    """A job with a file in its folder; it has ended unless said otherwise."""
    with bench.runtime.transaction() as session:
        at = bench.runtime.clock()
        service.create(
            session, job=identity, request=request, requested_by=PrincipalId("demo/aiko"), decision=PERMIT, at=at
        )
        if ended:
            service.request_cancel(session, identity, tenant=DEMO, at=at)
    folder = bench.runtime.settings.jobs / identity / "attempt-1" / "out"
    folder.mkdir(parents=True)
    (folder / "mask.png").write_bytes(b"a face")
    return folder / "mask.png"


def erased(bench: Bench, *consents: RecordId) -> None:
    predicate = ErasurePredicate(
        erasure=ERASURE,
        erased_by=PrincipalId("demo/omar"),
        consents=consents,
        versions=(),
        documents=(),
        keys=1,
        kept=(),
        erased_at=datetime(2026, 11, 24, tzinfo=UTC),
    )
    statement = encode_statement(predicate, subjects={str(ERASURE): Digest.of(b"records")})
    view = ErasureView(id=ERASURE, certificate=sign_envelope(statement, fixed_signer("log")))
    bench.registry.erasures = ErasureList(erasures=(view,))


def look(bench: Bench) -> tuple[RecordId, ...]:
    with bench.runtime.open_registry(SERVICE_CREDENTIAL) as registry:
        return erase_what_was_erased(bench.runtime, registry)


def seen(bench: Bench, identity: RecordId) -> JobView:
    with bench.runtime.transaction() as session:
        return query.view(session, identity, tenant=DEMO)


def picture(bench: Bench, content: bytes) -> Path:
    return bench.runtime.settings.pictures / "demo" / Digest.of(content).hex


def test_pictures_files_and_captions_go_and_the_job_says_so_once(bench: Bench) -> None:
    bench.upload(b"another picture")
    file, other = job(bench, THEIRS, of(CONSENT)), job(bench, NOT_THEIRS, of(OTHERS, b"another picture"))
    assert look(bench) == ()
    erased(bench, CONSENT)
    assert look(bench) == (THEIRS,)
    assert not file.parents[2].exists()
    assert not picture(bench, PICTURE).exists()
    assert seen(bench, THEIRS).erased == ERASURE
    assert "iko" not in seen(bench, THEIRS).request.model_dump_json()
    assert other.exists()
    assert picture(bench, b"another picture").exists()
    assert (seen(bench, NOT_THEIRS).erased, seen(bench, NOT_THEIRS).request) == (None, of(OTHERS, b"another picture"))
    assert look(bench) == ()
    assert [said.jobs for said in bench.registry.erasures.erasures[0].training] == [(THEIRS,)], "told once"
    with bench.runtime.transaction() as session:
        told = session.scalars(select(EventRow.detail).where(EventRow.event == JobEvent.ERASE.value)).all()
    assert told == [ERASURE]


def test_why_a_job_failed_goes_too_since_it_may_quote_what_people_wrote(bench: Bench) -> None:
    job(bench, THEIRS, of(CONSENT), ended=False)
    with bench.runtime.transaction() as session:
        at, row = bench.runtime.clock(), session.get_one(JobRow, THEIRS)
        attempt = service.claim(session, THEIRS, row.queue_entry or 0, at=at)
        assert attempt
        service.fail(session, attempt, "aiko.png: the caption 'Aiko at the pier' is too long", at=at)
    assert "Aiko" in (seen(bench, THEIRS).error or "")
    erased(bench, CONSENT)
    look(bench)
    assert (seen(bench, THEIRS).status, seen(bench, THEIRS).error) == (JobStatus.FAILED, service.ERASED)
    with bench.runtime.transaction() as session:
        noted = session.scalars(select(EventRow.detail).where(EventRow.job == THEIRS)).all()
    assert not [detail for detail in noted if detail and "iko" in detail], "an event is never changed"


def test_picture_that_another_job_names_stays_until_that_is_erased_too(bench: Bench) -> None:
    job(bench, THEIRS, of(CONSENT))
    job(bench, NOT_THEIRS, of(OTHERS))
    erased(bench, CONSENT)
    look(bench)
    assert picture(bench, PICTURE).exists()
    erased(bench, CONSENT, OTHERS)
    look(bench)
    assert not picture(bench, PICTURE).exists()


def test_masks_go_with_their_pictures_unless_another_job_names_them(bench: Bench) -> None:
    bench.upload(b"a mask")
    (shown,) = of(CONSENT).pictures
    drawn = (shown.model_copy(update={"masks": {shown.concepts[0]: Digest.of(b"a mask")}}),)
    job(bench, THEIRS, of(CONSENT).model_copy(update={"pictures": drawn}))
    job(bench, NOT_THEIRS, of(OTHERS).model_copy(update={"pictures": drawn}))
    erased(bench, CONSENT)
    look(bench)
    assert picture(bench, b"a mask").exists()
    erased(bench, CONSENT, OTHERS)
    look(bench)
    assert not picture(bench, b"a mask").exists()


def test_job_that_waits_is_cancelled_and_one_that_runs_is_asked_to_stop_first(bench: Bench) -> None:
    waiting = job(bench, THEIRS, of(CONSENT), ended=False)
    running = job(bench, NOT_THEIRS, of(CONSENT), ended=False)
    with bench.runtime.transaction() as session:
        row = session.get_one(JobRow, NOT_THEIRS)
        attempt = service.claim(session, NOT_THEIRS, row.queue_entry or 0, at=bench.runtime.clock())
    assert attempt
    erased(bench, CONSENT)
    assert look(bench) == (THEIRS,)
    assert seen(bench, THEIRS).status is JobStatus.CANCELLED
    assert (waiting.exists(), running.exists()) == (False, True)
    with bench.runtime.transaction() as session:
        service.stop_cancelled(session, attempt, at=bench.runtime.clock())
    assert look(bench) == (NOT_THEIRS,)
    assert not running.exists()


def test_is_done_again_when_it_was_interrupted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    file = job(bench, THEIRS, of(CONSENT))
    erased(bench, CONSENT)
    with monkeypatch.context() as patch:
        patch.setattr(service, "note_erased", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            look(bench)
    assert (file.exists(), seen(bench, THEIRS).erased) == (False, None)
    assert look(bench) == (THEIRS,)


def test_is_told_to_the_registry_when_it_comes_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    job(bench, THEIRS, of(CONSENT))
    erased(bench, CONSENT)
    with monkeypatch.context() as patch:
        patch.setattr("support.training.RegistrySession.confirm_training_erased", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            look(bench)
    assert seen(bench, THEIRS).erased == ERASURE
    assert look(bench) == ()
    assert [said.jobs for said in bench.registry.erasures.erasures[0].training] == [(THEIRS,)]


def test_waits_for_a_registry_that_is_away(bench: Bench) -> None:
    job(bench, THEIRS, of(CONSENT))
    bench.registry.away = True
    with pytest.raises(ServiceUnavailable):
        look(bench)
