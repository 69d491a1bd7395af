"""The forge of the tests keeps GitHub's rules, and sees what breaks its description: a double that nods at everything proves nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from review_pipeline.adapters.github import documents
from review_pipeline_tests.forge.office import Office
from review_pipeline_tests.forge.server import Forge

REVIEWS = "/repos/acme/api/pulls/1/reviews"


@pytest.fixture
def open_pull(office: Office) -> Office:
    office.opened(
        {"a.py": "".join(f"line {n}\n" for n in range(1, 41))},
        {"a.py": "".join(f"line {n}{'!' if n in (5, 30) else ''}\n" for n in range(1, 41))},
    )
    return office


def call(forge: Forge, method: str, path: str, body: Any = None, login: str = "reviewer") -> httpx2.Response:
    return httpx2.request(
        method, forge.api + path, json=body, headers={"authorization": f"Bearer {forge.token(login)}"}
    )


def comment(line: int, **over: Any) -> dict[str, Any]:
    return {"path": "a.py", "side": "RIGHT", "line": line, "body": "look", **over}


def excused(forge: Forge) -> None:
    forge.expected += forge.caused_4xx()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (comment(9), "line must be part of the diff"),
        (comment(400), "line must be part of the diff"),
        (comment(6, start_line=6), "start line must precede the end line"),
        (comment(30, start_line=5), "part of the same hunk"),
        (comment(5, path="b.py"), "Path could not be resolved"),
        (comment(5, body=" "), "can't be blank"),
        (comment(5, body="x" * 70_000), "too long"),
    ],
)
def test_one_bad_comment_costs_the_whole_review_and_is_not_named(
    open_pull: Office, forge: Forge, told: dict[str, Any], words: str
) -> None:
    answer = call(
        forge, "POST", REVIEWS, {"commit_id": open_pull.pull().head, "body": "b", "comments": [comment(5), told]}
    )
    assert answer.status_code == 422
    assert words in answer.text
    assert "line 400" not in answer.text
    assert open_pull.pull().reviews == []
    excused(forge)


def test_lines_of_hunks_on_both_sides_take_comments(open_pull: Office, forge: Forge) -> None:
    told = [comment(2), comment(8), comment(5, side="LEFT"), comment(33, start_line=30, start_side="RIGHT")]
    answer = call(
        forge, "POST", REVIEWS, {"commit_id": open_pull.pull().head, "body": "b", "comments": told, "event": "COMMENT"}
    )
    assert (answer.status_code, answer.json()["state"]) == (200, "COMMENTED")
    assert len(open_pull.threads()) == 4


def test_an_account_has_one_unfinished_review_which_nobody_else_sees(open_pull: Office, forge: Forge) -> None:
    body = {"commit_id": open_pull.pull().head, "body": "b"}
    assert call(forge, "POST", REVIEWS, body).json()["state"] == "PENDING"
    assert "one pending review" in call(forge, "POST", REVIEWS, body).text
    assert len(call(forge, "GET", REVIEWS).json()) == 1
    assert call(forge, "GET", REVIEWS, login="maintainer").json() == []
    excused(forge)


def test_a_submitted_review_cannot_be_deleted(open_pull: Office, forge: Forge) -> None:
    body = {"commit_id": open_pull.pull().head, "body": "b", "event": "COMMENT"}
    number = call(forge, "POST", REVIEWS, body).json()["id"]
    assert call(forge, "DELETE", f"{REVIEWS}/{number}").status_code == 422
    excused(forge)


def test_a_person_makes_no_check_runs_and_a_reader_posts_nothing(open_pull: Office, forge: Forge) -> None:
    check = {"name": "x", "head_sha": open_pull.pull().head, "status": "in_progress"}
    assert call(forge, "POST", "/repos/acme/api/check-runs", check).status_code == 403
    assert (
        call(forge, "POST", "/repos/acme/api/statuses/" + "a" * 40, {"state": "success"}, "reader").status_code == 403
    )
    assert (
        call(
            forge, "POST", "/repos/acme/api/statuses/" + "a" * 40, {"state": "success", "description": "x" * 141}
        ).status_code
        == 422
    )
    excused(forge)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", REVIEWS, {"commit_id": 5}),
        ("POST", REVIEWS, {"event": "SHRUG"}),
        ("POST", "/repos/acme/api/statuses/" + "a" * 40, {"state": "fine"}),
    ],
)
def test_a_request_that_the_description_does_not_allow_is_seen(
    open_pull: Office, forge: Forge, method: str, path: str, body: dict[str, Any]
) -> None:
    call(forge, method, path, body)
    assert forge.violations != []
    forge.violations.clear()
    excused(forge)


def test_a_document_with_a_field_that_the_schema_lacks_is_seen(open_pull: Office, forge: Forge) -> None:
    answer = call(forge, "POST", "/graphql", {"query": "query { viewer { login favouriteColour } }"})
    assert "favouriteColour" in answer.json()["errors"][0]["message"]
    assert len(forge.graph.wrong) == 1
    forge.graph.wrong.clear()


def test_every_document_of_ours_is_valid() -> None:
    from graphql import build_schema, parse, validate

    schema = build_schema((Path(__file__).parent / "described" / "schema.graphql").read_text(), assume_valid=True)
    ours = [documents.VIEWER, documents.MORE_HEADS, documents.THREADS, documents.THREAD, documents.RESOLVE]
    ours += [documents.heads(with_queue=True), documents.heads(with_queue=False), documents.repository_ids(3)]
    assert [validate(schema, parse(document)) for document in ours] == [[]] * len(ours)


def test_git_is_served_to_tokens_only(open_pull: Office, forge: Forge, tmp_path: Path) -> None:
    address = forge.url.replace("://", "://x-access-token:{}@") + "/acme/api.git"
    command = ["git", "-c", "credential.helper=", "ls-remote"]
    environment = {"PATH": "/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0", "HOME": str(tmp_path)}
    good = subprocess.run(
        [*command, address.format(forge.token())], capture_output=True, text=True, env=environment, check=False
    )
    bad = subprocess.run(
        [*command, address.format("nonsense")], capture_output=True, text=True, env=environment, check=False
    )
    assert "refs/pull/1/head" in good.stdout
    assert bad.returncode != 0


def test_faults_are_those_of_the_script_and_are_told_apart_from_our_own(open_pull: Office, forge: Forge) -> None:
    forge.fault("GET", "/pulls/1$", "answer", status=418)
    assert call(forge, "GET", "/repos/acme/api/pulls/1").status_code == 418
    assert call(forge, "GET", "/repos/acme/api/pulls/1").status_code == 200
    assert forge.caused_4xx() == []
    call(forge, "GET", "/repos/acme/api/pulls/77")
    assert len(forge.caused_4xx()) == 1
    excused(forge)
