"""Metrics, log lines and traces: what they say, and what they never say."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from support.asgi import AsgiTransport
from support.database import DatabaseServer
from support.registry import RegistryUnderTest, make_test_registry
from support.versions import Steps

from registry.app import create_app
from registry.telemetry.logs import FACTS, JsonLines
from registry.telemetry.requests import HEADER

SECRET = "imp_" + "S" * 43


def samples(registry: RegistryUnderTest) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample of a scrape: name and label values to value."""
    answer = registry.client(None).get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


class TestMetrics:
    def test_count_requests_by_template_and_refusals_by_code(self, registry: RegistryUnderTest) -> None:
        for name in ("nobody", "nothing"):
            registry.client("app").get(f"/v1/concepts/demo/{name}")
        registry.client(None).get("/v1/whoami")
        registry.client(None).get("/nowhere/at/all")
        registry.client(None).get("/console/sign-in")
        found = samples(registry)
        template = "/v1/concepts/{tenant}/{name}"
        assert found["imprimatur_http_requests_total", ("GET", template, "404")] == 2
        assert found["imprimatur_http_request_seconds_count", ("GET", template)] == 2
        assert found["imprimatur_http_requests_total", ("GET", "(none)", "404")] == 1
        assert found["imprimatur_http_requests_total", ("GET", "/console/...", "200")] == 1
        assert found["imprimatur_refusals_total", ("resource.not_found",)] == 3
        assert found["imprimatur_refusals_total", ("auth.required",)] == 1

    def test_tell_the_size_of_the_log_and_the_depth_of_queues(self, registry: RegistryUnderTest) -> None:
        from sqlalchemy import text

        with registry.engine.begin() as connection:
            queued = "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('training', 'train')"
            connection.execute(text(queued))
        found = samples(registry)
        assert found["imprimatur_log_entries", ()] == len(registry.credentials) + 1
        assert found["imprimatur_queue_jobs", ("training",)] == 1
        assert found["imprimatur_database_up", ()] == 1

    def test_labels_are_few_however_many_names_and_methods_are_asked_for(self, registry: RegistryUnderTest) -> None:
        for number in range(20):
            registry.client("app").request(f"X{number}", f"/v1/unknown/{number}")
            registry.client("app").get(f"/v1/concepts/demo/c{number}")
        series = {key for key in samples(registry) if key[0] == "imprimatur_http_requests_total"}
        assert len(series) <= 4

    def test_name_no_tenant_and_no_one(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        text = registry.client(None).get("/metrics").text
        assert "demo" not in text
        assert "fox" not in text

    def test_a_lost_database_is_a_metric_not_a_failure(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            name = url.split("?")[0].rsplit("/", 1)[1]
            registry.engine.dispose()
            postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            assert samples(registry)["imprimatur_database_up", ()] == 0

    def test_are_of_one_application(self, registry: RegistryUnderTest) -> None:
        AsgiTransport(create_app(registry.runtime))
        registry.client(None).get("/v1/whoami")
        assert samples(registry)["imprimatur_http_requests_total", ("GET", "/v1/whoami", "401")] == 1


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that the registry logs, as it would be written."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    root = logging.getLogger("registry")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


class TestLogLines:
    def test_one_says_what_was_answered_and_its_id_comes_back(
        self, registry: RegistryUnderTest, lines: io.StringIO
    ) -> None:
        answer = registry.client("app").get("/v1/concepts/demo/fox?as_of=2026-01-01T00:00Z", headers={HEADER: "a" * 16})
        said = [json.loads(line) for line in lines.getvalue().splitlines()]
        line = next(line for line in said if line["logger"] == "registry.telemetry.requests")
        assert answer.headers[HEADER] == line["request_id"] == "a" * 16
        assert (line["method"], line["route"], line["status"], line["code"]) == (
            "GET",
            "/v1/concepts/{tenant}/{name}",
            404,
            "resource.not_found",
        )
        assert line["ms"] >= 0
        assert "fox" not in lines.getvalue()

    @pytest.mark.parametrize("asked", ["", "short", "x" * 65, "with space in it", 'quote"quote"'])
    def test_an_id_that_is_not_plain_is_replaced(self, registry: RegistryUnderTest, asked: str) -> None:
        given = registry.client("app").get("/v1/whoami", headers={HEADER: asked}).headers[HEADER]
        assert given != asked
        assert len(given) == 16

    def test_probes_are_silent_until_they_fail(self, registry: RegistryUnderTest, lines: io.StringIO) -> None:
        for path in ("/healthz", "/readyz", "/metrics"):
            registry.client(None).get(path)
        assert "registry.telemetry" not in lines.getvalue()

    def test_hold_no_credential_whoever_logs_one(self) -> None:
        shown = []
        for message in (f"Bearer {SECRET}", "postgresql://owner:hunter2@db/x", "eyJhbGciOiJS.eyJzdWIiOiJ4.sig-sig"):
            record = logging.LogRecord("a", logging.INFO, "f", 1, message, (), None)
            setattr(record, FACTS, {"more": message})
            shown.append(JsonLines().format(record))
        assert all("[secret]" in line for line in shown)
        assert not any(leak in line for line in shown for leak in (SECRET, "hunter2", "eyJzdWIi"))

    def test_hold_no_credential_of_a_request(self, registry: RegistryUnderTest, lines: io.StringIO) -> None:
        Steps(registry).approved()
        registry.client("app").get("/v1/whoami")
        assert lines.getvalue()
        assert not any(credential in lines.getvalue() for credential in registry.credentials.values())


class TestTraces:
    def test_one_span_a_request_names_the_route_and_continues_the_callers_trace(
        self, registry: RegistryUnderTest
    ) -> None:
        spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        app = create_app(registry.runtime, tracer_provider=provider)
        trace = "0af7651916cd43dd8448eb211c80319c"
        headers = {
            "Authorization": f"Bearer {registry.credentials['app']}",
            "traceparent": f"00-{trace}-b7ad6b7169203331-01",
        }
        import httpx

        with httpx.Client(base_url="http://registry.test", transport=AsgiTransport(app)) as client:
            client.get("/v1/concepts/demo/fox", headers=headers)
            client.get("/healthz")
        (span,) = spans.get_finished_spans()
        assert (span.name, span.attributes["http.route"]) == (
            "GET /v1/concepts/{tenant}/{name}",
            "/v1/concepts/{tenant}/{name}",
        )
        assert f"{span.context.trace_id:032x}" == trace
        assert registry.credentials["app"] not in span.to_json()

    def test_holds_no_message_of_an_exception(
        self, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        app = create_app(registry.runtime, tracer_provider=provider)

        def break_down(*_: object) -> None:
            raise RuntimeError("a prompt about a fox")

        monkeypatch.setattr("registry.auth.authenticate", break_down)
        answer = AsgiTransport(app)._inner.get("/v1/whoami", headers={"Authorization": f"Bearer {SECRET}"})
        assert answer.status_code == 500
        (span,) = spans.get_finished_spans()
        assert "a prompt" not in span.to_json()
