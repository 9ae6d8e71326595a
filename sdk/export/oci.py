"""An OCI image layout of a version, after the CNCF ModelPack model-spec; any OCI tool copies it into a registry.

    oci-layout, index.json, blobs/sha256/<hex>         OCI image-spec v1.1, image-layout
    manifest: artifactType application/vnd.cncf.model.manifest.v1+json, config, one raw layer a file
    config:   application/vnd.cncf.model.config.v1+json: descriptor, modelfs, config

A layer is the file as it is, so that its digest in the layout is its digest in the manifest of the version.
https://github.com/modelpack/model-spec, https://github.com/opencontainers/image-spec
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sdk.export.files import ExportedFile, create_folder
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.manifest import ArtefactRole
from sdk.verify import VerifiedVersion

IMAGE_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
IMAGE_INDEX: Final = "application/vnd.oci.image.index.v1+json"
MODEL_MANIFEST: Final = "application/vnd.cncf.model.manifest.v1+json"
MODEL_CONFIG: Final = "application/vnd.cncf.model.config.v1+json"
FILE_PATH: Final = "org.cncf.model.filepath"
_LAYER_OF: Final[Mapping[ArtefactRole, str]] = {
    ArtefactRole.EMBEDDING: "application/vnd.cncf.model.weight.v1.raw",
    ArtefactRole.TRAINING_PICTURE: "application/vnd.cncf.model.dataset.v1.raw",
    ArtefactRole.MASK: "application/vnd.cncf.model.dataset.v1.raw",
}
_DOCUMENT_LAYER: Final = "application/vnd.cncf.model.doc.v1.raw"
"""Reports, samples, and what is about the version."""


def write_oci_layout(folder: Path, version: VerifiedVersion, files: Sequence[ExportedFile]) -> Digest:
    """Write the layout into the new `folder`; returns the digest of its image manifest.

    Raises:
        InputError: the folder is there already, or cannot be made.
    """
    create_folder(folder)
    (folder / "blobs" / "sha256").mkdir(parents=True)
    layers = [_layer(folder, file) for file in files]
    config = _put(folder, encode_canonical(model_config(version, layers)), MODEL_CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "artifactType": MODEL_MANIFEST,
        "config": config,
        "layers": layers,
        "annotations": _annotations(version),
    }
    described = _put(folder, encode_canonical(manifest), IMAGE_MANIFEST)
    tagged = described | {
        "artifactType": MODEL_MANIFEST,
        "annotations": {"org.opencontainers.image.ref.name": str(version.bundle.number)},
    }
    index = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [tagged]}
    (folder / "index.json").write_bytes(encode_canonical(index))
    (folder / "oci-layout").write_bytes(encode_canonical({"imageLayoutVersion": "1.0.0"}))
    return Digest(described["digest"])


def model_config(version: VerifiedVersion, layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The model's configuration object: what it is called, what it is, and the layers it is made of."""
    manifest, grants = version.manifest, [licence.grant for licence in version.bundle.licences]
    return {
        "descriptor": {
            "name": str(version.bundle.concept),
            "version": str(version.bundle.number),
            "revision": str(version.digest),
            "createdAt": manifest.training.finished_at.isoformat(),
            "vendor": str(version.bundle.concept.tenant),
            "family": manifest.kind.value,
            "licenses": sorted({grant.license for grant in grants}),
            "title": version.name,
            "description": f"a learned visual concept, approved by {', '.join(version.approvers)}",
        },
        "config": {
            "architecture": "textual-inversion",
            "format": "safetensors",
            "capabilities": {"inputTypes": ["text"], "outputTypes": ["image"]},
        },
        "modelfs": {"type": "layers", "diffIds": [layer["digest"] for layer in layers]},
    }


def _layer(folder: Path, file: ExportedFile) -> dict[str, Any]:
    media_type = _LAYER_OF.get(file.role, _DOCUMENT_LAYER) if file.role else _DOCUMENT_LAYER
    return _put(folder, file.content, media_type) | {"annotations": {FILE_PATH: file.name}}


def _put(folder: Path, content: bytes, media_type: str) -> dict[str, Any]:
    digest = Digest.of(content)
    (folder / "blobs" / "sha256" / digest.hex).write_bytes(content)
    return {"mediaType": media_type, "digest": str(digest), "size": len(content)}


def _annotations(version: VerifiedVersion) -> dict[str, str]:
    return {
        "org.opencontainers.image.title": version.name,
        "org.opencontainers.image.version": str(version.bundle.number),
        "org.opencontainers.image.revision": str(version.digest),
        "org.opencontainers.image.vendor": str(version.bundle.concept.tenant),
        "dev.imprimatur.base-model": str(version.manifest.base_model),
    }
