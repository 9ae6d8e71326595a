"""What of a job's folders is shown, and that nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk.errors import NotFound
from sdk.spec.ids import RecordId
from trainer.jobs.files import CHECKPOINT_FILE, attempt_folder, earlier_attempts, find_file, list_files, remove_spent

LEARNED = "demo/fox/learned_embeds.safetensors"
JOB = RecordId("job_" + "a" * 26)


def write(jobs: Path, attempt: int, name: str, content: str = "x") -> Path:
    path = attempt_folder(jobs, JOB, attempt) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


class TestListFiles:
    def test_is_empty_before_anything_is_written(self, tmp_path: Path) -> None:
        assert list_files(tmp_path, JOB) == ()

    def test_names_what_the_newest_attempt_wrote(self, tmp_path: Path) -> None:
        write(tmp_path, 2, "out/report.html")
        write(tmp_path, 10, "out/masks/demo/fox/one.png")
        write(tmp_path, 10, "out/report.html")
        assert list_files(tmp_path, JOB) == ("masks/demo/fox/one.png", "report.html")

    def test_falls_back_while_the_newest_attempt_has_nothing(self, tmp_path: Path) -> None:
        write(tmp_path, 1, "out/report.html", "first")
        write(tmp_path, 2, f"out/{CHECKPOINT_FILE}")
        assert list_files(tmp_path, JOB) == ("report.html",)
        assert find_file(tmp_path, JOB, "report.html").read_text() == "first"

    @pytest.mark.parametrize(
        "name", [f"out/{CHECKPOINT_FILE}", f"out/{LEARNED}", "inputs/0/one.png", "out/.hidden", "out/a b.png"]
    )
    def test_hides_what_is_not_for_readers(self, tmp_path: Path, name: str) -> None:
        write(tmp_path, 1, name)
        assert list_files(tmp_path, JOB) == ()

    def test_hides_links(self, tmp_path: Path) -> None:
        out = write(tmp_path, 1, "out/report.html").parent
        (out / "link.html").symlink_to("/etc/passwd")
        assert list_files(tmp_path, JOB) == ("report.html",)


class TestFindFile:
    @pytest.mark.parametrize(
        "name", ["../inputs/0/one.png", "/etc/passwd", CHECKPOINT_FILE, "masks", "", "report.html/../report.html"]
    )
    def test_finds_nothing_but_what_is_listed(self, tmp_path: Path, name: str) -> None:
        write(tmp_path, 1, "out/report.html")
        write(tmp_path, 1, "out/masks/one.png")
        write(tmp_path, 1, "inputs/0/one.png")
        write(tmp_path, 1, f"out/{CHECKPOINT_FILE}")
        with pytest.raises(NotFound):
            find_file(tmp_path, JOB, name)


class TestEarlierAttempts:
    def test_are_newest_first_and_exclude_the_present_one(self, tmp_path: Path) -> None:
        for attempt in (1, 2, 10, 11):
            write(tmp_path, attempt, "out/x")
        assert [folder.name for folder in earlier_attempts(tmp_path, JOB, 11)] == [
            "attempt-10",
            "attempt-2",
            "attempt-1",
        ]


class TestRemoveSpent:
    def test_keeps_the_folder_whose_files_are_served_and_no_other(self, tmp_path: Path) -> None:
        write(tmp_path, 1, f"out/{CHECKPOINT_FILE}")
        write(tmp_path, 2, "out/report.html", "second")
        write(tmp_path, 3, "inputs/0/one.png")  # the files were settled before, so it wrote none
        write(tmp_path, 1, "out/report.html", "first")
        remove_spent(tmp_path, JOB)
        assert [folder.name for folder in (tmp_path / JOB).iterdir()] == ["attempt-2"]
        assert find_file(tmp_path, JOB, "report.html").read_text() == "second"

    def test_leaves_nothing_that_was_learned(self, tmp_path: Path) -> None:
        for name in ("report.html", LEARNED, CHECKPOINT_FILE):
            write(tmp_path, 1, f"out/{name}")
        remove_spent(tmp_path, JOB)
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["report.html"]

    def test_of_a_job_without_folders_does_nothing(self, tmp_path: Path) -> None:
        remove_spent(tmp_path, JOB)
        assert list(tmp_path.iterdir()) == []
