"""The trainer over HTTP, spoken to by the SDK's own client."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import select, text
from support.asgi import AsgiTransport
from support.training import FOX, PICTURE, Bench, consent, training_request

from sdk.client.transport import error_from
from sdk.errors import (
    AuthenticationRequired,
    Conflict,
    DigestMismatch,
    FormatError,
    ImprimaturError,
    InputError,
    NotFound,
    PayloadTooLarge,
    PermissionDenied,
    PolicyDenied,
    ServiceUnavailable,
)
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.terms import ConsentStatus
from sdk.spec.training import FileList, JobList, JobStatus, JobView, TrainingRequest
from trainer.app import create_app
from trainer.jobs.files import attempt_folder
from trainer.jobs.tables import JobRow

NOBODYS = RecordId("job_" + "z" * 26)


@dataclass
class Http:
    """The trainer's routes as one credential calls them."""

    client: httpx.Client
    bench: Bench
    credential: str = "imp_trainer"

    def as_(self, credential: str) -> Http:
        return Http(self.client, self.bench, credential)

    def call(self, method: str, path: str, content: bytes | None = None, **headers: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.credential}", **headers}
        response = self.client.request(method, path, content=content, headers=headers)
        if not response.is_success:
            raise error_from(response.status_code, response.content, path)
        return bytes(response.content)

    def put_picture(self, content: bytes, digest: str | None = None) -> None:
        self.call("PUT", f"/v1/pictures/{digest or Digest.of(content)}", content)

    def create(self, request: TrainingRequest | None = None) -> JobView:
        body = encode_canonical(request or training_request())
        return JobView.model_validate_json(self.call("POST", "/v1/jobs", body))

    def get(self, job: str) -> JobView:
        return JobView.model_validate_json(self.call("GET", f"/v1/jobs/{job}"))

    def list(self) -> JobList:
        return JobList.model_validate_json(self.call("GET", "/v1/jobs"))

    def cancel(self, job: str) -> JobView:
        return JobView.model_validate_json(self.call("POST", f"/v1/jobs/{job}/cancel"))


@pytest.fixture
def http(bench: Bench) -> Iterator[Http]:
    with httpx.Client(base_url="http://trainer.test", transport=AsgiTransport(create_app(bench.runtime))) as client:
        yield Http(client, bench)


def with_settings(settings: bytes) -> bytes:
    """A request whose settings are written as no client of ours would."""
    return training_request().model_dump_json().encode().replace(b'"settings":{}', b'"settings":' + settings)


KEY = "key-of-this-request"


class TestIdempotencyKeys:
    """The registry's rules; a repetition is answered with the thing as it stands."""

    def send(
        self, http: Http, body: TrainingRequest | None = None, *, key: str = KEY, who: str = "imp_trainer"
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {who}", "Idempotency-Key": key}
        return http.client.post("/v1/jobs", content=encode_canonical(body or training_request()), headers=headers)

    def test_a_job_is_made_once(self, http: Http) -> None:
        first, again = self.send(http), self.send(http)
        assert (first.status_code, again.status_code) == (200, 200)
        assert JobView.model_validate_json(first.content) == JobView.model_validate_json(again.content)
        assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
        assert count_jobs(http) == 1

    def test_a_repetition_is_answered_as_the_job_stands_although_it_would_be_refused_now(self, http: Http) -> None:
        job = JobView.model_validate_json(self.send(http).content)
        http.bench.registry.consent = consent(status=ConsentStatus.WITHDRAWN)
        assert JobView.model_validate_json(self.send(http).content).id == job.id
        assert self.send(http, key="another-key-of-mine").json()["code"] == "policy.denied"

    def test_another_request_under_the_same_key_is_refused(self, http: Http) -> None:
        job = self.send(http).json()["id"]
        headers = {"Authorization": "Bearer imp_trainer", "Idempotency-Key": KEY}
        answer = http.client.post(f"/v1/jobs/{job}/cancel", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "input.invalid")
        assert http.get(job).status is JobStatus.QUEUED

    def test_a_refusal_keeps_no_key(self, http: Http) -> None:
        given, http.bench.registry.consent = http.bench.registry.consent, consent(status=ConsentStatus.WITHDRAWN)
        assert self.send(http).json()["code"] == "policy.denied"
        http.bench.registry.consent = given
        assert self.send(http).status_code == 200

    def test_a_key_ends_after_a_day_and_is_the_principals_own(self, http: Http) -> None:
        self.send(http)
        with http.bench.runtime.transaction() as session:
            session.execute(text("UPDATE training_keys SET kept_at = kept_at - interval '25 hours'"))
        assert "idempotent-replayed" not in self.send(http).headers
        assert count_jobs(http) == 2

    def test_two_at_once_make_one_job(self, http: Http) -> None:
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: self.send(http), range(4)))
        assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
        assert count_jobs(http) == 1

    def test_a_key_that_is_none_is_refused(self, http: Http) -> None:
        assert self.send(http, key="short").status_code == 422


def count_jobs(http: Http) -> int:
    with http.bench.runtime.transaction() as session:
        return int(session.scalar(text("SELECT count(*) FROM training_jobs")) or 0)


class TestPictures:
    def test_are_stored_once(self, http: Http) -> None:
        path, headers = f"/v1/pictures/{Digest.of(b'new')}", {"Authorization": "Bearer imp_trainer"}
        assert http.client.put(path, content=b"new", headers=headers).status_code == 201
        assert http.client.put(path, content=b"new", headers=headers).status_code == 200

    def test_of_another_digest_are_refused(self, http: Http) -> None:
        with pytest.raises(DigestMismatch):
            http.put_picture(b"one", Digest.of(b"two"))

    def test_over_the_limit_are_refused(self, http: Http) -> None:
        with pytest.raises(PayloadTooLarge):
            http.put_picture(b"x" * (http.bench.runtime.settings.max_picture_bytes + 1))

    def test_need_a_digest_in_the_path(self, http: Http) -> None:
        with pytest.raises(FormatError, match="expected a digest"):
            http.put_picture(b"one", "sha256:one")

    def test_are_not_for_applications(self, http: Http) -> None:
        with pytest.raises(PermissionDenied, match="trainer or owner"):
            http.as_("imp_app").put_picture(b"one")


class TestCreate:
    def test_queues_an_admitted_job(self, http: Http) -> None:
        view = http.create()
        assert view.status is JobStatus.QUEUED
        assert view.requested_by == "demo/aiko"
        assert http.get(view.id) == view

    def test_leaves_no_job_when_policy_refuses(self, http: Http) -> None:
        http.bench.registry.consent = consent(status=ConsentStatus.WITHDRAWN)
        with pytest.raises(PolicyDenied) as refusal:
            http.create()
        assert refusal.value.decision.reasons[0].rule == "training.consent"
        assert count_jobs(http) == 0

    def test_keeps_the_decision_beside_the_job(self, http: Http) -> None:
        job = http.create().id
        with http.bench.runtime.transaction() as session:
            decision = session.scalar(select(JobRow.decision).where(JobRow.id == job))
        assert decision is not None
        assert decision["effect"] == "permit"

    def test_refuses_a_picture_that_was_never_sent(self, http: Http) -> None:
        picture = training_request().pictures[0].model_copy(update={"digest": Digest.of(b"never sent")})
        with pytest.raises(InputError, match="was not uploaded"):
            http.create(training_request(pictures=(picture,)))
        assert count_jobs(http) == 0

    @pytest.mark.parametrize(
        ("body", "fault"),
        [
            (b"{", "strict JSON"),
            (b'{"seed": 1, "seed": 2}', "twice"),
            (b'{"concepts": [], "pictures": []}', "concepts"),
            (with_settings(b'{"m_step.learning_rate": 1e999}'), "1e999 is larger than a number can be"),
            (with_settings(b'{"m_step.learning_rate": 1' + b"0" * 400 + b"}"), "settings"),
            (with_settings(b'{"m\\u0000": 1}'), "settings"),
            (
                training_request().model_dump_json().encode().replace(b'"caption":null', rb'"caption":"\u0000"'),
                "caption",
            ),
        ],
    )
    def test_refuses_what_is_no_request(self, http: Http, body: bytes, fault: str) -> None:
        with pytest.raises(FormatError, match=fault):
            http.call("POST", "/v1/jobs", body)
        assert count_jobs(http) == 0

    def test_reads_no_more_than_its_limit(self, http: Http) -> None:
        with pytest.raises(PayloadTooLarge):
            http.call("POST", "/v1/jobs", b" " * (http.bench.runtime.settings.max_body_bytes + 1))

    def test_takes_the_pictures_that_were_sent(self, http: Http) -> None:
        http.put_picture(b"another")
        picture = training_request().pictures[0].model_copy(update={"digest": Digest.of(b"another")})
        assert http.create(training_request(pictures=(picture,))).status is JobStatus.QUEUED


class TestJobs:
    def test_are_listed_newest_first(self, http: Http) -> None:
        first, second = http.create().id, http.create().id
        assert [job.id for job in http.list().jobs] == [second, first]

    def test_are_invisible_to_another_tenant(self, http: Http) -> None:
        job = http.create().id
        other = http.as_("imp_other")
        assert other.list().jobs == ()
        for act in (other.get, other.cancel):
            with pytest.raises(NotFound):
                act(job)

    def test_are_shown_to_reviewers_and_not_to_applications(self, http: Http) -> None:
        job = http.create().id
        assert http.as_("imp_reviewer").get(job).id == job
        with pytest.raises(PermissionDenied):
            http.as_("imp_app").get(job)

    def test_that_do_not_exist_are_not_found(self, http: Http) -> None:
        with pytest.raises(NotFound, match=NOBODYS):
            http.get(NOBODYS)

    def test_need_an_id_that_is_one(self, http: Http) -> None:
        with pytest.raises(FormatError, match="expected a record id"):
            http.get("latest")

    def test_are_cancelled(self, http: Http) -> None:
        job = http.create().id
        assert http.cancel(job).status is JobStatus.CANCELLED
        assert http.cancel(job).status is JobStatus.CANCELLED

    def test_are_not_cancelled_by_reviewers(self, http: Http) -> None:
        job = http.create().id
        with pytest.raises(PermissionDenied):
            http.as_("imp_reviewer").cancel(job)

    def test_are_not_cancelled_after_they_ended(self, http: Http) -> None:
        job = http.create().id
        with http.bench.runtime.transaction() as session:
            session.execute(text("UPDATE training_jobs SET status = 'succeeded', finished_at = now()"))
        with pytest.raises(Conflict, match="succeeded"):
            http.cancel(job)


class TestFiles:
    def test_are_listed_and_read(self, http: Http) -> None:
        job = http.create().id
        path = attempt_folder(http.bench.runtime.settings.jobs, job, 1) / "out" / FOX / "report.json"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"\x00report")
        path.with_name("learned_embeds.safetensors").write_bytes(b"\x00learned")
        files = FileList.model_validate_json(http.call("GET", f"/v1/jobs/{job}/files")).files
        assert files == (f"{FOX}/report.json",)
        assert http.call("GET", f"/v1/jobs/{job}/files/{files[0]}") == b"\x00report"
        with pytest.raises(NotFound):
            http.call("GET", f"/v1/jobs/{job}/files/{FOX}/learned_embeds.safetensors")

    def test_are_never_run_as_a_page(self, http: Http) -> None:
        job = http.create().id
        path = attempt_folder(http.bench.runtime.settings.jobs, job, 1) / "out" / "report.html"
        path.parent.mkdir(parents=True)
        path.write_text("<script>")
        headers = {"Authorization": "Bearer imp_trainer"}
        answer = http.client.get(f"/v1/jobs/{job}/files/report.html", headers=headers)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["content-disposition"].startswith("attachment")

    def test_hold_embeddings_and_so_are_not_for_reviewers(self, http: Http) -> None:
        job = http.create().id
        with pytest.raises(PermissionDenied):
            http.as_("imp_reviewer").call("GET", f"/v1/jobs/{job}/files")

    def test_outside_the_folder_are_not_found(self, http: Http) -> None:
        job = http.create().id
        for name in ("..%2F..%2F..%2Fimprimatur.toml", "%2Fetc%2Fpasswd"):
            with pytest.raises(NotFound):
                http.call("GET", f"/v1/jobs/{job}/files/{name}")


class TestAuthentication:
    @pytest.mark.parametrize("header", ["", "Bearer", "Bearer  ", "Basic imp_trainer", "imp_trainer"])
    def test_needs_a_bearer_credential(self, http: Http, header: str) -> None:
        answer = http.client.get("/v1/jobs", headers={"Authorization": header} if header else {})
        assert answer.status_code == 401
        assert answer.json()["code"] == AuthenticationRequired.code
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_needs_one_that_the_registry_knows(self, http: Http) -> None:
        with pytest.raises(AuthenticationRequired):
            http.as_("imp_nobody").list()

    def test_fails_closed_while_the_registry_is_away(self, http: Http) -> None:
        http.bench.registry.away = True
        with pytest.raises(ServiceUnavailable):
            http.list()

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("PUT", f"/v1/pictures/{Digest.of(PICTURE)}"),
            ("POST", "/v1/jobs"),
            ("GET", "/v1/jobs"),
            ("GET", f"/v1/jobs/{NOBODYS}"),
            ("POST", f"/v1/jobs/{NOBODYS}/cancel"),
            ("GET", f"/v1/jobs/{NOBODYS}/files"),
            ("GET", f"/v1/jobs/{NOBODYS}/files/x"),
        ],
    )
    def test_is_on_for_every_route(self, http: Http, method: str, path: str) -> None:
        with pytest.raises(ImprimaturError) as refusal:
            http.as_("imp_nobody").call(method, path, b"{}")
        assert refusal.value.code == AuthenticationRequired.code


class TestHealth:
    def test_needs_no_credential(self, http: Http) -> None:
        answer = http.client.get("/healthz")
        assert answer.status_code == 200
        assert answer.json()["service"] == "trainer"
