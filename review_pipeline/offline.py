"""The processes of an offline home: the offline API, and a Dagster instance of its own that never touches the real one."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from review_pipeline.ports import Refused

_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_RUNS_SECONDS = 90.0  # more than run monitoring needs to see that a run's machine has stopped
_NEWEST_RUNS = 50
_PR_SET_PDEATHSIG = 1
# A made-up key: the offline API takes any.
_KEY = "offline-made-up-key"
_KEPT_FROM_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "HOME", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class OfflineHome:
    path: Path

    @property
    def config(self) -> Path:
        return self.path / "review_pipeline.yaml"

    @property
    def workspace(self) -> Path:
        return self.path / "workspace.yaml"

    @property
    def dagster(self) -> Path:
        return self.path / "dagster"

    @property
    def log(self) -> Path:
        return self.path / "daemon.log"

    def environment(self, base_url: str) -> dict[str, str]:
        """Allow-listed: no key, proxy or DAGSTER_HOME of the caller's gets in."""
        return {
            **{name: os.environ[name] for name in _KEPT_FROM_ENVIRONMENT if name in os.environ},
            "NO_PROXY": "127.0.0.1,localhost",
            "REVIEW_PIPELINE_HOME": str(self.path),
            "REVIEW_PIPELINE_CONFIG": str(self.config),
            "REVIEW_PIPELINE_OFFLINE": "1",
            "ANTHROPIC_API_KEY": _KEY,
            "ANTHROPIC_BASE_URL": base_url,
            "DAGSTER_HOME": str(self.dagster),
        }

    def add_repository(self, wanted: str, path: Path) -> str:
        """The name under which the demo knows this repository: the wanted one, numbered if another has it."""
        config = yaml.safe_load(self.config.read_text(encoding="utf-8")) if self.config.exists() else {}
        paths = {entry["name"]: entry["path"] for entry in config.get("repositories", [])}
        names = (f"{wanted}-{number}" if number > 1 else wanted for number in count(1))
        name = next(name for name in names if paths.get(name, str(path)) == str(path))
        repositories = [{"name": known, "path": where} for known, where in {**paths, name: str(path)}.items()]
        batches = {"poll_seconds": 5, "reconcile_grace_seconds": 20}
        _write(self.config, {"batches": batches, "repositories": repositories})
        return name

    def prepare_dagster(self) -> None:
        """The project's own dagster.yaml with its storage moved here."""
        ours = Path.cwd() / "dagster.yaml"
        instance = yaml.safe_load(ours.read_text(encoding="utf-8")) if ours.exists() else {}
        instance["storage"] = {"sqlite": {"base_dir": str(self.dagster / "storage")}}
        for section, folder in (("local_artifact_storage", "artifacts"), ("compute_logs", "logs")):
            if section in instance:
                instance[section]["config"]["base_dir"] = str(self.dagster / folder)
        _write(self.dagster / "dagster.yaml", instance)
        module = {"module_name": "review_pipeline.definitions", "location_name": "review_pipeline"}
        _write(self.workspace, {"load_from": [{"python_module": module}]})


def _write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    beside.replace(path)


@contextmanager
def offline_api(home: OfflineHome) -> Iterator[str]:
    """Its base URL. What it holds survives in the home, so an open batch is found again after a kill."""
    with TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        arguments = ["--state", str(home.path / "offline-api"), "--exit-with-parent", "--port-file", str(port_file)]
        with running(
            [sys.executable, "-m", "review_pipeline.simulator", *arguments],
            dict(os.environ),
            home.path / "offline-api.log",
        ) as api:
            _wait(port_file.exists, api, home.path / "offline-api.log", "the offline API")
            yield f"http://127.0.0.1:{int(port_file.read_text())}"


@contextmanager
def dagster_daemon(home: OfflineHome, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [beside_python("dagster-daemon"), "run", "-w", str(home.workspace)]
    with running(command, environment, home.log) as daemon:
        yield daemon


def let_runs_finish(home: OfflineHome) -> None:
    """What a run made is there before its own success is recorded; stopped in between, it would look failed for ever."""
    from dagster import DagsterInstance  # 1.7 s, and only needed here

    deadline = time.monotonic() + _RUNS_SECONDS
    with DagsterInstance.from_config(str(home.dagster)) as instance:
        while any(not run.is_finished for run in instance.get_runs(limit=_NEWEST_RUNS)):
            if time.monotonic() > deadline:
                raise Refused(
                    f"a run did not end within {_RUNS_SECONDS:.0f} s of its result. Look into {home.log}, then run the same command again; it goes on from here."
                )
            time.sleep(0.2)


def beside_python(name: str) -> str:
    return str(Path(sys.executable).parent / name)


@contextmanager
def running(command: list[str], environment: Mapping[str, str], log: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """In a session of its own, stopped as a group: nothing stays behind. Without a log it speaks on our own terminal."""
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") if log else nullcontext() as file:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  there is one thread
        )
    try:
        yield process
    finally:
        _stop(process)


def _end_with_parent() -> None:
    """Runs in the child: a demo that is killed outright must not leave a daemon ticking."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        os.killpg(process.pid, how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    try:
        os.killpg(process.pid, signal.SIGKILL)  # what the leader left behind
    except ProcessLookupError:
        return


def _wait(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, what: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Refused(f"{what} did not start (exit code {process.poll()}). Its last words are in {log}.")
        time.sleep(0.05)
