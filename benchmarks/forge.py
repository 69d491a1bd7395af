"""The forge of the tests, in a process of its own, so that its work is not counted as ours; over a pipe it tells what it was asked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from benchmarks.child import ROOT

if TYPE_CHECKING:
    from review_pipeline_tests.forge.server import Forge

APP = "77"  # the only App that the forge knows


@dataclass(frozen=True, slots=True)
class Asked:
    """Of a forge, since its start. wrong: what GitHub's own description does not allow, and refusals."""

    requests: int
    writes: int
    wrong: int

    def since(self, before: Asked) -> Asked:
        return Asked(self.requests - before.requests, self.writes - before.writes, self.wrong - before.wrong)


@dataclass(frozen=True, slots=True)
class RunningForge:
    """secret: a person's token, or the file with the key of an App."""

    url: str
    secret: str
    questions: IO[str]
    answers: IO[str]

    def asked(self) -> Asked:
        self.questions.write("\n")
        self.questions.flush()
        return Asked(**json.loads(self.answers.readline()))


@contextmanager
def serving(kind: str, folder: str, *sizes: int) -> Iterator[RunningForge]:
    """kind: 'many' with the numbers of repositories and of pull requests in each, 'change' with the number of its faults."""
    command = (sys.executable, "-m", "benchmarks.forge", kind, folder, *map(str, sizes))
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url, _, secret = process.stdout.readline().strip().partition(" ")
            yield RunningForge(url, secret, process.stdin, process.stdout)
        finally:
            process.terminate()


def words_of(number: int) -> str:
    return f"Fault number {number}"


def _many(forge: Forge, _folder: Path, repositories: int, pulls: int) -> str:
    from review_pipeline_tests.forge.office import many

    many(forge, repositories, pulls)
    return forge.token()


def _change(forge: Forge, folder: Path, faults: int) -> str:
    """One pull request in real git, and an App that may do what reviews need."""
    from review_pipeline_tests.forge.office import GRANTED, Office, fault

    key = folder / "key.pem"
    forge.rest.app_key, forge.rest.granted = _made_key(key), dict(GRANTED)
    changed = "".join(fault(words_of(number)) for number in range(faults))
    Office(folder, forge).opened({"a.py": "start = 0\n"}, {"a.py": changed})
    return str(key)


def _made_key(path: Path) -> str:
    """The public half of a key; the private one is in the file."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    plain = serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def _asked(forge: Forge) -> Asked:
    wrong = len(forge.violations) + len(forge.graph.wrong) + len(forge.caused_4xx())
    return Asked(len(forge.journal), len(forge.writes()), wrong)


def main() -> None:
    from review_pipeline_tests.forge.server import Forge

    kind, folder, sizes = sys.argv[1], Path(sys.argv[2]), [int(size) for size in sys.argv[3:]]
    kinds: dict[str, Callable[..., str]] = {"many": _many, "change": _change}
    with Forge(folder / "forge") as forge:
        secret = kinds[kind](forge, folder, *sizes)
        print(f"{forge.api} {secret}", flush=True)
        for _ in sys.stdin:
            print(json.dumps(asdict(_asked(forge))), flush=True)


if __name__ == "__main__":
    main()
