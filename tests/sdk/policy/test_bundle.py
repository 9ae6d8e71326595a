"""Tests of sdk.policy.bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sdk.errors import ConfigurationError, DigestMismatch
from sdk.policy.bundle import PolicyBundle, load_bundle, parse_bundle
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest

POLICIES = Path(__file__).resolve().parents[3] / "policies"


class TestLoadBundle:
    def test_digest_is_of_names_and_contents(self) -> None:
        bundle = load_bundle(POLICIES)
        assert bundle.digest == Digest.of(encode_canonical(dict(bundle.files)))

    def test_holds_rules_and_schemas_but_no_cases(self) -> None:
        names = set(load_bundle(POLICIES).files)
        assert "composition/rules.cedar" in names
        assert "vocabulary.cedarschema" in names
        assert not [name for name in names if name.endswith("cases.yaml")]
        assert "approval/risk_classes.yaml" in names

    @pytest.mark.parametrize("change", ["content", "name"])
    def test_digest_follows_every_change(self, tmp_path: Path, change: str) -> None:
        folder = tmp_path / "policies"
        shutil.copytree(POLICIES, folder)
        rules = folder / "training" / "rules.cedar"
        if change == "content":
            rules.write_text(rules.read_text("utf-8") + "\n", "utf-8")
        else:
            rules.rename(rules.with_name("other.cedar"))
        assert load_bundle(folder).digest != load_bundle(POLICIES).digest

    def test_refuses_a_folder_without_rules(self, tmp_path: Path) -> None:
        (tmp_path / "only.cedarschema").write_text("entity A;")
        with pytest.raises(ConfigurationError, match=r"no \.cedar file"):
            load_bundle(tmp_path)

    def test_refuses_rules_that_are_not_text(self, tmp_path: Path) -> None:
        (tmp_path / "rules.cedar").write_bytes(b"\xff\xfe")
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_bundle(tmp_path)


class TestParseBundle:
    def test_gives_back_what_was_sent(self) -> None:
        bundle = load_bundle(POLICIES)
        assert parse_bundle(bundle.view()) == bundle

    def test_refuses_files_that_its_digest_is_not_of(self) -> None:
        view = load_bundle(POLICIES).view()
        changed = view.model_copy(
            update={"files": {**view.files, "training/rules.cedar": "permit(principal, action, resource);"}}
        )
        with pytest.raises(DigestMismatch):
            parse_bundle(changed)


class TestPolicyBundle:
    def test_cannot_be_changed_through_the_files_it_was_made_of(self) -> None:
        files = {"a.cedar": "x"}
        bundle = PolicyBundle(files=files)
        files["a.cedar"] = "y"
        assert bundle.files["a.cedar"] == "x"
        with pytest.raises(TypeError):
            bundle.files["a.cedar"] = "z"  # type: ignore[index]

    def test_joins_the_files_of_one_folder_in_order(self) -> None:
        files = {
            "a/2.cedar": "two",
            "a/1.cedar": "one",
            "a/b/3.cedar": "three",
            "top.cedar": "top",
            "a/s.cedarschema": "s",
        }
        bundle = PolicyBundle(files=files)
        assert bundle.texts("a", ".cedar") == "one\ntwo"
        assert bundle.texts("", ".cedar") == "top"
