"""trainer.em.prompts."""

import copy
import dataclasses
from types import SimpleNamespace

import pytest
import torch

from sdk.errors import BackboneError, TrainingInputError
from tests.support.tiny_backbone import tiny_backbone
from trainer.em.prompts import PromptCompiler, Slot, embed_words, encode_prompts, parse_prompt

FOX, PIER = Slot(rows=(0, 1)), Slot(rows=(2,))
SLOTS = {"demo/fox": FOX, "demo/pier": PIER}


def random_rows(family: str, count: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {tower.key: torch.randn(count, tower.width, generator=generator) for tower in tiny_backbone(family).towers}


class TestParsePrompt:
    def test_splits_text_and_slots(self) -> None:
        assert parse_prompt("a photo of {demo/fox} at {demo/pier}", SLOTS) == ("a photo of", FOX, "at", PIER)

    def test_refuses_unknown_names(self) -> None:
        with pytest.raises(TrainingInputError, match=r"demo/cat.*demo/fox, demo/pier"):
            parse_prompt("a photo of {demo/cat}", SLOTS)


class TestPromptCompiler:
    def test_columns_point_at_the_rows(self) -> None:
        compiled = PromptCompiler(tiny_backbone().towers).compile(("a photo of", FOX, "at", PIER))
        assert compiled.columns == (4, 5, 7)
        assert compiled.rows == (0, 1, 2)
        assert len(compiled.ids[0]) == tiny_backbone().towers[0].max_length

    def test_gives_the_ids_of_the_tokenizer(self) -> None:
        tower = tiny_backbone().towers[0]
        compiled = PromptCompiler([tower]).compile(("a photo of", "a fox"))
        expected = tower.tokenizer("a photo of a fox", padding="max_length", max_length=tower.max_length).input_ids
        assert list(compiled.ids[0]) == expected

    def test_refuses_tokenizers_that_put_a_concept_at_different_places(self) -> None:
        class Spelling:
            """Takes a word for its letters."""

            bos_token_id, eos_token_id, pad_token_id = 1, 2, 3

            def __call__(self, text: str, **_: object) -> object:
                return SimpleNamespace(input_ids=[ord(letter) for letter in text])

        (tower,) = tiny_backbone().towers
        other = dataclasses.replace(tower, tokenizer=Spelling())
        with pytest.raises(BackboneError, match="the two tokenizers split a prompt differently"):
            PromptCompiler((tower, other)).compile(("a fox", FOX))

    def test_refuses_a_caption_that_cuts_a_concept_off(self) -> None:
        with pytest.raises(TrainingInputError, match="cuts a concept off"):
            PromptCompiler(tiny_backbone().towers).compile(("a photo of " * 10, FOX))


class TestEncodePrompts:
    @pytest.mark.parametrize("family", ["sd", "sdxl"])
    def test_equals_rows_added_to_the_vocabulary(self, family: str) -> None:
        backbone, rows = tiny_backbone(family), random_rows(family)
        compiled = PromptCompiler(backbone.towers).compile(("a photo of", FOX, "at", PIER))
        with torch.no_grad():
            mine = encode_prompts(backbone, [compiled], rows)
            towers = []
            for tower, ids in zip(backbone.towers, compiled.ids, strict=True):
                encoder = copy.deepcopy(tower.encoder)
                free = [300, 301, 302]
                encoder.get_input_embeddings().weight[free] = rows[tower.key]
                swapped = list(ids)
                for column, row in zip(compiled.columns, compiled.rows, strict=True):
                    swapped[column] = free[row]
                towers.append(encoder(torch.tensor([swapped]), output_hidden_states=True))
        if family == "sd":
            expected = towers[0].last_hidden_state
        else:
            expected = torch.cat([output.hidden_states[-2] for output in towers], dim=-1)
        torch.testing.assert_close(mine.hidden, expected)

    def test_gradients_reach_the_rows_and_nothing_else(self) -> None:
        backbone = tiny_backbone()
        rows = {key: value.requires_grad_() for key, value in random_rows("sd").items()}
        compiled = PromptCompiler(backbone.towers).compile(("a photo of", FOX))
        encode_prompts(backbone, [compiled], rows).hidden.square().sum().backward()
        gradient = rows["clip_l"].grad
        assert gradient is not None
        assert (gradient[:2].abs().sum(1) > 0).all()
        assert gradient[2].abs().sum() == 0
        assert all(p.grad is None for p in backbone.towers[0].encoder.parameters())

    def test_leaves_the_encoder_as_it_was(self) -> None:
        backbone = tiny_backbone()
        embedding = backbone.towers[0].encoder.get_input_embeddings()
        before = embedding.weight.clone()
        compiled = PromptCompiler(backbone.towers).compile(("a photo of", FOX))
        encode_prompts(backbone, [compiled], random_rows("sd"))
        assert not embedding._forward_hooks
        assert torch.equal(embedding.weight, before)

    def test_removes_the_hook_when_the_encoder_fails(self) -> None:
        backbone = tiny_backbone()
        compiled = PromptCompiler(backbone.towers).compile((Slot(rows=(9,)),))
        with pytest.raises(IndexError):
            encode_prompts(backbone, [compiled], random_rows("sd"))
        assert not backbone.towers[0].encoder.get_input_embeddings()._forward_hooks

    def test_equal_prompts_are_encoded_once_and_in_order(self) -> None:
        backbone, compiler = tiny_backbone(), PromptCompiler(tiny_backbone().towers)
        one, two = compiler.compile((FOX,)), compiler.compile((PIER,))
        encoder, seen = backbone.towers[0].encoder, []
        handle = encoder.register_forward_pre_hook(lambda _m, args, _k: seen.append(len(args[0])), with_kwargs=True)
        try:
            hidden = encode_prompts(backbone, [one, two, one], random_rows("sd")).hidden
        finally:
            handle.remove()
        assert seen == [2]
        assert torch.equal(hidden[0], hidden[2])
        assert not torch.equal(hidden[0], hidden[1])


class TestEmbedWords:
    def test_gives_one_vector_a_sub_token(self) -> None:
        assert embed_words(tiny_backbone().towers[0], "teddy bear").shape == (2, 16)

    def test_refuses_a_word_without_tokens(self) -> None:
        with pytest.raises(TrainingInputError, match="class word"):
            embed_words(tiny_backbone().towers[0], " ")
