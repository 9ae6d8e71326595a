"""The guides in `docs/` do what they say: their blocks are executed in order, in a studio in process.

python blocks share one namespace; `$` lines of console blocks are run; cedar and yaml blocks go at the end of the
rules and cases of `proposed/`; a json block is `proposed.json`. A text block after a command holds lines it printed.
"""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from support.database import DatabaseServer
from support.governed import consent_record, licence_grant, use_terms
from support.registry import POLICIES
from support.studio import StudioInProcess, make_studio

from registry.settings import Settings
from sdk.cli.train import TrainingPlan
from sdk.spec.api import NewConcept
from sdk.spec.canonical import validate_wire
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ConceptKind
from trainer.em.config import parse_config
from trainer.settings import TrainerSettings

pytestmark = pytest.mark.long
DOCS = Path(__file__).resolve().parents[2] / "docs"
FOX, LAVENDER = ConceptId("demo/fox"), ConceptId("demo/lavender")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"python", "console", "cedar", "yaml", "json", "text"}


@pytest.fixture
def studio(
    postgres_server: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StudioInProcess]:
    """A studio with two approved concepts; the working directory holds the shipped policies."""
    torch.set_num_threads(1)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(POLICIES, tmp_path / "policies")
    with postgres_server.fresh_database() as url, make_studio(url, tmp_path) as made:
        monkeypatch.setattr(importlib.import_module("sdk.compose.call"), "shared_connection", made._connect)
        for concept, kind in ((FOX, ConceptKind.SUBJECT), (LAVENDER, ConceptKind.BACKGROUND)):
            approve(made, concept, kind)
        yield made


def approve(studio: StudioInProcess, concept: ConceptId, kind: ConceptKind) -> None:
    with studio.client("owner") as owner:
        owner.create_concept(NewConcept(id=concept, kind=kind, title=str(concept)))
        terms = use_terms(valid_from="2026-01-01T00:00:00Z", valid_until="2099-01-01T00:00:00Z")
        consent = owner.give_consent(consent_record(concept, terms=terms)).id
        licence = owner.grant_licence(licence_grant(concept, terms=terms)).id
    studio.submit(concept, kind, [consent], [licence])
    assert studio.command("approve", f"{concept}@1", role="reviewer").returncode == 0


class Reader:
    """Somebody who does what a guide says, as `role`."""

    def __init__(self, studio: StudioInProcess, role: str) -> None:
        self.studio, self.role = studio, role
        self.names: dict[str, Any] = {}
        self.printed = ""

    def follow(self, guide: str) -> list[str]:
        """Do every block in order; return their languages."""
        done = []
        for language, block in BLOCK.findall((DOCS / guide).read_text("utf-8")):
            assert language in LANGUAGES, f"{guide} has a {language} block, which nobody checks"
            getattr(self, language)(block)
            done.append(language)
        return done

    def python(self, block: str) -> None:
        exec(compile(block, "guide", "exec"), self.names)

    def console(self, block: str) -> None:
        for line in block.splitlines():
            assert line.startswith("$ "), f"{line!r} is no command"
            program, *words = shlex.split(self.told(line[2:]))
            if program == "imprimatur":
                done = self.studio.command(*words, *self.who(words))
            else:
                done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{line}: {done.stderr}"
            self.printed = done.stdout

    def told(self, line: str) -> str:
        """The line with the ids that the guide leaves to its reader."""
        bundle = self.studio.client("owner").get_version(FOX, 1)
        composed = self.names.get("result")
        line = line.replace("gen_...", composed.generation_id if composed else "gen_...")
        return line.replace("lic_...", bundle.licences[0].id).replace("con_...", bundle.consents[0].id)

    def who(self, words: list[str]) -> list[str]:
        offline = words[:2] in (["policy", "test"], ["policy", "diff"])
        return [] if offline else ["--profile", str(self.studio.profile(self.role).path)]

    def cedar(self, block: str) -> None:
        self.append("rules.cedar", block)

    def yaml(self, block: str) -> None:
        self.append("cases.yaml", block)

    def append(self, name: str, block: str) -> None:
        with open(Path("proposed") / "composition" / name, "a", encoding="utf-8") as file:
            file.write("\n" + block)

    def json(self, block: str) -> None:
        Path("proposed.json").write_text(block, "utf-8")

    def text(self, block: str) -> None:
        printed = {line.strip() for line in self.printed.splitlines()}
        for line in block.splitlines():
            if not self.printed:
                assert (Path.cwd() / "policies" / line.split()[0]).exists() or line == "policies/"
            else:
                assert any(line.strip() in shown for shown in printed), f"{line!r} was not printed:\n{self.printed}"


class TestGuides:
    def test_verifying(self, studio: StudioInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IMPRIMATUR_PROFILE", str(studio.profile("auditor").path))
        done = Reader(studio, "auditor").follow("verify.md")
        assert {"console", "python", "text"} <= set(done)
        assert Path("approval.tlog-proof").read_text().startswith("c2sp.org/tlog-proof@v1\n")

    def test_teaching(self) -> None:
        (block,) = [block for lang, block in BLOCK.findall((DOCS / "training.md").read_text("utf-8")) if lang == "yaml"]
        plan = validate_wire(TrainingPlan, yaml.safe_load(block), "training.md")
        parse_config({"max_rounds": plan.settings["max_rounds"], "m_step": {"steps": plan.settings["m_step.steps"]}})
        assert plan.pictures[0].masks == {FOX: "masks/1-fox.png"}

    @pytest.mark.parametrize(
        ("title", "settings", "elsewhere"),
        [("The registry", Settings, {"oidc"}), ("The trainer", TrainerSettings, {"directory", "database_url"})],
    )
    def test_every_setting_is_listed(self, title: str, settings: type[Any], elsewhere: set[str]) -> None:
        section = (DOCS / "operators.md").read_text("utf-8").partition(f"### {title}\n")[2].partition("\n#")[0]
        listed = "".join(re.findall(r"^\|(.*?)\|", section, re.MULTILINE))
        assert set(re.findall(r"`([a-z_]+)`", listed)) == {field.name for field in fields(settings)} - elsewhere

    def test_composing(self, studio: StudioInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IMPRIMATUR_PROFILE", str(studio.profile("app").path))
        done = Reader(studio, "app").follow("compose.md")
        assert done.count("python") >= 6
        assert {path.name for path in Path().glob("*.png")} == {"fox-0.png", "fox-1.png", "fox.png"}
        assert len(Path("spring.csv").read_text().splitlines()) == 7

    def test_policies(self, studio: StudioInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
        import sdk

        with studio.client("app") as client:
            sdk.compose(
                [FOX],
                f"a photo of {{{FOX}}}",
                purpose="advertising",
                territory="JP",
                channel="web",
                steps=1,
                profile=studio.profile("app"),
                client=client,
            )
        done = Reader(studio, "auditor").follow("policies.md")
        assert {"console", "cedar", "yaml", "json"} <= set(done)


@pytest.mark.parametrize("guide", ["compose.md", "policies.md", "verify.md"])
def test_links_lead_somewhere(guide: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (DOCS / guide).read_text("utf-8"))
    assert [link for link in links if not (DOCS / link).exists()] == []
