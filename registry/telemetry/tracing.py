"""OpenTelemetry: what the spans that FastAPI makes itself are told to be.

Off, and without cost but a look at the API, unless `OTEL_EXPORTER_OTLP_ENDPOINT` (or ..._TRACES_ENDPOINT) is set and the
extra `tracing` is installed; the other variables of the OpenTelemetry specification (service name, resource, headers,
sampler) are read by its SDK. One span a request: no span holds a body, a header or the message of an exception.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import TracerProvider

_UNTRACED: Final = frozenset({"/healthz", "/readyz", "/metrics"})


def tracing(provider: TracerProvider | None = None) -> TelemetryConfig:
    """FastAPI's settings; a `provider` that is given takes the place of what the environment says. Metrics are Prometheus's, logs are ours, and both would repeat what spans may not hold."""
    return TelemetryConfig(
        tracer_provider=provider,
        tracing=True,
        metrics=False,
        logs=False,
        operation_spans=False,
        auto_configure=provider is None,
        exclude=_untraced,
    )


def _untraced(scope: MutableMapping[str, Any]) -> bool:
    return scope.get("path") in _UNTRACED
