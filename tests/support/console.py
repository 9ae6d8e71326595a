"""Browsers for the console, and a registry with something on every page. For tests.

browser = Browser(registry).signed_in("reviewer")
browser.get("/queue").text
world = governed_world(registry)        # paths of what is there
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
from PIL import Image
from support.governed import learned_embedding
from support.registry import BASE_URL, RegistryUnderTest
from support.versions import FOX, Steps, accepted

from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ArtefactDescriptor, ArtefactRole, ConceptKind

REPORT = b'<!doctype html><title>Quality report</title><p>IoU 0.8</p><script>document.title = "ran"</script>'
HOSTILE = '"><script>alert(1)</script>&{{ 7 * 7 }}'
PERSON = ConceptId("demo/aiko")


@dataclass
class Browser:
    """What a browser does: keeps cookies, sends the fields of the form it was shown, follows nothing by itself."""

    registry: RegistryUnderTest
    cookies: dict[str, str] = field(default_factory=dict)
    language: str = "en"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._send("GET", path, headers=headers)

    def post(self, path: str, fields: dict[str, str]) -> httpx.Response:
        return self._send("POST", path, data=fields)

    def upload(self, path: str, shown: str, files: list[tuple[str, tuple[str, bytes]]]) -> httpx.Response:
        """Send files by the form on the page `shown`."""
        return self._send("POST", path, data={"form_token": self.token(shown)}, files=files)

    def token(self, path: str) -> str:
        """The form token on a page."""
        return re.search(r'name="form_token" value="([^"]+)"', self.get(path).text)[1]  # type: ignore[index]

    def sign_in(self, credential: str) -> httpx.Response:
        return self.post("/sign-in", {"credential": credential, "form_token": self.token("/sign-in")})

    def signed_in(self, name: str) -> Browser:
        answer = self.sign_in(self.registry.credentials[name])
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/"), answer.text
        return self

    def _send(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        data: dict[str, str] | None = None,
        files: list[tuple[str, tuple[str, bytes]]] | None = None,
    ) -> httpx.Response:
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Accept-Language": self.language, "Cookie": kept} | (headers or {})
        with httpx.Client(base_url=f"{BASE_URL}/console", transport=self.registry.transport, headers=sent) as client:
            answer = client.request(method, path, data=data, files=files)
        for header in answer.headers.get_list("set-cookie"):
            name, _, value = header.split(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
            if "Max-Age=0" in header:
                del self.cookies[name]
        return answer


@dataclass(frozen=True, kw_only=True)
class ConsoleWorld:
    """Paths of the console under which something stands."""

    waiting: str  # a version in review, with pictures and a report
    approved: str
    picture: str
    report: str
    embedding: str
    permitted: str
    refused: str

    @property
    def pages(self) -> tuple[str, ...]:
        """Every page that a signed-in person can open."""
        lists = (
            "/queue",
            "/consents",
            "/concepts",
            "/generations",
            "/origins",
            "/accounts",
            "/denials",
            "/log",
            "/log/0",
            f"/concepts/{FOX}",
            f"/concepts/{PERSON}",
        )
        return (*lists, *self.work, self.waiting, self.approved, self.permitted, self.refused)

    @property
    def work(self) -> tuple[str, ...]:
        """The queue in parts, and a draft."""
        return ("/queue?show=mine", "/queue?show=overdue", "/concepts/demo/draft/versions/1")


def governed_world(registry: RegistryUnderTest) -> ConsoleWorld:
    """A fox approved, superseded and used; a person in review, whose words are hostile; a refusal."""
    steps = Steps(registry)
    first = steps.approved()
    registry.clock.advance(days=1)
    second = steps.submitted(embedding=b"second", consents=first.manifest.consents)
    accepted(steps.review(second, comment=f"better masks {HOSTILE}"))
    person = steps.submitted(PERSON, kind=ConceptKind.PERSON, embedding=b"p", artefacts=shown_artefacts(steps))
    accepted(steps.review(person, comment=HOSTILE))
    accepted(steps.assign(person, "second-reviewer", due_at=registry.clock.now + timedelta(days=1)))
    accepted(steps.comment(person, f"is picture 1 hers? {HOSTILE}"))
    accepted(steps.comment(person, "it is", "owner", reply_to=1))
    steps.drafted(ConceptId("demo/draft"), embedding=b"d")
    grant = accepted(steps.compose(second))
    result = steps.result(grant["id"], second)
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", result))
    denied = steps.compose(person, key="d" * 16)
    assert denied.status_code == 403, denied.text
    registry.clock.advance(days=2)
    views = steps.get("auditor", "/v1/generations")["generations"]
    refused = next(view["id"] for view in views if view["decision"]["effect"] == "deny")
    waiting = f"/concepts/{PERSON}/versions/1"
    files = {artefact.role: f"{waiting}/files/{artefact.digest}" for artefact in person.manifest.artefacts}
    return ConsoleWorld(
        waiting=waiting,
        approved=f"/concepts/{FOX}/versions/2",
        picture=files[ArtefactRole.TRAINING_PICTURE],
        report=files[ArtefactRole.REPORT],
        embedding=files[ArtefactRole.EMBEDDING],
        permitted=f"/generations/{grant['id']}",
        refused=f"/generations/{refused}",
    )


def shown_artefacts(steps: Steps) -> tuple[ArtefactDescriptor, ...]:
    """An embedding, a picture with its mask, a sample, one that is no picture, and a report with a script in it."""
    files = (
        (
            "learned_embeds.safetensors",
            ArtefactRole.EMBEDDING,
            "application/vnd.safetensors",
            learned_embedding(b"p", PERSON),
        ),
        ("pictures/1.png", ArtefactRole.TRAINING_PICTURE, "image/png", png("#c60")),
        ("masks/1.png", ArtefactRole.MASK, "image/png", png("#fff")),
        ("samples/1.png", ArtefactRole.SAMPLE, "image/png", png("#06c")),
        ("samples/no-picture.png", ArtefactRole.SAMPLE, "image/png", b"<svg onload='alert(1)'/>"),
        ("report.html", ArtefactRole.REPORT, "text/html", REPORT),
    )
    return tuple(
        ArtefactDescriptor(name=name, role=role, media_type=media_type, size=len(content), digest=steps.upload(content))
        for name, role, media_type, content in files
    )


def png(colour: str) -> bytes:
    """A small picture of one colour."""
    written = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(written, "PNG")
    return written.getvalue()
