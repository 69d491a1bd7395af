"""The folders a reviewer works in: one set per review, the same paths for all of its calls, removed by whoever uses them last."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from review_pipeline.ports import Refused


@dataclass(frozen=True, slots=True)
class Desk:
    """home: of the program, with nothing in it; empty: for passes that read no files; tree: the files after the change."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def empty(self) -> Path:
        return self.folder / "empty"

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    def lay_out(self, export: Callable[[Path], object]) -> None:
        """Fills the tree, once; a half-filled one of a killed process is never taken for it."""
        with self.alone("tree"):
            if self.tree.exists():
                return
            beside = self.tree.with_name("tree.part")
            _remove(beside)
            beside.mkdir(parents=True)
            export(beside)
            beside.rename(self.tree)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Nobody else of this review is in a block of this name: the second finds what the first has done."""
        with (self.folder / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Desks:
    """All below one folder. Locks are the system's own: they end with the process, also when it is killed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def open(self, review: str) -> Iterator[Desk]:
        """Several processes may work on one review."""
        desk = Desk(self._root / review)
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            lock = self._shared_lock(review)
        except OSError as error:
            raise Refused(f"cannot work in {self._root}: {error.strerror}. Set REVIEW_PIPELINE_HOME to a writable folder.") from error  # fmt: skip
        try:
            for folder in (desk.home, desk.empty):
                folder.mkdir(parents=True, exist_ok=True)
            yield desk
        finally:
            os.close(lock)
            self._clear(review)

    def sweep(self) -> int:
        """Ends processes and removes folders that killed reviews left behind. Returns how many reviews that were."""
        if not self._root.is_dir():
            return 0
        return sum(self._clear(entry.name) for entry in self._root.iterdir() if entry.is_dir())

    def _shared_lock(self, review: str) -> int:
        path = self._root / f"{review}.in-use"
        while True:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_SH)
            if _is_at(lock, path):
                return lock
            os.close(lock)  # the last user removed it between our two steps

    def _clear(self, review: str) -> bool:
        """False while somebody uses it."""
        path, folder = self._root / f"{review}.in-use", self._root / review
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if not _is_at(lock, path):
                return False
            _end_processes(folder)
            _remove(folder)
            path.unlink(missing_ok=True)
            return True
        finally:
            os.close(lock)


def _is_at(lock: int, path: Path) -> bool:
    try:
        return os.fstat(lock).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _end_processes(folder: Path) -> None:
    """Those that were started with their home in it: their parent was killed before it could end them."""
    marks = f"HOME={folder / 'home'}\0".encode()
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit():
            with suppress(OSError):
                if marks in (entry / "environ").read_bytes() + b"\0":
                    os.kill(int(entry.name), signal.SIGKILL)


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    for place, folders, _ in os.walk(folder):
        for name in folders:
            with suppress(OSError):
                (Path(place) / name).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
