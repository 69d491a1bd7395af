"""Files that are written once: plans with their request bodies, and raw results exactly as the API sent them."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson
from filelock import FileLock, Timeout

from review_pipeline.adapters.answer_book import AnswerBook
from review_pipeline.ports import Refused, ResultFiles, Unavailable

_LEFTOVER_SECONDS = 2 * 24 * 3600


class Spool:
    """Below one root. Whatever is complete stands under its own name; '.part' is what a killed process left behind."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, relative: str) -> Path:
        return self._root / relative

    @contextmanager
    def new_plan(self, name: str) -> Iterator[PlanFolder]:
        """Fills a folder beside and moves it into place when the block ends well; name must be new."""
        final = self._root / "plans" / name
        beside = final.with_name(name + ".part")
        self._drop_leftovers()
        try:
            beside.mkdir(parents=True)
        except OSError as error:
            raise _explained(error, beside) from error
        try:
            yield PlanFolder(beside, f"plans/{name}")
            _sync_folder(beside)
            beside.rename(final)
            _sync_folder(final.parent)
        except OSError as error:
            raise _explained(error, beside) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _drop_leftovers(self) -> None:
        """What killed processes left unfinished. Nothing that is still being written is so old."""
        oldest = time.time() - _LEFTOVER_SECONDS
        for leftover in [*self._root.glob("*/*.part"), *self._root.glob("results/tmp/*")]:
            with suppress(FileNotFoundError):  # another process sweeps, too
                if leftover.stat().st_mtime < oldest:
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()

    def discard(self, folder: str) -> None:
        """A plan that no ledger row names: another process planned the same cell first."""
        shutil.rmtree(self._root / folder, ignore_errors=True)

    @contextmanager
    def sending(self, folder: str) -> Iterator[bool]:
        """True while no other living process sends this folder; a killed one lets go of the lock by itself."""
        lock = FileLock(self._root / folder / "sending.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def body(self, folder: str) -> Path:
        return self._root / folder / "body.json"

    def manifest_rows(self, folder: str, custom_ids: frozenset[str]) -> dict[str, dict[str, object]]:
        """The manifest rows of some requests, each with its request ('params') as it was sent."""
        rows = {}
        with (self._root / folder / "manifest.jsonl").open("rb") as manifest, self.body(folder).open("rb") as body:
            for line in manifest:
                row = orjson.loads(line)
                if row["custom_id"] in custom_ids:
                    body.seek(row["body_offset"])
                    rows[row["custom_id"]] = {**row, "params": orjson.loads(body.read(row["body_bytes"]))["params"]}
        return rows

    def answers(self, batch_id: str, custom_ids: frozenset[str]) -> dict[str, list[dict[str, object]]]:
        """The content blocks that came back for some requests of a collected batch."""
        contents = {}
        with (self._root / "results" / f"{batch_id}.jsonl").open("rb") as raw:
            for line in raw:
                answer = orjson.loads(line)
                if answer["custom_id"] in custom_ids:
                    contents[answer["custom_id"]] = answer["result"].get("message", {}).get("content", [])
        return contents

    def requests(self, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """custom_id and parameters of every request of a folder, in order."""
        with (self._root / folder / "manifest.jsonl").open("rb") as manifest, self.body(folder).open("rb") as body:
            for line in manifest:
                row = orjson.loads(line)
                body.seek(row["body_offset"])
                yield row["custom_id"], orjson.loads(body.read(row["body_bytes"]))["params"]

    @contextmanager
    def answer_book(self, folder: str) -> Iterator[AnswerBook]:
        """What was asked and answered of a folder one by one. Raises Unavailable when the disk takes no more."""
        try:
            with AnswerBook(self._root / folder / "answers.jsonl") as book:
                yield book
        except OSError as error:
            raise _explained(error, self._root / folder) from error

    def result_files(self, folder: str, batch_id: str) -> ResultFiles:
        results = self._root / "results"
        results.mkdir(parents=True, exist_ok=True)
        return ResultFiles(
            body=self.body(folder),
            manifest=self._root / folder / "manifest.jsonl",
            part=results / f"{batch_id}.{os.urandom(4).hex()}.part",
            raw=results / f"{batch_id}.jsonl",
            outcomes=results / f"{batch_id}.outcomes.parquet",
            findings=results / f"{batch_id}.findings.parquet",
        )

    def relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


class PlanFolder:
    """A plan being written: one line per file of the commit, and a folder for each batch."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.name = name

    @contextmanager
    def files(self) -> Iterator[LineFile]:
        with LineFile(self._path / "files.jsonl") as file:
            yield file

    def batch(self, number: int) -> BodyFile:
        folder = self._path / f"{number:03d}"
        folder.mkdir()
        return BodyFile(folder, f"{self.name}/{number:03d}")


class LineFile:
    """JSON lines, on disk for good when closed."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb", buffering=1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, row: Mapping[str, object]) -> None:
        self._file.write(orjson.dumps(row) + b"\n")

    def close(self) -> None:
        if not self._file.closed:
            _sync(self._file)
            self._file.close()


class BodyFile:
    """One batch: the body exactly as it goes over the wire, and a manifest line for each request with its place in it."""

    _OPENING, _BETWEEN, _CLOSING = b'{"requests":[\n', b",\n", b"\n]}"

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.requests = 0
        self._body: BinaryIO = (folder / "body.json").open("wb", buffering=1 << 20)
        self._manifest = LineFile(folder / "manifest.jsonl")
        self._position = self._body.write(self._OPENING)

    def add(self, request: bytes, row: Mapping[str, object]) -> None:
        if self.requests:
            self._position += self._body.write(self._BETWEEN)
        self._manifest.add({**row, "body_offset": self._position, "body_bytes": len(request)})
        self._position += self._body.write(request)
        self.requests += 1

    def close(self) -> int:
        """Bytes of the whole body."""
        self._position += self._body.write(self._CLOSING)
        _sync(self._body)
        self._body.close()
        self._manifest.close()
        return self._position


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, path: Path) -> Exception:
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
        return Refused(f"{path} exists already: two plans drew the same name. Run the same command again.")
    return Unavailable(
        f"cannot write {path}: {error.strerror}. Free some space or check the folder's permissions, then run the same command again."
    )
