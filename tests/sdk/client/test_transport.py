"""The client's way to the services: addresses, pages, errors, retries, bounds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.answering import Seen, client_of, problem, wire
from support.governed import FOX, consent_record, record_id
from support.wire_values import CONCEPT, DECISION, DIGEST, INTENT, JOB, REQUEST, RESULT

from sdk import errors
from sdk.client import Client, transport
from sdk.client.mirror import open_mirror
from sdk.client.transport import ATTEMPTS, error_from
from sdk.errors import (
    ConfigurationError,
    Conflict,
    DigestMismatch,
    FormatError,
    ImprimaturError,
    NotFound,
    PermissionDenied,
    PolicyDenied,
    ServiceError,
    ServiceUnavailable,
)
from sdk.spec import api
from sdk.spec.canonical import encode_canonical


class TestLists:
    def test_are_asked_for_page_after_page(self) -> None:
        pages = [api.ConceptList(concepts=(CONCEPT,), next_cursor=cursor) for cursor in ("a", "b", None)]
        service = Seen(*(wire(page) for page in pages))
        with client_of(service) as client:
            assert client.list_concepts() == api.ConceptList(concepts=(CONCEPT,) * 3)
        assert [request.url.params.get("cursor") for request in service.requests] == [None, "a", "b"]

    def test_without_an_end_are_refused(self) -> None:
        service = Seen(wire(api.ConceptList(concepts=(CONCEPT,), next_cursor="a")))
        with client_of(service) as client, pytest.raises(FormatError, match="no end"):
            client.list_concepts()


class TestAddresses:
    def test_trainer_routes_go_to_the_trainer(self) -> None:
        service = Seen(wire(JOB))
        with client_of(service) as client:
            client.get_job(record_id("job"))
        assert service.requests[0].url.host == "trainer.test"

    def test_says_what_is_missing_without_a_trainer(self) -> None:
        with Client("https://registry.test", "imp_x") as client:
            with pytest.raises(ConfigurationError, match="no trainer is known"):
                client.list_jobs()

    def test_no_cookie_is_kept_or_sent(self) -> None:
        who = encode_canonical(api.WhoAmI(principal="demo/app", tenant="demo", roles=("app",)))
        service = Seen(httpx.Response(200, content=who, headers={"Set-Cookie": "session=1"}))
        with client_of(service) as client:
            for _ in range(2):
                client.whoami()
        assert all("cookie" not in request.headers for request in service.requests)

    def test_a_credential_leaves_the_machine_over_tls_only(self) -> None:
        for address in ("http://127.0.0.1:8700", "http://localhost:8700", "http://[::1]:8700", "https://registry.test"):
            Client(address, "imp_x").close()
        for address in ("http://registry.test", "http://10.0.0.7:8700", "http://localhost.registry.test"):
            with pytest.raises(ConfigurationError, match="in the clear"):
                Client(address, "imp_x")
            with pytest.raises(ConfigurationError, match="in the clear"):
                Client("https://registry.test", "imp_x", trainer_url=address)

    @pytest.mark.parametrize("address", ["registry.test", "ftp://registry.test", "http://", "http://[::1"])
    def test_refuses_what_is_no_address(self, address: str) -> None:
        with pytest.raises(ConfigurationError, match=r"address"):
            Client(address, "imp_x")

    @pytest.mark.parametrize("address", ["https://u:secret@registry.test", "https://u@registry.test"])
    def test_refuses_a_password_that_would_go_in_the_place_of_the_credential(self, address: str) -> None:
        with pytest.raises(ConfigurationError, match=r"before registry\.test") as caught:
            Client(address, "imp_x")
        assert "secret" not in caught.value.message
        with pytest.raises(ConfigurationError, match=r"before registry\.test"):
            Client("https://registry.test", "imp_x", trainer_url=address)
        with open_mirror(address) as mirror:  # which is sent no credential
            assert mirror

    @pytest.mark.parametrize(
        "proxy", ["proxy.company:8080", "ftp://proxy.company", "http://[::1", "socks5://proxy.company"]
    )
    def test_refuses_a_way_that_cannot_be_taken(self, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "socksio", None)
        with pytest.raises(ConfigurationError, match="expected a proxy such as"):
            Client("https://registry.test", "imp_x", proxy=proxy)

    def test_refuses_such_a_way_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "socksio", None)
        monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.company")
        with pytest.raises(ConfigurationError, match="a SOCKS proxy needs"):
            Client("https://registry.test", "imp_x")

    @pytest.mark.parametrize("credential", ["imp_é", "imp_x\n", "imp x", "imp_x\u200b"])
    def test_refuses_what_was_never_issued_as_a_credential_and_does_not_show_it(self, credential: str) -> None:
        with pytest.raises(ConfigurationError, match="the credential for the registry") as caught:
            Client("https://registry.test", credential)
        assert credential not in caught.value.message


class TestErrors:
    @pytest.mark.parametrize(
        "cls",
        [
            cls
            for cls in vars(errors).values()
            if isinstance(cls, type) and issubclass(cls, ImprimaturError) and cls is not PolicyDenied
        ],
    )
    def test_every_code_becomes_its_class(self, cls: type[ImprimaturError]) -> None:
        answer = problem(418, cls.code)
        error = error_from(418, answer.content, "x")
        assert type(error) is cls
        assert error.message == "because"

    def test_a_decision_becomes_a_denial_that_carries_it(self) -> None:
        answer = problem(403, "policy.denied", decision=json.loads(encode_canonical(DECISION)))
        with client_of(Seen(answer)) as client, pytest.raises(PolicyDenied) as caught:
            client.open_generation(INTENT)
        assert caught.value.decision == DECISION

    @pytest.mark.parametrize(
        ("status", "cls"),
        [(403, PermissionDenied), (404, NotFound), (409, Conflict), (418, ServiceError), (500, ServiceError)],
    )
    def test_without_a_problem_document_the_status_decides(self, status: int, cls: type[ServiceError]) -> None:
        error = error_from(status, b"<html>", "registry GET /x")
        assert type(error) is cls
        assert str(status) in error.message

    def test_a_denial_without_its_decision_is_still_an_error(self) -> None:
        assert isinstance(error_from(403, problem(403, "policy.denied").content, "x"), PermissionDenied)

    @pytest.mark.parametrize("content", [b"", b"[]", b"not json", b'{"service": 1}', b'{"a":1,"a":2}'])
    def test_an_answer_that_is_not_what_it_should_be_is_a_format_error(self, content: bytes) -> None:
        with client_of(Seen(httpx.Response(200, content=content))) as client, pytest.raises(FormatError):
            client.health()

    def test_an_answer_that_is_not_compressed_as_it_says_is_a_format_error(self) -> None:
        def answer(_request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"plain"))

        with client_of(answer) as client, pytest.raises(FormatError, match="Content-Encoding"):
            client.health()

    def test_other_bytes_than_asked_for_are_refused(self) -> None:
        with client_of(Seen(httpx.Response(200, content=b"other"))) as client:
            with pytest.raises(DigestMismatch):
                client.get_file(FOX, 1, DIGEST)
            with pytest.raises(DigestMismatch):
                client.get_blob(DIGEST)
            with pytest.raises(DigestMismatch):
                client.fetch_artefact(record_id("gen"), DIGEST)

    def test_an_answer_over_the_limit_is_not_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 10)
        with (
            client_of(Seen(httpx.Response(200, content=b"x" * 11))) as client,
            pytest.raises(FormatError, match="larger than 10"),
        ):
            client.health()


class TestRetries:
    def test_repeats_a_read_until_there_is_an_answer(self) -> None:
        answer = api.Health(service="registry", version="1")
        service = Seen(httpx.ConnectError("refused"), problem(503, "service.unavailable"), wire(answer))
        pauses: list[float] = []
        with client_of(service, pauses) as client:
            assert client.health() == answer
        assert len(service.requests) == 3
        assert pauses == [0.2, 0.4]

    def test_gives_up_after_the_last_attempt_and_names_the_service(self) -> None:
        service = Seen(httpx.ConnectError("refused"))
        with (
            client_of(service) as client,
            pytest.raises(ServiceUnavailable, match=r"registry at http://registry\.test"),
        ):
            client.health()
        assert len(service.requests) == ATTEMPTS

    @pytest.mark.parametrize("act", [lambda c: c.give_consent(consent_record()), lambda c: c.create_job(REQUEST)])
    def test_repeats_an_act_on_either_service_under_one_key(self, act: Callable[[Client], object]) -> None:
        keys = []
        for _ in range(2):
            service = Seen(httpx.ReadError("lost"))
            with client_of(service) as client, pytest.raises(ServiceUnavailable):
                act(client)
            assert len(service.requests) == ATTEMPTS
            keys.append({request.headers["Idempotency-Key"] for request in service.requests})
        assert [len(used) for used in keys] == [1, 1]
        assert keys[0] != keys[1]

    @pytest.mark.parametrize(
        "call",
        [
            lambda c: c.open_generation(INTENT),
            lambda c: c.record_generation(record_id("gen"), RESULT),
            lambda c: c.put_blob(b"content"),
        ],
    )
    def test_repeats_what_carries_its_own_identity(self, call: Callable[[Client], Any]) -> None:
        service = Seen(httpx.ReadError("lost"))
        with client_of(service) as client, pytest.raises(ServiceUnavailable):
            call(client)
        assert len(service.requests) == ATTEMPTS
        assert len({request.content for request in service.requests}) == 1

    @pytest.mark.parametrize("status", [400, 404, 409, 429, 500])
    def test_an_answer_is_final(self, status: int) -> None:
        service = Seen(httpx.Response(status))
        with client_of(service) as client, pytest.raises(ImprimaturError):
            client.health()
        assert len(service.requests) == 1
