"""The API's OpenAPI document: what FastAPI reads off the routes, with what every route shares, and an example of each body.

Errors are RFC 9457 problem documents, POST takes an `Idempotency-Key`, and all but the public routes take a credential.
`make fuzz-api` holds the application to this document.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from registry.errors import PROBLEM_MEDIA_TYPE
from registry.idempotency import HEADER
from registry.openapi_examples import BODY_EXAMPLES
from sdk.spec.api import Problem

_SCHEMAS: Final = "#/components/schemas/"
_ALWAYS: Final = {
    "422": "The request is not what it must be",
    "429": "Too many requests; Retry-After says when to try again",
    "500": "The registry failed in a way it did not foresee",
    "503": "The registry cannot serve now; trying again is safe",
}
_TO_CALLERS: Final = {
    "401": "No credential, or one that is not in force",
    "403": "The caller may not do this, or policy denies it; a decision says why",
    "404": "The caller's tenant has no such thing",
}
_TO_WRITERS: Final = {
    "409": "What stands does not allow it, or somebody else was first",
    "413": "The body is larger than the registry takes",
}
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "ETags of answers that the client has; 304 when one of them still holds",
    "schema": {"type": "string"},
}
_KEY: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A request sent again with the same key is done once and answered alike, for 24 hours",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{16,64}$"},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for path, item in document["paths"].items():
            for method, operation in item.items():
                _complete(path, method, operation)
        schemas.update(_problem_schemas())
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        document["components"]["securitySchemes"] = {"credential": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = document
    described: dict[str, Any] = app.openapi_schema
    return described


def is_public(path: str) -> bool:
    """Whether a route takes no credential; `sdk.spec.api` says which."""
    named = ("/healthz", "/readyz", "/v1/trust-root", "/v1/log/checkpoint")
    return path in named or path.startswith(("/v1/log/tile/", "/v1/log/checkpoint/", "/v1/status/", "/v1/tuf/"))


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    told = dict(_ALWAYS)
    if not is_public(path):
        operation["security"] = [{"credential": []}]
        told |= _TO_CALLERS
    elif "{" in path or path == "/v1/log/checkpoint/witnessed":  # a log that no quorum has cosigned yet has none
        told["404"] = _TO_CALLERS["404"]
    if method in ("post", "put"):
        told |= _TO_WRITERS
    if method == "get" and path.startswith("/v1/"):
        operation.setdefault("parameters", []).append(_IF_NONE_MATCH)
        operation["responses"]["304"] = {"description": "What the client has still holds"}
    if method == "post":
        operation.setdefault("parameters", []).append(_KEY)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content.get("schema", {}).get("$ref", "").removeprefix(_SCHEMAS).removesuffix("-Input")
        if name in BODY_EXAMPLES:
            content["example"] = BODY_EXAMPLES[name]
    problem = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}Problem"}}}
    operation["responses"] |= {status: {"description": text, "content": problem} for status, text in told.items()}


def _problem_schemas() -> dict[str, Any]:
    schema = Problem.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
    named: dict[str, Any] = schema.pop("$defs", {})
    return named | {"Problem": schema}
