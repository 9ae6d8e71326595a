"""A version as a folder that tools other than ours read: an OpenSSF model-signing signature, an OCI image layout.

files          what goes out: manifest, proofs, trust root, and the files that whoever exports may have
model_signing  the same with a `model.sig` that `model_signing verify key` accepts
oci            the same as an OCI image layout after the CNCF ModelPack model-spec

An export opens nothing: an embedding leaves a registry under a compose grant only, so it is in an export only if whoever
exports holds it already.
"""

from sdk.export.files import ExportedFile, exported_files
from sdk.export.model_signing import FileSigner, write_signed_folder
from sdk.export.oci import write_oci_layout

__all__ = ["ExportedFile", "FileSigner", "exported_files", "write_oci_layout", "write_signed_folder"]
