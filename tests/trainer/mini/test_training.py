"""The training's parts on tiny networks: tokenizer, attention loss, checkpoints that resume to the same bits."""

import copy
import gzip
from pathlib import Path

import pytest
import torch

from trainer.mini.corpus.captions import Caption
from trainer.mini.presets import PRESETS
from trainer.mini.train.attention import captured_attention, mask_loss
from trainer.mini.train.checkpoint import load_checkpoint, save_checkpoint
from trainer.mini.train.denoiser import (
    VIEWS_FIRST,
    Denoiser,
    _draw_batch,
    _phase_step,
    _step,
    build_denoiser,
    build_scheduler,
)
from trainer.mini.train.latents import LatentPool, tokenize, vector_slots
from trainer.mini.train.pseudo_words import WORD_SCALE, ViewEncoder, pseudo_words
from trainer.mini.train.tokenizer import build_tokenizer

TINY = PRESETS["tiny"].denoiser
MERGES = gzip.compress(b"#version\nc a\nca t</w>\nd o\ndo g</w>\n" + b"\n".join(b"z %d" % i for i in range(49000)))


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(MERGES, ("cat", "dog"), TINY.text_length)


@pytest.fixture
def pool(tokenizer) -> LatentPool:
    generator = torch.Generator().manual_seed(1)
    caption = Caption(pieces=("a", "cat"), owners=(-1, 0), vectors=(-1, 2))
    tokens, words = tokenize(tokenizer, caption)
    slots = torch.from_numpy(vector_slots(tokenizer, caption))
    return LatentPool(
        latents=torch.randn((8, 4, 4, 4), generator=generator).half(),
        tokens=torch.tensor([tokens] * 8, dtype=torch.int32),
        words=torch.from_numpy(words)[None].repeat(8, 1, 1),
        masks=torch.randint(0, 256, (8, 2, 16), generator=generator, dtype=torch.uint8),
        slots=slots[None].repeat(8, 1),
        views=torch.randint(0, 256, (8, 3, 48, 48, 3), generator=generator, dtype=torch.uint8),
    )


def _network(tokenizer) -> tuple[Denoiser, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = build_denoiser(TINY, tokenizer, latent_channels=4, side=4)
    return network, torch.optim.AdamW(network.parameters(), lr=1e-3)


def _train(network, optimizer, pool, tokenizer, steps: range) -> None:
    for step in steps:
        batch = _draw_batch(pool, tokenizer, build_scheduler(), TINY, step, torch.device("cpu"))
        _step(network, optimizer, batch, TINY, queries=16)


class TestTokenizer:
    def test_a_word_of_the_list_is_one_token_and_another_falls_to_pieces(self, tokenizer) -> None:
        assert len(tokenizer("cat", add_special_tokens=False).input_ids) == 1
        assert len(tokenizer("dogcat", add_special_tokens=False).input_ids) > 1

    def test_pieces_tokenise_as_the_whole_sentence_does(self, tokenizer) -> None:
        caption = Caption(pieces=("a", "cat", "and a", "dog"), owners=(-1, 0, -1, 1))
        ids, words = tokenize(tokenizer, caption)
        assert ids == tokenizer(caption.text, padding="max_length").input_ids
        assert words.sum(1).tolist() == [1, 1]


class TestPseudoWords:
    def test_only_the_marked_tokens_move_and_by_their_own_vector(self, tokenizer) -> None:
        network, _ = _network(tokenizer)
        embedding = network.text_encoder.get_input_embeddings()
        ids, slots = torch.tensor([[3, 4, 5]]), torch.tensor([[-1, 1, 0]])
        offsets = torch.randn(1, 2, TINY.text_width)
        before = embedding(ids)
        with pseudo_words(network.text_encoder, slots, offsets):
            moved = embedding(ids) - before
        assert torch.allclose(moved[0], torch.stack([torch.zeros(TINY.text_width), offsets[0, 1], offsets[0, 0]]))
        assert torch.equal(embedding(ids), before)

    def test_an_offset_has_the_length_of_a_word_whatever_the_view(self) -> None:
        encoder = ViewEncoder(vectors=3, width=16)
        made = encoder(torch.rand(2, 3, 48, 48) * 2 - 1)
        assert made.shape == (2, 3, 16)
        assert torch.allclose(made.square().mean(-1).sqrt(), torch.full((2, 3), WORD_SCALE), rtol=0.02)

    def test_a_warm_start_trains_the_view_encoder_first(self, tokenizer, pool) -> None:
        network, optimizer = _network(tokenizer)
        before = copy.deepcopy(network.state_dict())
        assert _phase_step(network, 0, warm=True) == 0
        _train(network, optimizer, pool, tokenizer, range(1))
        moved = {name.split(".")[0] for name, value in network.state_dict().items() if not value.equal(before[name])}
        assert moved == {"view_encoder"}
        assert _phase_step(network, VIEWS_FIRST + 2, warm=True) == 2
        _train(network, optimizer, pool, tokenizer, range(1))
        assert not network.unet.conv_in.weight.equal(before["unet.conv_in.weight"])

    def test_the_view_encoder_learns(self, tokenizer, pool) -> None:
        network, optimizer = _network(tokenizer)
        before = network.view_encoder.offsets.weight.detach().clone()
        _train(network, optimizer, pool, tokenizer, range(2))
        assert not torch.equal(before, network.view_encoder.offsets.weight)


class TestCheckpoint:
    def test_a_resumed_run_has_the_bits_of_one_never_stopped(self, tokenizer, pool, tmp_path: Path) -> None:
        whole, optimizer = _network(tokenizer)
        _train(whole, optimizer, pool, tokenizer, range(4))
        begun, optimizer = _network(tokenizer)
        _train(begun, optimizer, pool, tokenizer, range(2))
        save_checkpoint(tmp_path / "c.safetensors", step=2, networks={"network": begun}, optimizer=optimizer)
        resumed, optimizer = _network(tokenizer)
        torch.nn.init.zeros_(next(resumed.parameters()))
        assert load_checkpoint(tmp_path / "c.safetensors", networks={"network": resumed}, optimizer=optimizer) == 2
        _train(resumed, optimizer, pool, tokenizer, range(2, 4))
        pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


class TestAttentionLoss:
    def test_is_nothing_when_a_word_attends_to_its_mask_and_large_when_elsewhere(self) -> None:
        masks = torch.zeros(1, 2, 16)
        masks[0, 0, :8] = 255
        words = torch.zeros(1, 2, 3)
        words[0, 0, 1] = 1
        inside = torch.zeros(1, 16, 3)
        inside[0, :8, 1] = 1
        assert mask_loss([inside], words, masks).item() == pytest.approx(0, abs=1e-3)
        assert mask_loss([inside.flip(1)], words, masks).item() > 5

    def test_capture_leaves_the_processors_as_they_were(self, tokenizer) -> None:
        network, _ = _network(tokenizer)
        before = copy.copy(network.unet.attn_processors)
        with captured_attention(network.unet, queries=16) as maps:
            network.unet(torch.randn(1, 4, 4, 4), 5, torch.randn(1, 7, TINY.text_width))
        assert maps
        assert all(each.shape == (1, 16, 7) for each in maps)
        assert network.unet.attn_processors == before
