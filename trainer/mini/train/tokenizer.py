"""The tokenizer: CLIP's byte-pair encoding, cut to the merges that a word list needs.

A word outside the list still tokenises, into smaller pieces: all 512 byte symbols are kept.
"""

import gzip
import itertools

from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer(merges_file: bytes, words: tuple[str, ...], length: int) -> CLIPTokenizer:
    """A CLIPTokenizer of at most `length` tokens whose vocabulary is cut to `words`."""
    lines = gzip.decompress(merges_file).decode("utf-8").split("\n")[1 : 49152 - 256 - 2 + 1]
    ranks = {tuple(line.split()): rank for rank, line in enumerate(lines)}
    used = sorted({merge for word in words for merge in _merges_of(word, ranks)}, key=ranks.__getitem__)
    symbols = _byte_symbols()
    pieces = symbols + [f"{symbol}</w>" for symbol in symbols] + ["".join(merge) for merge in used] + [START, END]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=used,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=length,
    )


def _merges_of(word: str, ranks: dict[tuple[str, ...], int]) -> list[tuple[str, ...]]:
    """The merges that byte-pair encoding applies to one ASCII word, in order."""
    parts = [*word[:-1], f"{word[-1]}</w>"]
    applied = []
    while len(parts) > 1:
        pair = min(itertools.pairwise(parts), key=lambda two: ranks.get(two, len(ranks)))
        if pair not in ranks:
            break
        applied.append(pair)
        at = 0
        while at < len(parts) - 1:
            if (parts[at], parts[at + 1]) == pair:
                parts[at : at + 2] = ["".join(pair)]
            at += 1
    return applied


def _byte_symbols() -> list[str]:
    """The 256 printable stand-ins for bytes, in CLIP's order."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in kept]
    return [chr(byte) for byte in kept] + [chr(256 + index) for index in range(len(rest))]
