"""A small repository, the offline API and an environment that names them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from review_pipeline.simulator import Simulator

SOURCE = "import os\n\n\ndef read(path):\n    try:\n        return open(path).read()\n    except:\n        pass\n"


def commit(repository: Path, **files: str) -> None:
    for name, text in files.items():
        (repository / name.replace("__", "/").replace("_py", ".py")).write_text(text)
    git = [
        "git",
        "-C",
        str(repository),
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "-c",
        "commit.gpgsign=false",
    ]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "change"], check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "acme"
    path.mkdir()
    subprocess.run(["git", "-C", str(path), "init", "-q"], check=True)
    commit(path, one_py=SOURCE, two_py=SOURCE.replace("read", "load"), three_py="value = 1\n")
    return path


@pytest.fixture
def api() -> Iterator[Simulator]:
    with Simulator(batch_seconds=0) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, repository: Path, api: Simulator, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = tmp_path / "review_pipeline.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "repositories": [{"name": "acme", "path": str(repository)}],
                "batches": {"poll_seconds": 5, "reconcile_grace_seconds": 0},
            }
        )
    )
    environment = {
        "REVIEW_PIPELINE_HOME": str(tmp_path / "home"),
        "REVIEW_PIPELINE_CONFIG": str(config),
        "REVIEW_PIPELINE_OFFLINE": "1",
        "ANTHROPIC_API_KEY": "made-up",
        "ANTHROPIC_BASE_URL": api.base_url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "home"
