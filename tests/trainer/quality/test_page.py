"""trainer.quality: the report of a tiny real training, as values and as a page."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser

import pytest
import torch
from torch import Tensor

from sdk.spec.manifest import ConceptKind
from tests.support.tiny_backbone import BEACH, FOX, make_picture, make_training_set, tiny_backbone
from trainer.data import ConceptSpec, TrainingSet
from trainer.em import EMConfig, EMState, fit
from trainer.em.config import CRFConfig, EStepConfig, MStepConfig, StopConfig
from trainer.em.state import MaskVerdict
from trainer.quality import QualityReport, assess, render_page
from trainer.quality.report import REPORT_FORMAT, joint_prompt, scenes_for

HOSTILE = "<script>alert(1)</script>"
CONFIG = EMConfig(
    max_rounds=2,
    e_step=EStepConfig(timesteps=1, timestep_low=10, timestep_high=70),
    crf=CRFConfig(grid=8),
    m_step=MStepConfig(steps=2, batch_size=1),
    stop=StopConfig(evaluation_timesteps=1),
)
INK = ConceptSpec(name="demo/ink", kind=ConceptKind.STYLE, class_word="ink")


class Brightness:
    """An encoder that reads text, and one that does not."""

    def __init__(self, *, reads: bool) -> None:
        self._reads = reads

    def encode_images(self, pictures: Tensor) -> Tensor:
        level = pictures.float().mean(dim=(1, 2, 3)) / 255
        return torch.nn.functional.normalize(torch.stack([level, 1 - level], dim=1), dim=1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor | None:
        return torch.tensor([[0.6, 0.8]]).expand(len(texts), -1) if self._reads else None


class Elements(HTMLParser):
    """Which elements a page has, their addresses, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def trained() -> tuple[TrainingSet, EMState]:
    """A training of a fox with a hostile class word on a beach; the last masks of its first picture were refused."""
    training = make_training_set((dataclasses.replace(FOX, class_word="fox"), BEACH))
    state = fit(tiny_backbone(), training, CONFIG)
    verdict = MaskVerdict(picture=0, label=0, reason="jump", iou=0.2, area=0.3)
    last = dataclasses.replace(state.records[-1], verdicts=(verdict,))
    fox = dataclasses.replace(FOX, class_word=HOSTILE)
    return (
        dataclasses.replace(training, concepts=(fox, BEACH), warnings=("two pictures are alike",)),
        dataclasses.replace(state, records=(*state.records[:-1], last)),
    )


@pytest.fixture(scope="module")
def report(trained: tuple[TrainingSet, EMState]) -> QualityReport:
    training, state = trained
    return assess(tiny_backbone(), training, CONFIG, state, encoder=Brightness(reads=True), seconds=61.0)


@pytest.fixture(scope="module")
def page(report: QualityReport) -> Elements:
    return Elements(render_page(report))


class TestAssess:
    def test_says_everything_in_json(self, report: QualityReport) -> None:
        values = json.loads(json.dumps(report.values))
        assert values["format"] == REPORT_FORMAT
        assert values["base_model"] == tiny_backbone().digest
        assert (values["rounds"], values["steps"], len(values["history"])) == (2, 4, 3)
        assert values["labels"] == [FOX.name, BEACH.name]
        assert [sum(row) for row in values["leakage"]] == pytest.approx([1, 1])
        assert values["not_measured"] == []

    def test_says_of_every_concept_what_was_measured(self, report: QualityReport) -> None:
        fox, beach = report.values["concepts"]
        for concept in (fox, beach):
            assert set(concept["mask_area"]) == {"p0", "p1", "p2"}
            assert all(-1 <= concept[name] <= 1 for name in ("identity", "identity_floor", "prompt"))
        assert [fox["attention_kept"], beach["attention_kept"]] == pytest.approx(
            [report.values["leakage"][n][n] for n in (0, 1)], abs=1e-4
        )
        assert fox["mask_area"]["p0"] + beach["mask_area"]["p0"] == pytest.approx(1, abs=1e-3)

    def test_warns_of_a_mask_that_was_refused_at_last_and_says_what_to_do(self, report: QualityReport) -> None:
        assert report.values["warnings"] == [
            "two pictures are alike",
            "p0: the last mask of demo/fox was refused (jump); look at its mask, and give one by hand if it is wrong.",
        ]
        assert [len(record["refused"]) for record in report.values["history"]][-1] == 1

    @pytest.mark.parametrize(
        ("encoder", "missing"), [(None, "identity and prompt"), (Brightness(reads=False), "prompt similarity: the")]
    )
    def test_says_what_was_not_measured(
        self, trained: tuple[TrainingSet, EMState], encoder: Brightness | None, missing: str
    ) -> None:
        training, state = trained
        blind = assess(tiny_backbone(), training, CONFIG, state, encoder=encoder, seconds=1.0)
        assert blind.values["not_measured"][0].startswith(missing)
        assert all(("identity" in c, "prompt" in c) == (encoder is not None, False) for c in blind.values["concepts"])
        assert "Not measured: " in Elements(render_page(blind)).text

    def test_draws_together_as_many_concepts_as_a_prompt_holds_and_names_the_others(self) -> None:
        names = ("demo/one", "demo/two", "demo/three", "demo/four", "demo/five")
        five = [dataclasses.replace(FOX, name=name, vectors=4) for name in names]
        training = make_training_set(five, pictures=[make_picture(name, (name,)) for name in names])
        state = fit(tiny_backbone(), training, dataclasses.replace(CONFIG, max_rounds=1))
        report = assess(tiny_backbone(), training, CONFIG, state, encoder=Brightness(reads=True), seconds=1.0)
        assert set(report.together.prompts) == {"a photo of {demo/one} and {demo/two} and {demo/three} and {demo/four}"}
        assert report.values["not_measured"] == [
            "how demo/five goes together with the others: a prompt of this base model has 22 tokens, too few for all"
        ]


class TestScenes:
    @pytest.mark.parametrize(("concept", "word"), [(FOX, "snow"), (BEACH, "a dog in"), (INK, "in the style of")])
    def test_each_kind_is_shown_in_scenes_of_its_own(self, concept: ConceptSpec, word: str) -> None:
        scenes = scenes_for(concept)
        assert any(word in scene for scene in scenes)
        assert all(scene.count(f"{{{concept.name}}}") == 1 for scene in scenes)

    def test_together_things_stand_in_places_in_a_style(self) -> None:
        prompts = [joint_prompt(each) for each in ((INK, BEACH, FOX), (INK,))]
        assert prompts[0] == "a photo of {demo/fox} in {demo/beach} in the style of {demo/ink}"
        assert prompts[1] == "a photo of a picture in the style of {demo/ink}"


class TestPage:
    def test_is_one_file_that_fetches_and_runs_nothing(self, page: Elements) -> None:
        assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
        assert all(address.startswith("data:image/png;base64,") for address in page.addresses)

    def test_shows_every_mask_of_every_round_every_sample_and_the_plots(self, page: Elements) -> None:
        masks, samples = 3 * (1 + 3), 4 + 4 + 2
        assert page.tags["img"] == masks + samples
        assert page.tags["svg"] == 3
        assert [page.text.count(f"round {number}") for number in (1, 2)] == [3, 3]

    def test_says_what_its_figures_mean(self, page: Elements) -> None:
        assert page.tags["dd"] == 5
        assert "how far it is above the likeness to the other concepts" in page.text

    def test_says_where_the_guards_kept_the_mask_before(self, page: Elements) -> None:
        assert page.text.count("round 2: the mask before, the new one was refused (jump)") == 1

    def test_warnings_and_what_people_wrote_are_text(self, page: Elements) -> None:
        assert "two pictures are alike" in page.text
        assert HOSTILE in page.text
