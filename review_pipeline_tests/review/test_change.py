"""Reading a change: real git, real bytes, and every line at its number."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from review_pipeline.adapters.git_change import DiffLimits, GitChanges
from review_pipeline.core.change import BadDiff, Patch, patch_key, read_patches, read_raw
from review_pipeline.core.moves import LineMap
from review_pipeline.core.pull_request import Difference, Selected, select, wanted_entries
from review_pipeline.core.selection import SelectionRules
from review_pipeline.ports import Refused
from review_pipeline_tests.review.world import World, git

MOST = 64_000_000
Content = dict[str, str | bytes | None]


def differences(world: World, before: Content, after: Content) -> dict[str, Difference]:
    world.change(before, after)
    changes = GitChanges(world.path)
    return {difference.path: difference for difference in changes.difference("main", "feature", MOST)}


def selected(world: World, before: Content, after: Content) -> Selected:
    found = tuple(differences(world, before, after).values())
    contents = GitChanges(world.path).contents(wanted_entries(found, SelectionRules()))
    return select(found, contents, SelectionRules())


def shown(world: World, before: Content, after: Content, path: str = "a.py") -> dict[int, str]:
    """Number -> text of the lines that a reviewer is shown."""
    source = next(source for source in selected(world, before, after).sources if source.path == path)
    return {line.number: line.text for line in source.shown}


def reasons(world: World, before: Content, after: Content) -> dict[str, str]:
    return {file.path: file.reason.split(":")[0] for file in selected(world, before, after).skipped}


@pytest.mark.case(1)
@pytest.mark.case(2)
@pytest.mark.parametrize("odd", ["\x0c", "\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\x1d", "\x1e", "\r"])
def test_no_character_but_a_line_feed_shifts_line_numbers(world: World, odd: str) -> None:
    lines = shown(world, {"a.py": "one = 1\n"}, {"a.py": f"one = 1\ntext = '{odd}'\nthree = 3\n"})
    assert lines[3] == "three = 3"
    assert lines[2] == f"text = '{odd}'"


@pytest.mark.case(3)
@pytest.mark.case(4)
def test_code_that_looks_like_a_header_is_code(world: World) -> None:
    before: Content = {"a.py": "one = 1\n-- x\n-- a/other.py\n", "b.py": "two = 2\n"}
    after: Content = {"a.py": "one = 1\n++ b/evil.c\n@@ -1 +1 @@\ndiff --git a/x b/x\n", "b.py": "two = 3\n"}
    found = differences(world, before, after)
    assert sorted(found) == ["a.py", "b.py"]
    patch = found["a.py"].patch
    assert patch is not None
    texts = [(line.kind, line.text) for hunk in patch.hunks for line in hunk.lines]
    assert ("+", b"++ b/evil.c") in texts
    assert ("-", b"-- x") in texts
    assert ("+", b"diff --git a/x b/x") in texts


@pytest.mark.case(5)
def test_a_hunk_header_without_counts_means_one_line() -> None:
    (patch,) = read_patches(b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n")
    assert [(line.kind, line.old, line.new) for line in patch.hunks[0].lines] == [("-", 1, 0), ("+", 0, 1)]


@pytest.mark.case(6)
def test_deleted_lines_and_a_deleted_file(world: World) -> None:
    found = differences(world, {"a.py": "one = 1\ntwo = 2\n", "b.py": "x = 1\n"}, {"a.py": "one = 1\n", "b.py": None})
    patch = found["a.py"].patch
    assert patch is not None
    assert [line.old for hunk in patch.hunks for line in hunk.lines if line.kind == "-"] == [2]
    assert found["b.py"].entry.is_deleted


@pytest.mark.case(6)
@pytest.mark.case(7)
@pytest.mark.case(12)
@pytest.mark.case(13)
@pytest.mark.case(14)
@pytest.mark.case(17)
@pytest.mark.case(18)
def test_what_cannot_be_reviewed_is_skipped_with_its_reason(world: World) -> None:
    before: Content = {
        "gone.py": "x = 1\n",
        "mode.py": "x = 2\n",
        "old_name.py": "moved = 1\nsame = 2\n",
        "becomes_link.py": "x = 3\n",
    }
    world.commit(before, "base")
    world.branch("feature")
    (world.path / "gone.py").unlink()
    (world.path / "mode.py").chmod(0o755)
    git(world.path, "mv", "old_name.py", "new_name.py")
    (world.path / "becomes_link.py").unlink()
    (world.path / "becomes_link.py").symlink_to("mode.py")
    (world.path / "link.py").symlink_to("/etc/passwd")
    world.commit(
        {
            "empty.py": "", "nul.py": b"x = 1\0\n", "utf16.py": "x = 1\n".encode("utf-16"), "pic.png": b"\x89PNG\r\n\x1a\n\0\0",
            "lfs.py": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "min.js": "var a=" + "1+" * 100_000 + "1;\n",
        }
    )  # fmt: skip
    git(world.path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    git(world.path, "commit", "-q", "-m", "a submodule")
    found = tuple(GitChanges(world.path).difference("main", "feature", MOST))
    contents = GitChanges(world.path).contents(wanted_entries(found, SelectionRules()))
    result = select(found, contents, SelectionRules())
    assert result.sources == ()
    assert {file.path: file.reason.split(":")[0] for file in result.skipped} == {
        "gone.py": "deleted", "mode.py": "no_content_change", "new_name.py": "no_content_change", "becomes_link.py": "symlink",
        "link.py": "symlink", "empty.py": "empty", "nul.py": "binary", "utf16.py": "binary", "pic.png": "binary", "lfs.py": "not_source",
        "min.js": "generated", "module": "submodule",
    }  # fmt: skip
    assert result.renames == {"old_name.py": "new_name.py"}
    assert result.deleted == {"gone.py"}


@pytest.mark.case(8)
@pytest.mark.parametrize(("before", "after"), [("a = 1", "a = 2\n"), ("a = 1\n", "a = 2"), ("a = 1", "a = 2")])
def test_a_missing_line_feed_at_the_end_adds_no_line(world: World, before: str, after: str) -> None:
    assert shown(world, {"a.py": before}, {"a.py": after}) == {1: "a = 2"}


@pytest.mark.case(9)
def test_carriage_returns_at_line_ends_are_not_part_of_the_text(world: World) -> None:
    lines = shown(world, {"a.py": "a = 1\r\nb = 2\n"}, {"a.py": "a = 1\r\nb = 3\r\nc = 4\n"})
    assert lines == {1: "a = 1", 2: "b = 3", 3: "c = 4"}


@pytest.mark.case(10)
@pytest.mark.case(11)
def test_odd_names_are_names(world: World) -> None:
    names = [
        "sp ace.py",
        "tab\there.py",
        'quo"te.py',
        "back\\slash.py",
        "x b/y b/z.py",
        "ünïcode.py",
        "u\u0308.py",
        "\u00fc.py",
        "Case.py",
        "case.py",
        "new\nline.py",
    ]
    found = differences(world, {"a.py": ""}, dict.fromkeys(names, "x = 1\n"))
    assert len(found) == len(names)
    assert {
        "sp ace.py",
        "x b/y b/z.py",
        'quo"te.py',
        "back\\\\slash.py",
        "new\\x0aline.py",
        "Case.py",
        "case.py",
    } <= set(found)


@pytest.mark.case(10)
def test_a_name_that_is_no_text_is_told_in_letters(world: World) -> None:
    world.commit({"a.py": ""}, "base")
    world.branch("feature")
    (Path(str(world.path).encode().decode()) / "x").mkdir()
    with open(str(world.path).encode() + b"/x/caf\xe9.py", "wb") as file:  # noqa: PTH123  pathlib knows no bytes
        file.write(b"x = 1\n")
    world.commit({})
    assert [d.path for d in GitChanges(world.path).difference("main", "feature", MOST)] == ["x/caf\\xe9.py"]


@pytest.mark.case(12)
def test_a_rename_with_an_edit_shows_the_edit_under_the_new_name(world: World) -> None:
    body = "".join(f"line_{n} = {n}\n" for n in range(40))
    world.commit({"old.py": body}, "base")
    world.branch("feature")
    git(world.path, "mv", "old.py", "new.py")
    world.commit({"new.py": body + "edited = True\n"})
    (difference,) = GitChanges(world.path).difference("main", "feature", MOST)
    assert (difference.path, difference.old_path) == ("new.py", "old.py")
    assert difference.patch is not None
    assert difference.patch.hunks[0].added == (41,)


@pytest.mark.case(15)
@pytest.mark.case(66)
def test_a_branch_with_a_merge_of_the_base_shows_only_its_own_lines(world: World) -> None:
    world.change({"a.py": "one = 1\n"}, {"mine.py": "x = 1\n"})
    world.checkout("main")
    world.commit({"theirs.py": "y = 1\n"})
    world.checkout("feature")
    git(world.path, "merge", "-q", "--no-edit", "main")
    changes = GitChanges(world.path)
    base = changes.merge_base("main", "feature")
    assert [difference.path for difference in changes.difference(base, "feature", MOST)] == ["mine.py"]


@pytest.mark.case(16)
def test_a_patch_file_within_the_change_is_a_file_like_any_other(world: World) -> None:
    inner = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n-old\n+new\n context\n"
    found = differences(world, {"a.py": ""}, {"fixture.patch": inner, "z.py": f'TEXT = """\n{inner}"""\n'})
    assert sorted(found) == ["fixture.patch", "z.py"]
    assert found["z.py"].patch is not None
    assert found["z.py"].patch.hunks[0].added == tuple(range(1, 10))


@pytest.mark.case(17)
def test_one_very_long_line_is_cut_where_it_is_shown_and_the_file_is_partly_reviewed(world: World) -> None:
    filler = "".join(f"v{n} = {n}\n" for n in range(500))
    world.change({"a.py": ""}, {"a.py": filler + f"data = '{'x' * 9_000}'\n"})
    row = world.review()
    (file,) = world.ledger.review_files(row.key)
    assert file.state.value == "partly"
    assert max(len(line) for call in world.model.calls for line in call.prompt.split("\n")) < 2_200


@pytest.mark.case(18)
def test_old_encodings_are_read_line_by_line(world: World) -> None:
    assert shown(world, {"a.py": b"x = '\xe9'\n"}, {"a.py": b"x = '\xe8'\ny = 1\n"}) == {1: "x = 'è'", 2: "y = 1"}


@pytest.mark.case(35)
def test_a_shallow_clone_and_unrelated_histories_are_refused_with_the_way_out(world: World, tmp_path: Path) -> None:
    world.change({"a.py": "one = 1\n"}, {"a.py": "one = 2\n"})
    world.commit({"b.py": "b = 1\n"})
    clone = tmp_path / "shallow"
    git(world.path, "clone", "-q", "--depth=1", "--no-single-branch", f"file://{world.path}", str(clone))
    changes = GitChanges(clone)
    with pytest.raises(Refused, match="--unshallow"):
        changes.merge_base(changes.resolve("origin/main").commit, changes.resolve("origin/feature").commit)
    git(world.path, "checkout", "-q", "--orphan", "alone")
    world.commit({"c.py": "c = 1\n"})
    with pytest.raises(Refused, match="share no history"):
        GitChanges(world.path).merge_base("main", "alone")


@pytest.mark.case(119)
def test_behind_the_limit_files_are_listed_as_left_out(world: World) -> None:
    world.change({"a.py": ""}, {f"m{n}.py": "x = 1\n" * 500 for n in range(10)})
    changes = GitChanges(world.path)
    found = changes.difference("main", "feature", 12_000)
    assert len(found) == 10
    contents = changes.contents(wanted_entries(found, SelectionRules()))
    result = select(found, contents, SelectionRules())
    assert 0 < len(result.sources) < 10
    assert all(file.is_limit and file.reason.startswith("over_limit") for file in result.skipped)


@pytest.mark.case(119)
def test_a_list_of_files_beyond_the_limit_is_refused(world: World) -> None:
    world.change({"a.py": ""}, {f"m{n}.py": "x = 1\n" for n in range(100)})
    with pytest.raises(Refused, match="list of files alone"):
        GitChanges(world.path).difference("main", "feature", 1_000)


@pytest.mark.parametrize(
    "broken", [b"nonsense\n", b"diff --git a/x b/x\n@@ -1,2 +1,2 @@\n one\n", b"diff --git a/x b/x\n@@ -1 +1 @@\nodd\n"]
)
def test_a_patch_that_git_would_not_print_is_refused(broken: bytes) -> None:
    with pytest.raises(BadDiff):
        list(read_patches(broken))
    with pytest.raises(BadDiff):
        read_raw(b":100644 nonsense\0")


LINES = st.lists(
    st.sampled_from(
        [
            "",
            "a",
            "b",
            "++ b/evil.c",
            "-- x",
            "@@ -1 +1 @@",
            "diff --git a/x b/x",
            "\\ No newline at end of file",
            "\x0c",
            "x\u2028y",
            "t\r",
            "é",
        ]
    ),
    max_size=25,
)


def both_sides(old: bytes, new: bytes, folder: Path) -> Patch:
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    done = subprocess.run(
        ["git", "diff", "--no-index", "-U3", "--diff-algorithm=myers", "--text", "old", "new"], cwd=folder, capture_output=True, check=False,
        env={"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
    )  # fmt: skip
    return next(read_patches(done.stdout), Patch(()))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES, LINES, st.booleans(), st.booleans())
def test_hunks_rebuild_the_new_file_and_every_line_stands_at_its_number(
    tmp_path: Path, old: list[str], new: list[str], ends: bool, closes: bool
) -> None:
    before = "\n".join(old).encode() + (b"\n" if ends and old else b"")
    after = "\n".join(new).encode() + (b"\n" if closes and new else b"")
    patch = both_sides(before, after, tmp_path)
    old_lines, new_lines = before.split(b"\n"), after.split(b"\n")
    known = LineMap.of(patch)
    for hunk in patch.hunks:
        for line in hunk.lines:
            if line.kind != "+":
                assert old_lines[line.old - 1] == line.text
                assert known.at(line.old) == line.new
            if line.kind != "-":
                assert new_lines[line.new - 1] == line.text
    outside = [n for n in range(1, len(old_lines) + 1) if n not in known.known and old_lines[n - 1] != b""]
    assert all(new_lines[known.at(n) - 1] == old_lines[n - 1] for n in outside)


def test_the_key_of_a_patch_is_what_was_changed_and_not_where(world: World) -> None:
    body = "".join(f"line_{n} = {n}\n" for n in range(20))
    found = differences(world, {"a.py": body}, {"a.py": body.replace("line_9 = 9", "line_9 = 10")})
    patch = found["a.py"].patch
    assert patch is not None
    git(world.path, "checkout", "-q", "main")
    world.commit({"a.py": "top = 0\n" + body})
    world.branch("other")
    world.commit({"a.py": "top = 0\n" + body.replace("line_9 = 9", "line_9 = 10")})
    (moved,) = GitChanges(world.path).difference("main", "other", MOST)
    assert moved.patch is not None
    assert patch_key("a.py", moved.patch.hunks) == patch_key("a.py", patch.hunks)
    assert patch_key("b.py", moved.patch.hunks) != patch_key("a.py", patch.hunks)


def test_a_slow_git_is_ended_with_its_helpers(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from review_pipeline.ports import Unavailable

    world.change({"a.py": ""}, {"a.py": "x = 1\n"})
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "git").write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nsleep 60 &\nwait\n")
    (slow / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow}:/usr/bin:/bin")
    with pytest.raises(Unavailable, match="took more than"):
        GitChanges(world.path, DiffLimits(seconds=1)).difference("main", "feature", MOST)
    group = int((tmp_path / "pid").read_text())
    while _living(group):  # a signal takes a moment; what stays for ever meets the limit of the test
        time.sleep(0.02)


def _living(group: int) -> list[int]:
    """An ended process may still wait for its parent to look."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def test_settings_are_reviewed_like_code_and_prose_and_lock_files_are_not(world: World) -> None:
    after: Content = {
        "ci/deploy.yml": "a: 1\n", "pyproject.toml": "[a]\n", "app.json": "{}\n", "CLAUDE.md": "text\n", "notes.md": "text\n",
        "package-lock.json": "{}\n", "node_modules/x/package.json": "{}\n", "fixture.json": "1,\n" * 150_000, "huge.py": "x = 1\n" * 80_000,
    }  # fmt: skip
    result = selected(world, {"a.py": ""}, after)
    assert {source.path: source.language for source in result.sources} == {
        "ci/deploy.yml": "yml", "pyproject.toml": "toml", "app.json": "json", "CLAUDE.md": "md",
    }  # fmt: skip
    assert {file.path: file.reason.split(":")[0] for file in result.skipped} == {
        "notes.md": "not_source", "package-lock.json": "generated", "node_modules/x/package.json": "vendored", "fixture.json": "not_source",
        "huge.py": "too_large",
    }  # fmt: skip


def test_code_that_is_too_large_makes_a_review_incomplete_and_large_data_does_not(world: World) -> None:
    world.change({"a.py": ""}, {"a.py": "x = 1\n", "fixture.json": "1,\n" * 150_000})
    assert world.review().state == "reviewed"
    world.commit({"padded.py": "x = 1\n" * 80_000})
    assert world.review().state == "incomplete"


@pytest.mark.case(119)
def test_no_cut_patch_passes_for_a_whole_one(world: World) -> None:
    body = "".join(f"line_{n} = {n}\n" for n in range(60))
    after: Content = {
        name: body.replace("line_3 = 3", "line_3 = 30").replace("line_50 = 50", "line_50 = 500")
        for name in ("a.py", "b.py")
    }
    world.change({"a.py": body, "b.py": body}, after)
    changes = GitChanges(world.path)
    for most in range(250, 1_400, 7):
        for difference in changes.difference("main", "feature", most):
            assert difference.patch is None or len(difference.patch.hunks) == 2, most


@pytest.mark.case(18)
@pytest.mark.parametrize("text", ["上上", "名" * 4_000 + "\n上 = 1\nx = 1\n"])
def test_utf_16_whose_bytes_hold_line_ends_is_told_as_binary(world: World, text: str) -> None:
    found = reasons(world, {"a.py": ""}, {"a.py": b"\xff\xfe" + text.encode("utf-16-le")})
    assert found == {"a.py": "binary"}


def test_settings_of_the_repository_change_no_line_of_what_is_read(world: World) -> None:
    git(world.path, "config", "diff.suppressBlankEmpty", "true")
    git(world.path, "config", "core.bigFileThreshold", "1")
    lines = shown(world, {"a.py": "one = 1\n\ntwo = 2\n"}, {"a.py": "one = 1\n\ntwo = 3\n"})
    assert lines == {1: "one = 1", 2: "", 3: "two = 3"}
    (patch,) = read_patches(b"diff --git a/x b/x\n@@ -1,2 +1,2 @@\n\n-old\n+new\n")
    assert [(line.kind, line.old, line.new) for line in patch.hunks[0].lines] == [(" ", 1, 1), ("-", 2, 0), ("+", 0, 2)]
