"""The corpus keeps its word: held-out names stay out, captions are grammar, masks are what is visible."""

import numpy as np
import pytest

from trainer.mini.corpus.captions import every_word, with_article, write_caption
from trainer.mini.corpus.compose import Placement, compose, place_objects
from trainer.mini.corpus.scenes import SCENES, paint_bank
from trainer.mini.corpus.scenes_held_out import HELD_OUT_PLACES
from trainer.mini.corpus.sprites import is_held_out
from trainer.mini.corpus.vocabulary import SEEN, WIDE, held_out, kinds, seen


class TestHeldOutNames:
    def test_lists_at_least_forty_objects_and_five_places(self) -> None:
        assert len(held_out()) >= 40
        assert len(HELD_OUT_PLACES) >= 5

    def test_shares_no_name_with_what_any_preset_trains_on(self) -> None:
        trained = {thing.icon for thing in SEEN + WIDE} | {thing.name for thing in SEEN + WIDE}
        assert not trained & set(held_out())
        assert len(seen(wide=True)) == len(SEEN + WIDE)

    def test_relatives_of_a_held_out_name_are_held_out_too(self) -> None:
        assert is_held_out("dragon-face")
        assert not is_held_out("cat-face")

    def test_every_class_word_of_an_object_is_one_that_captions_use(self) -> None:
        assert set(held_out().values()) <= set(kinds(wide=False))

    def test_places_are_disjoint_from_the_seen_scenes(self) -> None:
        assert not {scene.name for scene in HELD_OUT_PLACES} & {scene.name for scene in SCENES}


class TestCaption:
    def test_names_each_object_once_in_a_piece_of_its_own(self) -> None:
        for index in range(200):
            rng = np.random.default_rng(index)
            caption = write_caption(rng, SEEN[:2], SCENES[index % len(SCENES)])
            named = {owner: piece for piece, owner in zip(caption.pieces, caption.owners, strict=True) if owner >= 0}
            assert set(named) == {0, 1}
            assert all(named[i] in (SEEN[i].name, SEEN[i].kind) for i in (0, 1))

    def test_claims_no_colour_that_is_not_true(self) -> None:
        colors = {color for thing in SEEN for color in thing.colors}
        for index in range(300):
            caption = write_caption(np.random.default_rng(index), (SEEN[0],), SCENES[0])
            assert set(caption.text.split()) & (colors - {"sandy"}) <= set(SEEN[0].colors)

    def test_uses_only_words_of_the_vocabulary(self) -> None:
        words = set(every_word())
        for index in range(300):
            caption = write_caption(
                np.random.default_rng(index), (SEEN[index % len(SEEN)],), SCENES[index % len(SCENES)]
            )
            assert set(caption.text.split()) <= words

    @pytest.mark.parametrize(("word", "phrase"), [("apple", "an apple"), ("bear", "a bear")])
    def test_chooses_the_article_by_the_first_letter(self, word: str, phrase: str) -> None:
        assert with_article(word) == phrase


class TestCompose:
    SPRITE = np.full((32, 32, 4), 255, np.uint8)
    BLACK = np.zeros((64, 64, 3), np.uint8)

    def test_mask_is_the_alpha_that_was_drawn(self) -> None:
        placement = Placement(x=0.5, y=0.5, side=0.5, turn=0, flip=False)
        made = compose(self.BLACK, (self.SPRITE,), (placement,))
        assert np.array_equal(made.masks[0], made.picture[..., 0])
        assert made.masks[0].sum() / 255 == pytest.approx(32 * 32, rel=0.05)

    def test_a_later_object_is_cut_out_of_the_mask_of_an_earlier_one(self) -> None:
        behind = Placement(x=0.4, y=0.5, side=0.5, turn=0, flip=False)
        before = Placement(x=0.6, y=0.5, side=0.5, turn=0, flip=False)
        first, second = compose(self.BLACK, (self.SPRITE, self.SPRITE), (behind, before)).masks
        assert (first.astype(int) + second <= 256).all()
        assert first.sum() < second.sum()

    def test_two_objects_are_placed_apart(self) -> None:
        for index in range(50):
            one, two = place_objects(np.random.default_rng(index), 2)
            assert np.hypot(one.x - two.x, one.y - two.y) > 0.35


class TestScenes:
    def test_are_the_same_for_the_same_seed_and_vary_within_a_scene(self) -> None:
        bank = paint_bank(SCENES[:3], 32, 2, 5)
        assert np.array_equal(bank, paint_bank(SCENES[:3], 32, 2, 5))
        assert all(not np.array_equal(pair[0], pair[1]) for pair in bank)
