"""Console sessions: a credential is shown once, and a browser is then known by a random secret of its own.

1. The cookie holds 32 random bytes; the database holds their digest. The credential itself is in neither.
2. A session ends when it is closed, when its time is over, and when its credential is revoked or expires.
3. Every form carries a token made from the cookie's secret, which no other site can read (OWASP CSRF cheat sheet,
   synchroniser token). The sign-in form has one too, from a secret of its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from typing import Final

from sqlalchemy.orm import Session

from registry.auth import Caller, authenticate, caller_of_credential
from registry.console.tables import ConsoleSessionRow
from registry.log import service as log
from registry.runtime import Runtime
from sdk.errors import AuthenticationRequired, PermissionDenied
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType

_SECRET_BYTES: Final = 32
_FORM: Final = b"imprimatur console form\n"


def new_secret() -> str:
    """What a browser keeps; 256 random bits."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def is_secret(text: str) -> bool:
    """Whether a browser shows what may be one of ours."""
    return re.fullmatch(r"[A-Za-z0-9_-]{43}", text) is not None


def open_session(session: Session, runtime: Runtime, credential: str) -> str:
    """Sign in with a credential, log it, and return the secret of the new session.

    Raises:
        AuthenticationRequired: the credential is none, or is no longer in force.
        PermissionDenied: it is limited to scopes.
    """
    caller = authenticate(session, runtime, f"Bearer {credential.strip()}")  # of this registry: a session rests on it
    if caller.scopes is not None:
        raise PermissionDenied("the console does everything its roles allow, and this credential is limited to scopes")
    proved, secret, now = Digest.of(credential.strip().encode()), new_secret(), runtime.clock()
    session.add(
        ConsoleSessionRow(
            digest=Digest.of(secret.encode()),
            credential=proved,
            opened_at=now,
            expires_at=now + timedelta(minutes=runtime.settings.console_session_minutes),
        )
    )
    log.append(
        session,
        runtime,
        event=AuditEventType.SESSION_OPENED,
        actor=caller.principal,
        subject=caller.principal,
        evidence={"credential": proved},
    )
    return secret


def caller_of_session(session: Session, runtime: Runtime, secret: str | None) -> Caller:
    """Who signed in as the holder of `secret`.

    Raises:
        AuthenticationRequired: nobody did, or the session or its credential has ended.
    """
    row = session.get(ConsoleSessionRow, Digest.of(secret.encode())) if secret else None
    if row is None:
        raise AuthenticationRequired("nobody is signed in here; sign in with your credential")
    if row.closed_at is not None or runtime.clock() >= row.expires_at:
        raise AuthenticationRequired("your session has ended; sign in again")
    return caller_of_credential(session, runtime, row.credential)


def close_session(session: Session, runtime: Runtime, secret: str | None) -> None:
    """End a session; ending one that is not there, or has ended, changes nothing."""
    row = session.get(ConsoleSessionRow, Digest.of(secret.encode())) if secret else None
    if row and row.closed_at is None:
        row.closed_at = runtime.clock()


def form_token(secret: str) -> str:
    """The token that forms shown to the holder of `secret` carry."""
    return base64.urlsafe_b64encode(hashlib.sha256(_FORM + secret.encode()).digest()).decode()


def require_form_token(secret: str | None, token: str) -> None:
    """Return if a form was shown to the holder of `secret`. Raises `PermissionDenied`."""
    if not secret or not hmac.compare_digest(form_token(secret).encode(), token.encode()):
        raise PermissionDenied("this form was not shown to this browser, or is out of date; open the page again")
