"""What a forge's own diffs cannot tell: the change is always read from git, and what is left out is listed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from review_pipeline.core.pull_request import FileState
from review_pipeline_tests.forge.office import FAULT, Office, fault
from review_pipeline_tests.forge.server import Forge


@pytest.mark.case(29)
def test_a_diff_that_the_api_would_refuse_is_read_from_git(office: Office, forge: Forge) -> None:
    """More than 300 files and 20,000 lines."""
    files = {f"f{n:03}.py": "".join(f"line_{n}_{k} = 1\n" for k in range(70)) for n in range(301)}
    office.opened({"a.py": "start = 0\n"}, {**files, "f000.py": FAULT})
    row = office.review()
    assert len(office.process().pipeline.ledger.review_files(row.key)) == 301
    assert office.publish(row).inline == 1
    assert not any(entry.path.endswith("/files") or "diff" in entry.path for entry in forge.journal)


@pytest.mark.case(30)
def test_a_file_for_which_the_api_would_give_no_patch_is_read_all_the_same(office: Office) -> None:
    office.opened(
        {"a.py": "start = 0\n"}, {"big.py": "x = 1\n" * 40_000 + FAULT, "moved.py": "start = 0\n", "a.py": None}
    )
    row = office.review()
    states = {file.path: (file.state, file.reason) for file in office.process().pipeline.ledger.review_files(row.key)}
    assert "binary" not in str(states)
    assert states["big.py"][0] in (FileState.REVIEWED, FileState.PARTLY)
    assert "[40001]" not in states["big.py"][1]
    assert office.publish(row).state == "posted"


@pytest.mark.case(31)
def test_more_files_than_the_api_lists(office: Office) -> None:
    """3,000 is where its list ends; ours tells each of them, and which were left out."""
    files = {f"d{n % 50:02}/f{n:04}.py": f"x = {n}\n" for n in range(3_100)}
    office.opened({"a.py": "start = 0\n"}, files)
    row = office.review()
    told = office.process().pipeline.ledger.review_files(row.key)
    assert len(told) == 3_100
    assert {file.state for file in told} == {FileState.REVIEWED, FileState.SKIPPED}
    assert all(file.reason for file in told if file.state is FileState.SKIPPED)
    office.publish(row)
    assert len(office.reviews()[0].body.encode()) <= 65_000


@pytest.mark.case(47)
def test_two_processes_that_post_the_same_review_at_once(office: Office, forge: Forge) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT, "b.py": fault("Other")})
    row = office.review()
    with ThreadPoolExecutor(4) as pool:
        published = list(pool.map(lambda _: office.publish(row, office.process()), range(4)))
    assert {one.state for one in published} == {"posted"}
    assert len(office.pull().reviews) == 1
    assert len([e for e in forge.journal if e.method == "POST" and e.path.endswith("/reviews")]) == 1
