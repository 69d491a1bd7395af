"""Runs the offline API: in a thread for tests, or in the foreground for the command line."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from review_pipeline.simulator.app import make_app
from review_pipeline.simulator.rules import Rule, rule_from_json
from review_pipeline.simulator.service import Options, Service
from review_pipeline.simulator.store import Billed, Call

_GRACE_SECONDS = 1


class Simulator:
    """A running server; `state=None` keeps everything in a folder that is removed at the end."""

    def __init__(
        self,
        state: Path | str | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        rules: tuple[Rule, ...] = (),
        options: Options | None = None,
        **changed: Any,
    ) -> None:
        """`changed` are fields of Options, for instance `batch_seconds=0`."""
        self._folder = None if state is not None else tempfile.TemporaryDirectory(prefix="offline-api-")
        folder = Path(state) if state is not None else Path(self._folder.name if self._folder else "")
        folder.mkdir(parents=True, exist_ok=True)
        self._service = Service(folder, options or Options(**changed), rules)
        self._socket = _listening_socket(host, port)
        self._host = host
        self._port = int(self._socket.getsockname()[1])
        self._server = uvicorn.Server(_config(self._service))
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    def __enter__(self) -> Simulator:
        self._service.start()
        self._thread = threading.Thread(target=self._serve, name="offline-api", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join()
        self._close()

    def run(self) -> None:
        """Serves until stopped or interrupted."""
        self._service.start()
        try:
            self._serve()
        finally:
            self._close()

    def stop(self) -> None:
        self._server.should_exit = True

    def advance(self, seconds: float) -> None:
        """Moves the clock; when it returns, every batch whose time has come has ended."""
        self._service.advance(seconds)

    def settle(self) -> None:
        self._service.worker.settle()

    def now(self) -> float:
        return self._service.clock.now()

    def script(self, *rules: Rule | Mapping[str, object]) -> None:
        self._service.script.add(tuple(rule if isinstance(rule, Rule) else rule_from_json(rule) for rule in rules))

    def clear_scripts(self) -> None:
        self._service.script.clear()

    def journal(self, operation: str | None = None) -> tuple[Call, ...]:
        return tuple(call for call in self._service.store.journal() if operation in (None, call.operation))

    def billed(self) -> tuple[Billed, ...]:
        """Every answer that was given so far, as the invoice would list it."""
        return tuple(self._service.store.billed())

    def take_for_each_batch(self, seconds: float) -> None:
        """From now on; batches that were created before keep their pace."""
        self._service.options = replace(self._service.options, batch_seconds=seconds)

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def _close(self) -> None:
        self._service.close()
        self._socket.close()
        if self._folder is not None:
            self._folder.cleanup()


def _listening_socket(host: str, port: int) -> socket.socket:
    """Bound and listening before the server runs, so that the port is known and no early client is refused."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(512)
    return listening


def _config(service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(service),
        log_level="error",
        access_log=False,
        lifespan="off",
        # Longer than clients keep idle connections, or they would meet one that is being closed.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
