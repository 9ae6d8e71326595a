"""One service over httpx: the credential, bounded answers, retries, and problem documents turned into errors.

Which routes exist is not here. Problems are RFC 9457 documents (`sdk.spec.api.Problem`); their `code` picks the
class of `sdk.errors`. The credential travels over TLS, or does not leave the machine. Calls are repeated when the service
gave no answer or said that it cannot serve now: each may be, for a POST has an idempotency key, or says itself which act it is.
"""

from __future__ import annotations

import re
import secrets
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

import httpx

from sdk import errors
from sdk.errors import ConfigurationError, FormatError, PolicyDenied, ServiceError, ServiceUnavailable
from sdk.spec.api import Problem
from sdk.spec.canonical import WireModel, encode_canonical, parse_json, validate_wire
from sdk.spec.paging import Page

MAX_ANSWER_BYTES: Final = 16 * 1_048_576  # bytes of a JSON answer
MAX_CONTENT_BYTES: Final = 256 * 1_048_576  # bytes of a blob, a file or a tile
ATTEMPTS: Final = 4
FIRST_PAUSE_SECONDS: Final = 0.2  # doubled after every attempt

_AWAY: Final = frozenset({502, 503, 504})
_CREDENTIAL: Final = re.compile(r"[!-~]+")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

_Answer = TypeVar("_Answer", bound=WireModel)
_Page = TypeVar("_Page", bound=Page)
Params = dict[str, str] | dict[str, str | list[str]]


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """None are kept: a service knows a program by its credential alone."""


class _HttpClient(httpx.Client):
    @property
    def cookies(self) -> httpx.Cookies:
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        raise AttributeError("a service is sent no cookies")


_NO_COOKIES: Final = _NoCookies()


class Service:
    """Calls to one service. Holds the connection pool; knows nothing of routes."""

    def __init__(
        self,
        name: str,
        base_url: str,
        credential: str | None,
        *,
        transport: httpx.BaseTransport | None,
        timeout: float | httpx.Timeout,
        sleep: Callable[[float], None],
        proxy: str | httpx.Proxy | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.base_url = _checked_url(name, base_url, credential, plain=transport is not None)
        self._sleep = sleep
        headers = _authorization(name, credential) | {"User-Agent": "imprimatur-sdk"}
        try:
            self._http = _HttpClient(
                base_url=self.base_url,
                headers=headers,
                transport=transport,
                timeout=timeout,
                proxy=proxy,
                verify=verify or True,
                trust_env=httpx.URL(base_url).host not in _LOOPBACK,
            )
        except (ValueError, ImportError, httpx.InvalidURL) as exc:
            raise ConfigurationError(
                f"the way to the {name} cannot be taken: {exc}; expected a proxy such as 'http://proxy.company:8080', in the "
                "profile or in HTTPS_PROXY; a SOCKS proxy needs pip install 'httpx[socks]'"
            ) from exc
        self._headers: Final = list(self._http.headers.items())

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, cls: type[_Answer], params: Params | None = None) -> _Answer:
        """GET a JSON answer."""
        return self._parse(cls, path, self._send("GET", path, params=params, limit=MAX_ANSWER_BYTES))

    def get_pages(self, path: str, cls: type[_Page], params: Params | None = None, of: str | None = None) -> _Page:
        """GET a list page after page, as one answer; what else there is, is that of the first page.

        `of` is the member that the pages are of, where there are others.

        Raises:
            FormatError: the list has no end.
        """
        first = page = self.get(path, cls, params)
        (member,) = [of] if of else cls.model_fields.keys() - {"next_cursor"}
        things, cursors = list(getattr(page, member)), set[str]()
        while (cursor := page.next_cursor) is not None:
            if cursor in cursors:
                raise FormatError(f"the list {self.name} {path} comes back to where it was; it has no end")
            cursors.add(cursor)
            page = self.get(path, cls, {**(params or {}), "cursor": cursor})
            things += getattr(page, member)
        return first.model_copy(update={member: tuple(things), "next_cursor": None})

    def get_bytes(self, path: str) -> bytes:
        """GET bytes as they are."""
        return self._send("GET", path, limit=MAX_CONTENT_BYTES)

    def put_bytes(self, path: str, content: bytes) -> None:
        """PUT bytes at an address that is made from them, so that putting twice is putting once."""
        headers = {"Content-Type": "application/octet-stream"}
        self._send("PUT", path, content=content, headers=headers, limit=MAX_ANSWER_BYTES)

    def post(self, path: str, body: WireModel | None, cls: type[_Answer]) -> _Answer:
        """POST a body, under an `Idempotency-Key` of its own: the service does it once, however often it comes."""
        return self._post(path, body, cls, None, {"Idempotency-Key": secrets.token_urlsafe(24)})

    def post_repeatable(self, path: str, body: WireModel, cls: type[_Answer], params: Params) -> _Answer:
        """POST a body that says by itself which act it is: the service does that once without being given a key for it."""
        return self._post(path, body, cls, params, {})

    def _post(
        self, path: str, body: WireModel | None, cls: type[_Answer], params: Params | None, headers: dict[str, str]
    ) -> _Answer:
        content = encode_canonical(body) if body is not None else b""
        headers |= {"Content-Type": "application/json"}
        answer = self._send("POST", path, content=content, params=params, headers=headers, limit=MAX_ANSWER_BYTES)
        return self._parse(cls, path, answer)

    def _send(
        self,
        method: str,
        path: str,
        *,
        limit: int,
        content: bytes | None = None,
        params: Params | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        request = self._request(method, path, content, params, headers)
        for attempt in range(ATTEMPTS):
            try:
                return self._once(request, limit)
            except ServiceUnavailable:
                if attempt == ATTEMPTS - 1:
                    raise
            self._sleep(FIRST_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _request(
        self, method: str, path: str, content: bytes | None, params: Params | None, headers: dict[str, str] | None
    ) -> httpx.Request:
        """As `httpx.Client.build_request` makes it, without cookies and without taking apart the base address again."""
        return httpx.Request(
            method,
            self.base_url + path,
            params=params,
            headers=[*self._headers, *(headers or {}).items()],
            content=content,
            extensions={"timeout": self._http.timeout.as_dict()},
        )

    def _once(self, request: httpx.Request, limit: int) -> bytes:
        try:
            response = self._http.send(request, stream=True)
            try:
                content = _read(response, limit, f"{self.name} {request.url.path}")
            finally:
                response.close()
        except httpx.TransportError as exc:
            reason = str(exc) or type(exc).__name__
            raise ServiceUnavailable(
                f"the {self.name} at {self.base_url} gave no answer ({reason}); is it running? try 'imprimatur up DIR'"
            ) from exc
        except httpx.DecodingError as exc:
            raise FormatError(
                f"answer of {self.name} {request.url.path} is not compressed as its Content-Encoding says: {exc}; is there "
                "a proxy on the way that changes answers?"
            ) from exc
        if response.is_success:
            return content
        raise error_from(response.status_code, content, f"{self.name} {request.method} {request.url.path}")

    def _parse(self, cls: type[_Answer], path: str, content: bytes) -> _Answer:
        what = f"answer of {self.name} {path}"
        return validate_wire(cls, parse_json(content, what, max_bytes=MAX_ANSWER_BYTES), what)


def error_from(status: int, content: bytes, what: str) -> errors.ImprimaturError:
    """The error that a failed answer stands for: by its problem code, else by its HTTP status."""
    try:
        problem = validate_wire(Problem, parse_json(content, "problem"), "problem")
    except FormatError:
        return _class_of_status(status)(f"{what} answered {status} without a problem document")
    if problem.decision is not None:
        return PolicyDenied(problem.detail, problem.decision, on_record=True)
    cls = _classes_by_code().get(problem.code, _class_of_status(status))
    return cls(problem.detail)


def error_of_code(code: str, message: str) -> errors.ImprimaturError:
    """The error with this code, which a service reports in the body of an answer; an unknown one is a `ServiceError`."""
    return _classes_by_code().get(code, ServiceError)(message)


def _classes_by_code() -> dict[str, type[errors.ImprimaturError]]:
    """Every class whose constructor takes a message alone; `PolicyDenied` needs its decision."""
    classes: dict[str, type[errors.ImprimaturError]] = {}
    waiting: list[type[errors.ImprimaturError]] = [errors.ImprimaturError]
    while waiting:
        cls = waiting.pop()
        classes[cls.code] = cls
        waiting += cls.__subclasses__()
    del classes[PolicyDenied.code]
    return classes


def _class_of_status(status: int) -> type[errors.ImprimaturError]:
    if status in _AWAY:
        return ServiceUnavailable
    by_status: dict[int, type[errors.ImprimaturError]] = {
        401: errors.AuthenticationRequired,
        403: errors.PermissionDenied,
        404: errors.NotFound,
        409: errors.Conflict,
        410: errors.Erased,
        413: errors.PayloadTooLarge,
        422: errors.InputError,
        429: errors.TooManyRequests,
    }
    return by_status.get(status, ServiceError)


def _read(response: httpx.Response, limit: int, what: str) -> bytes:
    content = bytearray()
    for block in response.iter_bytes():
        content += block
        if len(content) > limit:
            raise FormatError(f"answer of {what} is larger than {limit} bytes; it was not read to its end")
    return bytes(content)


def _authorization(name: str, credential: str | None) -> dict[str, str]:
    if not credential:
        return {}
    if not _CREDENTIAL.fullmatch(credential):
        raise ConfigurationError(
            f"the credential for the {name} has a space, a line break or a character beyond ASCII in it; copy it anew, "
            "as it was issued: 'imp_...'"
        )
    return {"Authorization": f"Bearer {credential}"}


def _checked_url(name: str, base_url: str, credential: str | None, *, plain: bool) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as exc:
        raise ConfigurationError(f"{base_url!r} is no address of a {name}: {exc}") from exc
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError(f"expected the {name}'s address such as 'http://127.0.0.1:8700', found {base_url!r}")
    if url.userinfo and credential:
        raise ConfigurationError(
            f"the {name}'s address has a name or a password before {url.host}, which would be sent in the place of your "
            "credential; leave out everything up to the '@'"
        )
    if url.scheme == "http" and url.host not in _LOOPBACK and not plain:
        raise ConfigurationError(
            f"{base_url} would carry your credential in the clear; use https, or http to this machine only"
        )
    return base_url.rstrip("/")
