"""Writes `tests/vectors/verify/`: for each step of the verification procedure, versions that must not verify there.

    python tests/vectors/verify_cases.py            # write them
    python tests/vectors/verify_cases.py --check    # compare; exit 1 and name the case that differs

A case is a folder `NN-name` or `NN-name_fail`, NN being the step of `sdk.verify` that it is about:

    bundle.json        the VersionBundle, as a registry sends it
    status-list.jwt    the signed status list
    trust-root.json    the signed trust root
    known-root.json    the trust root that the client knew before, where it knew one
    artefact.bin       the embedding, where step 11 is asked
    case.json          the reference asked for, the moment, the newest status list seen before, and, of a `_fail`, the code of the error and words in it
    README.md          one line: what is wrong with it

A case that somebody adds by hand needs no code: `tests/sdk/test_verify_cases.py` runs whatever folder is there. This
script makes those of `cases/` from fixed keys.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

from vectors.cases import approval, submission  # noqa: E402

FOLDER = HERE / "verify"
CASES = submission.CASES | approval.CASES


def main() -> None:
    differing = []
    for name, make in CASES.items():
        for file, content in make().files().items():
            path = FOLDER / name / file
            if "--check" in sys.argv:
                differing += [f"{name}/{file}"] if not path.exists() or path.read_bytes() != content else []
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    if differing:
        sys.exit(f"these differ: {', '.join(differing)}")


if __name__ == "__main__":
    main()
