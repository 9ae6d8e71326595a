"""trainer.quality.measures."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tests.support.tiny_backbone import BEACH, FOX, RESOLUTION, make_picture, make_training_set
from trainer.data import ConceptSpec
from trainer.em.scene import Scene, layout_scene
from trainer.quality.measures import NEUTRAL, measure_likeness, reference_cuts

INK = ConceptSpec(name="demo/ink", kind=type(FOX.kind).STYLE, class_word="ink")
RED, GREEN = (
    torch.tensor(c, dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 4, 4) for c in ([255, 0, 0], [0, 255, 0])
)


class Colours:
    """Sees the mean colour, and knows the word of each."""

    def __init__(self, *, reads: bool = True) -> None:
        self._reads = reads

    def encode_images(self, pictures: Tensor) -> Tensor:
        mean = pictures.float().mean(dim=(2, 3))
        return mean / mean.norm(dim=1, keepdim=True)

    def encode_texts(self, texts: Sequence[str]) -> Tensor | None:
        words = {"red": [1.0, 0, 0], "green": [0, 1.0, 0]}
        return torch.tensor([words[text] for text in texts]) if self._reads else None


class TestMeasureLikeness:
    def test_compares_samples_with_their_own_references_the_others_and_their_texts(self) -> None:
        references = {"a": RED, "b": GREEN}
        texts = {"a": ["red", "green"], "b": ["red", "red"]}
        found = measure_likeness(Colours(), references, {"a": RED, "b": RED}, texts)
        assert (found["a"].identity, found["a"].identity_floor, found["a"].prompt) == pytest.approx((1.0, 0.0, 0.5))
        assert (found["b"].identity, found["b"].identity_floor, found["b"].prompt) == pytest.approx((0.0, 1.0, 1.0))

    def test_what_cannot_be_measured_is_left_out(self) -> None:
        found = measure_likeness(Colours(reads=False), {"a": RED}, {"a": RED}, {"a": ["red", "red"]})
        assert (found["a"].identity_floor, found["a"].prompt) == (None, None)


class TestReferenceCuts:
    def scene(self) -> tuple[Scene, Tensor]:
        """One picture whose orange square is the fox, all else the beach, drawn in ink."""
        picture = make_picture("p", [FOX.name, BEACH.name, INK.name])
        scene = layout_scene(make_training_set((FOX, BEACH, INK), pictures=[picture]))
        square = (picture.pixels[0] == 220).float()
        return scene, torch.stack([square, 1 - square])[None]

    def test_a_thing_is_cut_out_on_grey_a_place_keeps_its_mask_and_a_style_is_the_whole_picture(self) -> None:
        scene, posterior = self.scene()
        cuts = reference_cuts(scene, posterior)
        assert {name: cut.shape for name, cut in cuts.items()} == dict.fromkeys(
            (FOX.name, BEACH.name, INK.name), (1, 3, RESOLUTION, RESOLUTION)
        )
        assert (cuts[FOX.name][0, 0] == 220).float().mean() > 0.5  # it was 14 percent of the picture
        square = posterior[0, 0].bool()
        assert (cuts[BEACH.name][0, :, square] == round(NEUTRAL)).all()
        assert torch.equal(cuts[BEACH.name][0, :, ~square], scene.pictures[0].pixels[:, ~square])
        assert torch.equal(cuts[INK.name][0], scene.pictures[0].pixels)

    def test_an_empty_mask_gives_grey(self) -> None:
        scene, posterior = self.scene()
        posterior[:, 0], posterior[:, 1] = 0, 1
        assert (reference_cuts(scene, posterior)[FOX.name] == round(NEUTRAL)).all()
