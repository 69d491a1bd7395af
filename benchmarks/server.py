"""The least of the API that the measured clients need, in a process of its own: serves result files, swallows bodies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.child import ROOT

_BATCHES = "/v1/messages/batches"
_PORTION_BYTES = 1 << 20


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The base URL of a server for which batch NAME's results are the file folder/NAME.jsonl."""
    command = (sys.executable, "-m", "benchmarks.server", str(folder))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class _Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self) -> None:
        if self.path.partition("?")[0] == _BATCHES:
            self._answer({"data": [], "has_more": False, "first_id": None, "last_id": None})
            return
        _, _, batch_id = self.path.removesuffix("/results").rpartition("/")
        if not self.path.endswith("/results"):
            self._answer(self._batch(batch_id, "ended"))
            return
        raw = self.folder / f"{batch_id}.jsonl"
        self._head("application/x-jsonl", raw.stat().st_size)
        with raw.open("rb") as file:
            self.wfile.flush()
            self.connection.sendfile(file)

    def do_POST(self) -> None:
        """The id tells how many bytes came."""
        waiting = total = int(self.headers["Content-Length"])
        while waiting and (portion := self.rfile.read(min(waiting, _PORTION_BYTES))):
            waiting -= len(portion)
        self._answer(self._batch(f"msgbatch_{total - waiting}", "in_progress"))

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Says nothing."""

    def _batch(self, batch_id: str, status: str) -> dict[str, object]:
        url = f"http://{self.headers['Host']}{_BATCHES}/{batch_id}/results"
        ended = status == "ended"
        return {
            "id": batch_id,
            "type": "message_batch",
            "processing_status": status,
            "request_counts": {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
            "created_at": "2026-11-22T03:00:00Z",
            "expires_at": "2026-11-23T03:00:00Z",
            "ended_at": "2026-11-22T04:00:00Z" if ended else None,
            "results_url": url if ended else None,
            "archived_at": None,
            "cancel_initiated_at": None,
        }

    def _answer(self, message: dict[str, object]) -> None:
        content = json.dumps(message).encode()
        self._head("application/json", len(content))
        self.wfile.write(content)

    def _head(self, kind: str, size: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.end_headers()


def main() -> None:
    _Api.folder = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
