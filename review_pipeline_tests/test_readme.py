"""README and the files beside it tell the truth about the program."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from typer.main import get_command

from review_pipeline.adapters.history import History
from review_pipeline.cli import app
from review_pipeline.settings import Config, read_config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUERIES = [line for block in re.findall(r"```sql\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    history = History(home, home, {})
    history.apply((), datetime.now(UTC))
    return history.publish()


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_in_the_readme_runs(published: Path, query: str) -> None:
    with duckdb.connect(str(published), read_only=True) as db:
        assert db.execute(query).description


def test_the_readme_has_queries_to_show() -> None:
    assert len(QUERIES) >= 3


def test_every_view_in_the_readme_exists_and_says_what_a_row_is(published: Path) -> None:
    told = set(re.findall(r"^\| `(\w+)` \| a ", README, re.MULTILINE))
    with duckdb.connect(str(published), read_only=True) as db:
        views = dict(db.execute("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall())
    assert {"open_findings", "findings_by_week", "batch_costs", "failures", "coverage"} <= told <= views.keys()
    assert all(views.values())


def test_every_command_in_the_readme_exists() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    used = set(re.findall(r"review-pipeline ([a-z][a-z-]+)", README))
    assert {"audit", "doctor", "query", "reconcile", "resume"} <= used <= commands.keys()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make (demo|test|dev|bench|lint|clean)", README)) <= targets


def test_every_place_that_the_readme_sends_people_to_exists() -> None:
    section = README[README.index("### To change X, open Y") : README.index("## Query the findings")]
    for name in re.findall(r"`([a-z_/]+(?:\.(?:py|md|yaml))?)`", section):
        path = name if name.startswith("review_pipeline/") else f"review_pipeline/{name}"
        assert (ROOT / path).exists(), name


def test_the_schema_for_editors_is_the_program_s() -> None:
    schema = json.loads((ROOT / "config" / "review_pipeline.schema.json").read_text())
    assert schema == json.loads(json.dumps(Config.model_json_schema()))


def test_the_shipped_configuration_is_valid() -> None:
    assert [entry.name for entry in read_config(ROOT / "review_pipeline.yaml", must_exist=True).repositories] == [
        "review_pipeline"
    ]


def test_the_lock_binds_every_package_by_hash_and_names_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", lock.strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in lock
