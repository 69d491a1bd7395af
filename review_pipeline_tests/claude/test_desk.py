"""The reviewer's folders: the same within a review, gone after it, also after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from review_pipeline.adapters.desk import Desks

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from review_pipeline.adapters.desk import Desks
with Desks(Path(sys.argv[1])).open("one") as desk:
    child = subprocess.Popen(["sleep", "300"], env={"HOME": str(desk.home), "PATH": "/usr/bin:/bin"}, start_new_session=True)
    print(child.pid, flush=True)
    time.sleep(300)
"""


def fill(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.py").write_text("x = 1\n")
    (folder / "sub" / "a.py").chmod(0o444)
    (folder / "sub").chmod(0o555)


def test_folders_are_the_same_for_all_calls_and_gone_after_the_last(tmp_path: Path) -> None:
    desks = Desks(tmp_path / "desks")
    with desks.open("one") as first:
        first.lay_out(fill)
        with desks.open("one") as second:
            assert first == second
            assert (second.tree / "sub" / "a.py").exists()
        assert first.tree.exists()  # somebody still uses it
    assert list((tmp_path / "desks").iterdir()) == []


def test_a_tree_is_laid_out_once_and_a_half_laid_one_is_not_taken_for_it(tmp_path: Path) -> None:
    with Desks(tmp_path).open("one") as desk:
        beside = desk.tree.with_name("tree.part")
        beside.mkdir()
        (beside / "half").write_text("x")
        desk.lay_out(fill)
        desk.lay_out(fill)
        assert sorted(path.name for path in desk.tree.rglob("*")) == ["a.py", "sub"]


def test_a_sweep_ends_what_a_killed_review_left_and_leaves_a_living_one_alone(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    desks = Desks(tmp_path)
    assert desks.sweep() == 0
    assert (tmp_path / "one" / "home").exists()
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert running(child)
    assert desks.sweep() == 1
    deadline = time.monotonic() + 5
    while running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(child)
    assert list(tmp_path.iterdir()) == []


def running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
