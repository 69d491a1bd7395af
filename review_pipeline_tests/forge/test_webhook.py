"""Webhooks fill the same queue as the sensor: signed, each delivery once, and nothing depends on them."""

from __future__ import annotations

import hmac
import json
import socket
import subprocess
import sys
import time
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from review_pipeline.ports import Refused
from review_pipeline.webhook import MOST_BYTES, application
from review_pipeline_tests.forge.office import FAULT, SLUG, Office
from review_pipeline_tests.forge.test_heads import look, settle, wanted

SECRET = "a-made-up-secret"


@pytest.fixture
def client(office: Office) -> TestClient:
    office.environment["GITHUB_WEBHOOK_SECRET"] = SECRET
    office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT})
    return TestClient(application(office.process().pipeline))


def payload(office: Office, action: str, **over: Any) -> dict[str, Any]:
    pull = office.pull()
    author = pull.author
    told = {
        "number": 1, "state": "open", "merged": False, "draft": pull.is_draft, "updated_at": f"{pull.updated_at:%Y-%m-%dT%H:%M:%SZ}",
        "user": {"login": author.login, "id": author.id, "type": "User"} if author else None,
        "head": {"sha": pull.head, "ref": pull.head_ref, "repo": {"full_name": SLUG}}, "base": {"ref": "main", "repo": {"full_name": SLUG}},
    }  # fmt: skip
    return {"action": action, "repository": {"full_name": SLUG}, "pull_request": {**told, **over}}


def send(
    client: TestClient, body: object, event: str = "pull_request", delivery: str = "d-1", secret: str = SECRET
) -> Any:
    content = json.dumps(body).encode()
    signature = "sha256=" + hmac.digest(secret.encode(), content, "sha256").hex()
    headers = {
        "x-github-event": event,
        "x-github-delivery": delivery,
        "x-hub-signature-256": signature,
        "content-type": "application/json",
    }
    return client.post("/github", content=content, headers=headers)


def test_a_push_is_wanted_at_once_and_the_sensor_adds_nothing_to_it(client: TestClient, office: Office) -> None:
    assert send(client, payload(office, "synchronize")).json() == {"taken": True}
    assert wanted(office) == [("api", 1, office.pull().head)]
    assert look(office).changes == 0


def test_a_delivery_that_comes_again_changes_nothing(client: TestClient, office: Office) -> None:
    send(client, payload(office, "opened"))
    settle(office)
    stale = payload(office, "opened", head={"sha": "a" * 40, "ref": "feature", "repo": None})
    assert send(client, stale).json()["taken"] is False
    assert wanted(office) == []


@pytest.mark.parametrize(
    ("action", "over", "is_wanted"),
    [
        ("ready_for_review", {}, True), ("reopened", {}, True), ("edited", {"base": {"ref": "release", "repo": {"full_name": SLUG}}}, True),
        ("converted_to_draft", {"draft": True}, False), ("closed", {"state": "closed"}, False), ("closed", {"state": "closed", "merged": True}, False),
        ("opened", {"user": None, "head": {"sha": "b" * 40, "ref": "x", "repo": None}}, True),
    ],
)  # fmt: skip
def test_what_each_action_makes_of_a_pull_request(
    client: TestClient, office: Office, action: str, over: dict[str, Any], *, is_wanted: bool
) -> None:
    assert send(client, payload(office, action, **over)).status_code == 202
    assert bool(wanted(office)) == is_wanted


@pytest.mark.parametrize(
    ("event", "action"),
    [
        ("pull_request", "labeled"),
        ("pull_request", "invented_tomorrow"),
        ("issues", "opened"),
        ("ping", ""),
        ("merge_group", "checks_requested"),
    ],
)
def test_what_is_not_known_is_ignored_without_an_error(
    client: TestClient, office: Office, event: str, action: str
) -> None:
    answer = send(client, payload(office, action), event)
    assert (answer.status_code, answer.json()["taken"]) == (202, False)
    assert wanted(office) == []


def test_the_button_beside_the_check_asks_for_another_look(client: TestClient, office: Office) -> None:
    look(office)
    settle(office)
    body = {
        "action": "rerequested",
        "repository": {"full_name": SLUG},
        "check_run": {"head_sha": office.pull().head, "pull_requests": []},
    }
    assert send(client, body, "check_run").json() == {"taken": True}
    assert len(wanted(office)) == 1


@pytest.mark.parametrize("secret", ["another", ""])
def test_what_is_not_signed_with_our_secret_is_refused(client: TestClient, office: Office, secret: str) -> None:
    assert send(client, payload(office, "opened"), secret=secret or "x").status_code == 401
    assert client.post("/github", json=payload(office, "opened")).status_code == 401
    assert wanted(office) == []


@pytest.mark.parametrize(
    "body", [[], "text", {"action": "opened", "repository": {"full_name": SLUG}}, {"repository": None}]
)
def test_signed_nonsense_breaks_nothing(client: TestClient, office: Office, body: object) -> None:
    assert send(client, body).status_code in (202, 400)
    assert send(client, payload(office, "opened"), delivery="../../etc").status_code == 400
    assert wanted(office) == []


def test_what_is_too_large_is_not_read_to_its_end(client: TestClient) -> None:
    assert client.post("/github", content=b"x" * (MOST_BYTES + 1)).status_code == 413


def test_without_a_secret_nothing_listens(office: Office) -> None:
    with pytest.raises(Refused, match="GITHUB_WEBHOOK_SECRET"):
        application(office.process().pipeline)


def test_the_command_serves_the_receiver(client: TestClient, office: Office) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from review_pipeline.cli import main; main()", "webhook", "--port", str(port)]
    process = subprocess.Popen(
        command, env={"PATH": "/usr/bin:/bin", "HOME": str(office.folder), **office.variables()}, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        assert b"listening on" in process.stderr.readline()
        content = json.dumps(payload(office, "opened")).encode()
        headers = {
            "x-github-event": "pull_request",
            "x-github-delivery": "d-9",
            "x-hub-signature-256": "sha256=" + hmac.digest(SECRET.encode(), content, "sha256").hex(),
        }
        for _ in range(100):
            try:
                answer = httpx2.post(f"http://127.0.0.1:{port}/github", content=content, headers=headers)
                break
            except httpx2.ConnectError:
                time.sleep(0.05)
        assert answer.json() == {"taken": True}
        assert len(wanted(office)) == 1
    finally:
        process.kill()
        process.communicate()
