"""Captions with pseudo-words: what stands for what, and that the same index always gives the same item."""

from pathlib import Path

import numpy as np
import pytest

from trainer.mini.corpus.pictured import PLACE, VIEW_SIDE, PicturedComposites, turn_colours
from trainer.mini.corpus.vocabulary import seen
from trainer.mini.presets import CorpusPreset

VECTORS = 3
NAMED, UNNAMED = seen(wide=False)[0], "padlock"


@pytest.fixture(scope="module")
def composites(tmp_path_factory: pytest.TempPathFactory) -> PicturedComposites:
    """A cache with two sprites: a red square that has a name, and a blue one that has none."""
    folder: Path = tmp_path_factory.mktemp("cache")
    sprites = np.zeros((2, 16, 16, 4), np.uint8)
    sprites[:, 2:14, 2:14, 3] = 255
    sprites[0, 2:14, 2:14, 0] = sprites[1, 2:14, 2:14, 2] = 200
    np.savez(
        folder / "sprites-seen-16.npz",
        icons=np.array((NAMED.icon, UNNAMED)),
        styles=np.array(("3d",) * 2),
        pixels=sprites,
    )
    corpus = CorpusPreset(size=32, sprite_size=16, scene_size=32, scene_variants=1, names=(NAMED.name,))
    return PicturedComposites(corpus, folder, 5, VECTORS)


def middle(mask: np.ndarray) -> float:
    """The mean column of a mask."""
    return float(np.nonzero(mask)[1].mean())


class TestItem:
    def test_a_pseudo_word_has_each_of_its_vectors_once_in_order(self, composites) -> None:
        for index in range(60):
            vectors = [vector for vector in composites.item(index).caption.vectors if vector >= 0]
            views = [vectors[at : at + VECTORS] for at in range(0, len(vectors), VECTORS)]
            assert all(view == [view[0] + number for number in range(VECTORS)] for view in views)
            assert {view[0] // VECTORS for view in views} <= {0, 1, PLACE}

    def test_where_no_pseudo_word_is_told_class_words_are_true(self, composites) -> None:
        captions = [c for c in (composites.item(i).caption for i in range(120)) if max(c.vectors) < 0]
        told = {piece for c in captions for piece, owner in zip(c.pieces, c.owners, strict=True) if owner >= 0}
        assert 0.1 < len(captions) / 120 < 0.4
        assert told <= {NAMED.kind, NAMED.name, "thing", "object"}

    def test_an_object_without_a_name_is_never_named(self, composites) -> None:
        captions = [composites.item(index).caption for index in range(60)]
        assert not any(UNNAMED in caption.text for caption in captions)
        assert any(NAMED.name in caption.pieces for caption in captions)

    def test_a_place_is_owned_by_no_object_and_an_object_by_itself(self, composites) -> None:
        for index in range(60):
            caption = composites.item(index).caption
            for owner, vector in zip(caption.owners, caption.vectors, strict=True):
                if vector >= 0:
                    assert owner == (-1 if vector // VECTORS == PLACE else vector // VECTORS)

    def test_the_order_of_words_does_not_tell_which_object_is_at_the_left(self, composites) -> None:
        pairs = [i.composite.masks for i in map(composites.item, range(120)) if len(i.composite.masks) == 2]
        lefts = [middle(one) < middle(two) for one, two in pairs if one.any() and two.any()]
        assert 0.2 < sum(lefts) / len(lefts) < 0.8

    def test_views_show_the_object_on_gray(self, composites) -> None:
        item = next(
            i for i in map(composites.item, range(60)) if len(i.composite.masks) == 1 and 0 in i.caption.vectors
        )
        assert item.views.shape == (3, VIEW_SIDE, VIEW_SIDE, 3)
        assert item.views[0, 0, 0].tolist() == [127, 127, 127]
        assert np.ptp(item.views[0, VIEW_SIDE // 2, VIEW_SIDE // 2]) > 60
        assert item.views[PLACE].any()

    def test_the_same_index_is_the_same_item(self, composites) -> None:
        one, other = composites.item(7), composites.item(7)
        assert one.caption == other.caption
        assert np.array_equal(one.composite.picture, other.composite.picture)
        assert np.array_equal(one.views, other.views)


def test_turned_colours_stay_under_the_alpha_and_leave_gray_gray() -> None:
    rng = np.random.default_rng(0)
    premultiplied = np.array([[[90, 10, 10, 100], [50, 50, 50, 100]]], np.uint8)
    for _ in range(20):
        turned = turn_colours(rng, premultiplied)
        assert turned[..., :3].max() <= 100
        assert np.ptp(turned[0, 1, :3]) <= 1
        assert turned[..., 3].tolist() == [[100, 100]]
