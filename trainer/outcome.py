"""What a training gave, as its order wants it back: files by name, role and media type, and samples that say what drew them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from PIL import Image

from sdk.credentials.sample import SampleOrigin, mark_sample
from sdk.credentials.signer import CredentialSigner
from sdk.software import software_version
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ArtefactRole, EmbeddingFacts
from trainer.data import TrainingSet
from trainer.em.config import EMConfig
from trainer.jobs.ports import Trained, TrainedConcept, TrainedFile, TrainingOrder
from trainer.run import LearnedConcept, TrainingResult

_MEDIA_TYPES: Final = {
    ".safetensors": "application/vnd.safetensors",
    ".png": "image/png",
    ".html": "text/html",
    ".json": "application/json",
}


def trained(training_set: TrainingSet, config: EMConfig, result: TrainingResult, out: Path) -> Trained:
    """Every concept with its files, of which the pictures are written here."""
    pictures = _write_pictures(training_set, out)
    return Trained(
        base_model=result.base_model,
        config=Digest.of(encode_canonical(config.encode())),
        software=_software(),
        rounds=result.rounds,
        steps=result.steps,
        concepts=tuple(_concept(learned, training_set, pictures, result) for learned in result.concepts),
    )


def mark_samples(result: TrainingResult, order: TrainingOrder, signer: CredentialSigner) -> None:
    """Put Content Credentials into the samples, which images composed with their version will carry on."""
    for learned in result.concepts:
        origin = SampleOrigin(
            concept=ConceptId(learned.name), job=order.job, base_model=result.base_model, software=_software()
        )
        for path in learned.samples:
            path.write_bytes(mark_sample(path.read_bytes(), origin, signer))


def _software() -> str:
    return f"imprimatur {software_version()}, torch {torch.__version__}"


def _write_pictures(training_set: TrainingSet, out: Path) -> dict[str, Path]:
    """Write the pictures as they were trained on: decoded, cropped and re-encoded, without their metadata."""
    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for picture in training_set.pictures:
        written[picture.name] = folder / f"{picture.name}.png"
        Image.fromarray(picture.pixels.permute(1, 2, 0).numpy()).save(written[picture.name], format="PNG")
    return written


def _concept(
    learned: LearnedConcept, training_set: TrainingSet, pictures: Mapping[str, Path], result: TrainingResult
) -> TrainedConcept:
    shown = [picture.name for picture in training_set.pictures if learned.name in picture.concepts]
    files = [
        _file("learned_embeds.safetensors", ArtefactRole.EMBEDDING, learned.embedding),
        *(_file(f"masks/{name}.png", ArtefactRole.MASK, path) for name, path in learned.masks.items()),
        *(_file(f"samples/{path.name}", ArtefactRole.SAMPLE, path) for path in learned.samples),
        *(_file(f"pictures/{name}.png", ArtefactRole.TRAINING_PICTURE, pictures[name]) for name in shown),
        _file("report.html", ArtefactRole.REPORT, result.report_html),
        _file("report.json", ArtefactRole.REPORT, result.report_json),
    ]
    return TrainedConcept(
        concept=ConceptId(learned.name),
        embedding=EmbeddingFacts(
            placeholder_token=learned.placeholder_token,
            vectors=learned.vectors,
            dimensions=learned.dimensions,
            class_word=learned.class_word,
        ),
        files=tuple(files),
    )


def _file(name: str, role: ArtefactRole, path: Path) -> TrainedFile:
    return TrainedFile(name=name, role=role, media_type=_MEDIA_TYPES[path.suffix], path=path)
