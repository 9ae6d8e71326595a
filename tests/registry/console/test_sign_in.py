"""Signing in and out: what the browser keeps, what ends a session, and forms that were never shown."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import text
from support.console import Browser
from support.registry import BASE_URL, RegistryUnderTest
from support.versions import Steps

from registry.auth import end_credential
from sdk.spec.digest import Digest

SESSION, FORM = "imprimatur_session", "imprimatur_form"


def is_signed_in(browser: Browser) -> bool:
    return browser.get("/concepts").status_code == 200


class TestSignIn:
    def test_opens_a_session_and_logs_it(self, registry: RegistryUnderTest) -> None:
        browser = Browser(registry).signed_in("reviewer")
        assert is_signed_in(browser)
        assert browser.get("/").headers["location"] == "/console/queue"
        assert ("session:opened", "demo/reviewer") in Steps(registry).events("demo/reviewer")

    def test_keeps_the_credential_nowhere(self, registry: RegistryUnderTest) -> None:
        browser = Browser(registry).signed_in("reviewer")
        credential, secret = registry.credentials["reviewer"], browser.cookies[SESSION]
        assert credential not in str(browser.cookies)
        assert credential not in browser.get("/concepts").text
        with registry.engine.connect() as connection:
            (row,) = connection.execute(text("SELECT * FROM console_sessions")).mappings()
        assert row["digest"] == Digest.of(secret.encode())
        assert secret not in str(dict(row))
        assert credential not in str(dict(row))

    @pytest.mark.parametrize(("url", "secure"), [(BASE_URL, False), (BASE_URL.replace("http", "https", 1), True)])
    def test_cookies_are_for_the_console_alone(self, registry: RegistryUnderTest, url: str, secure: bool) -> None:
        with httpx.Client(base_url=url, transport=registry.transport) as client:
            cookie = client.get("/console/sign-in").headers["set-cookie"].lower()
        assert {"httponly", "samesite=strict", "path=/console"} <= {part.strip() for part in cookie.split(";")}
        assert ("secure" in cookie) == secure

    @pytest.mark.parametrize("credential", ["imp_" + "a" * 43, "nothing", "imp_x\r\nX: y"])
    def test_a_wrong_credential_is_refused_in_place(self, registry: RegistryUnderTest, credential: str) -> None:
        browser = Browser(registry)
        answer = browser.sign_in(credential)
        assert answer.status_code == 401
        assert "Not signed in" in answer.text
        assert credential not in answer.text
        assert SESSION not in browser.cookies

    def test_signing_in_again_ends_the_session_before(self, registry: RegistryUnderTest) -> None:
        browser = Browser(registry).signed_in("reviewer")
        before = Browser(registry, cookies=dict(browser.cookies))
        browser.signed_in("auditor")
        assert is_signed_in(browser)
        assert not is_signed_in(before)


class TestEnd:
    def test_signing_out_ends_the_session_for_whoever_kept_the_cookie(self, registry: RegistryUnderTest) -> None:
        browser = Browser(registry).signed_in("reviewer")
        kept = Browser(registry, cookies=dict(browser.cookies))
        answer = browser.post("/sign-out", {"form_token": browser.token("/concepts")})
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
        assert SESSION not in browser.cookies
        assert not is_signed_in(kept)

    def test_time_ends_a_session(self, registry: RegistryUnderTest) -> None:
        browser = Browser(registry).signed_in("reviewer")
        registry.clock.advance(minutes=registry.runtime.settings.console_session_minutes - 1)
        assert is_signed_in(browser)
        registry.clock.advance(minutes=1)
        assert not is_signed_in(browser)

    def test_revoking_the_credential_ends_its_sessions(self, registry: RegistryUnderTest) -> None:
        browser = Browser(registry).signed_in("reviewer")
        with registry.runtime.transaction() as session:
            digest = Digest.of(registry.credentials["reviewer"].encode())
            end_credential(session, digest, registry.clock(), now=registry.clock())
        assert not is_signed_in(browser)

    def test_an_invented_session_is_nobody(self, registry: RegistryUnderTest) -> None:
        assert not is_signed_in(Browser(registry, cookies={SESSION: "a" * 43}))


class TestForms:
    def test_a_form_that_was_not_shown_to_this_browser_is_refused(self, registry: RegistryUnderTest) -> None:
        browser, other = Browser(registry), Browser(registry)
        fields = {"credential": registry.credentials["reviewer"], "form_token": other.token("/sign-in")}
        assert browser.post("/sign-in", fields).status_code == 403  # no cookie at all
        browser.get("/sign-in")
        assert browser.post("/sign-in", fields).status_code == 403  # a token of another
        assert browser.post("/sign-in", {"credential": "x"}).status_code == 422
        assert SESSION not in browser.cookies

    def test_of_every_open_tab_is_good(self, registry: RegistryUnderTest) -> None:
        browser = Browser(registry)
        first, _second = browser.token("/sign-in"), browser.token("/sign-in")
        fields = {"credential": registry.credentials["reviewer"], "form_token": first}
        assert browser.post("/sign-in", fields).status_code == 303

    def test_what_is_no_secret_of_ours_is_not_gone_on_with(self, registry: RegistryUnderTest) -> None:
        browser = Browser(registry, cookies={FORM: "short"})
        browser.get("/sign-in")
        assert browser.cookies[FORM] != "short"

    @pytest.mark.parametrize("token", ["", "x", "é", "a" * 44])
    def test_nobody_is_signed_out_without_their_token(self, registry: RegistryUnderTest, token: str) -> None:
        browser = Browser(registry).signed_in("reviewer")
        assert browser.post("/sign-out", {"form_token": token}).status_code in (403, 422)
        assert is_signed_in(browser)

    def test_posting_without_a_session_is_refused(self, registry: RegistryUnderTest) -> None:
        assert Browser(registry).post("/sign-out", {"form_token": "x"}).status_code == 401


class TestLanguage:
    def test_is_chosen_by_address_then_remembered(self, registry: RegistryUnderTest) -> None:
        browser = Browser(registry, language="ja-JP,ja;q=0.9,en;q=0.5")
        assert "サインイン" in browser.get("/sign-in").text
        assert "Sign in" in browser.get("/sign-in?lang=en").text
        assert "Sign in" in browser.get("/sign-in").text, "the cookie wins over the browser's preference"

    @pytest.mark.parametrize("header", ["", "fr", "ja;q=0", "en, ja", "ja;q=x, en", "*"])
    def test_is_english_where_nothing_asks_for_japanese(self, registry: RegistryUnderTest, header: str) -> None:
        assert '<html lang="en">' in Browser(registry, language=header).get("/sign-in").text

    def test_an_unknown_language_is_not_remembered(self, registry: RegistryUnderTest) -> None:
        browser = Browser(registry)
        assert '<html lang="en">' in browser.get("/sign-in?lang=<script>").text
        assert "imprimatur_language" not in browser.cookies
