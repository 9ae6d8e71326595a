"""What it costs to keep attention while drawing, on the base model that ships: processor time with over without.

Runs with and without alternate, on one thread, so that a busy machine spoils both alike.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from sdk.generate.drawing import Watch, generate_images
from sdk.generate.pipeline import load_pipeline
from sdk.generate.scene import parse_scene
from sdk.generate.tokens import LearnedToken
from sdk.spec.ids import ConceptId
from sdk.spec.sampling import Sampling

_NAMES = {"subject": ConceptId("bench/subject"), "place": ConceptId("bench/place")}
_WORDS = {"subject": "cat", "place": "beach"}


def measure_attention(base_model: Path, repeat: int, *, steps: int = 20) -> dict[str, Any]:
    """Seconds of an image without and with attention kept, and their ratio."""
    torch.set_num_threads(1)
    loaded = load_pipeline(base_model)
    tokenizer, encoder = loaded.towers[0]
    rows = encoder.get_input_embeddings().weight
    tokens = {
        _NAMES[name]: LearnedToken(
            concept=_NAMES[name], rows=(rows[tokenizer(word, add_special_tokens=False).input_ids].detach(),)
        )
        for name, word in _WORDS.items()
    }
    scene = parse_scene("a photo of a {subject} at the {place}", _NAMES)

    def seconds(watch: Watch) -> float:
        before = time.process_time()
        list(generate_images(loaded, scene, tokens, Sampling(seed=1, steps=steps, guidance=5.0), count=1, watch=watch))
        return time.process_time() - before

    seconds(Watch())
    pairs = [(seconds(Watch()), seconds(Watch(on_attention=lambda _image, _maps: None))) for _ in range(repeat)]
    without, kept = (median(times) for times in zip(*pairs, strict=True))
    return {
        "bench": "attention",
        "steps": steps,
        "cpu_s": {"without": round(without, 3), "with": round(kept, 3)},
        "ratio": round(median(kept / without for without, kept in pairs), 3),
    }
