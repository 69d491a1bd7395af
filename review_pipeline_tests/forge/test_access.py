"""Who we are: an App with a token for each stage, or a token; on github.com or an Enterprise Server; and where secrets are not."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import text

from review_pipeline.access import GitHubAccess
from review_pipeline.adapters.github.auth import STAGES
from review_pipeline.adapters.github.client import GitHubClient
from review_pipeline.core.forge import Actor, Slug
from review_pipeline.core.redaction import redact
from review_pipeline.ports import Refused
from review_pipeline_tests.forge.office import FAULT, GRANTED, Office, fault
from review_pipeline_tests.forge.server import LIMITS, Forge


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.fixture
def app(office: Office, keys: tuple[str, str]) -> Iterator[Office]:
    """The same office, as an App."""
    office.forge.rest.app_key, office.forge.rest.granted = keys[1], dict(GRANTED)
    key = office.folder / "key.pem"
    key.write_text(keys[0])
    office.environment = {"GITHUB_APP_ID": "77", "GITHUB_APP_PRIVATE_KEY_FILE": str(key)}
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    return office


def minted(forge: Forge) -> list[dict[str, object]]:
    return [entry.body for entry in forge.journal if entry.path.endswith("/access_tokens") and entry.status == 201]


def test_an_app_tells_its_verdict_in_one_check_run_with_annotations(app: Office) -> None:
    app.configure(block_on="critical")
    assert app.told().state == "posted"
    (run,) = app.repository.checks
    assert (run.name, run.status, run.conclusion) == ("review_pipeline", "completed", "failure")
    assert [(a["path"], a["start_line"], a["annotation_level"]) for a in run.annotations] == [("a.py", 2, "failure")]
    assert app.repository.statuses == []


@pytest.mark.case(47)
def test_two_processes_that_begin_at_once_make_one_check_run(app: Office) -> None:
    row = app.review()
    app.repository.checks.clear()
    with app.process().pipeline.ledger._database.write() as db:
        db.execute(text("DELETE FROM posts"))
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda _: app.begin(row, app.process()), range(4)))
    assert said == [""] * 4
    assert len(app.repository.checks) == 1


@pytest.mark.parametrize("kill", [0, 1, 2])
def test_sixty_annotations_go_in_two_portions_each_of_them_once(app: Office, kill: int) -> None:
    """They are added to what a check run holds: a portion that is sent again would stand there twice."""
    app.push({"a.py": "".join(fault(f"Fault number {n}") for n in range(60))})
    row = app.review()
    for _ in range(kill):
        with pytest.raises(KeyboardInterrupt):
            app.publish(row, app.dying("PATCH .*/check-runs/", "after"))
    assert app.publish(row).state == "posted"
    (run,) = app.repository.checks
    assert sorted(annotation["start_line"] for annotation in run.annotations) == list(range(1, 61))
    assert run.status == "completed"


def test_a_look_after_the_first_makes_no_token_and_one_installation_more_is_seen(app: Office, forge: Forge) -> None:
    wiring = app.process()
    for expected in (1, 1):
        assert wiring.watch().look({"api": Slug("acme", "api")}).pulls == 1
        assert len(minted(forge)) == expected
    assert wiring.watch().look({"api": Slug("acme", "api"), "new": Slug("other", "new")}).troubles != []
    forge.world.repository("other/new")
    wiring.credentials.clock = lambda: time.time() + 120  # type: ignore[attr-defined]
    forge.rest._check_jwt = lambda _asked: None  # type: ignore[method-assign]
    assert wiring.watch().look({"new": Slug("other", "new")}).troubles == []


def test_a_permission_that_an_installation_lost_costs_a_new_token(app: Office, forge: Forge) -> None:
    """What was granted when the list was read may be less by now: the list is read again before giving up."""
    wiring = app.process()
    row = app.review(wiring=wiring)
    forge.rest.granted = {name: level for name, level in GRANTED.items() if name != "checks"}
    published = app.publish(row, wiring)
    assert published.state == "posted"
    forge.expected += [entry for entry in forge.caused_4xx() if entry.status in (403, 422)]


def test_a_server_that_does_not_tell_an_app_who_it_is(app: Office, forge: Forge) -> None:
    viewer = LIMITS["graph"][1] | {
        "errors": [{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}]
    }
    app.told()
    forge.world.reply(app.pull(), app.threads()[0], "dev", "Hm.")
    answer = forge.graph.answer
    forge.graph.answer = lambda body, token: viewer if "viewer {" in body["query"] else answer(body, token)  # type: ignore[method-assign]
    assert app.process().forge.us(Slug("acme", "api")) == Actor("review-app")


def test_each_stage_has_a_token_of_its_own_that_is_good_for_one_repository_and_for_no_more_than_it_needs(
    app: Office, forge: Forge
) -> None:
    app.told()
    app.push({"a.py": "start = 0\nx = 1  # mended\n"})
    app.told()
    for body in minted(forge):
        assert body["permissions"] in STAGES.values()
        assert body["repositories"] == ["api"]
    asked = [body["permissions"] for body in minted(forge)]
    assert STAGES["read"] in asked
    assert STAGES["publish"] in asked
    assert [permissions for permissions in asked if permissions.get("contents") == "write"] == [STAGES["resolve"]]  # type: ignore[attr-defined]
    assert app.threads()[0].is_resolved


def test_what_was_not_granted_is_left_out_of_the_question_and_missing_rights_are_said(
    app: Office, forge: Forge
) -> None:
    forge.rest.granted = {name: level for name, level in GRANTED.items() if name != "checks"} | {"contents": "read"}
    published = app.told()
    assert published.state == "posted"
    assert app.repository.statuses[-1]["state"] == "success"  # instead of a check run
    app.push({"a.py": "start = 0\nx = 1  # mended\n"})
    app.told()
    assert not app.threads()[0].is_resolved
    forge.expected += [entry for entry in forge.caused_4xx() if entry.status == 403 and "check-runs" in entry.path]


@pytest.mark.case(38)
def test_tokens_end_between_review_and_posting_and_are_made_anew(app: Office, forge: Forge) -> None:
    wiring = app.process()
    row = app.review(wiring=wiring)
    before = len(minted(forge))
    forge.world.clock = lambda: datetime.now(UTC) + timedelta(hours=2)  # the forge's tokens have ended, ours look young
    assert app.publish(row, wiring).state == "posted"
    assert len(minted(forge)) > before
    forge.expected += [entry for entry in forge.caused_4xx() if entry.status == 401]


@pytest.mark.case(38)
def test_a_token_that_is_about_to_end_is_renewed_before_it_is_used(app: Office, forge: Forge) -> None:
    wiring = app.process()
    row = app.review(wiring=wiring)
    for made, token in wiring.credentials._made.items():  # type: ignore[attr-defined]
        wiring.credentials._made[made] = replace(token, ends=token.ends - 3_400)  # type: ignore[attr-defined]
    forge.world.clock = lambda: datetime.now(UTC) + timedelta(hours=2)
    assert app.publish(row, wiring).state == "posted"
    assert forge.caused_4xx() == []


@pytest.mark.case(38)
def test_a_permission_that_is_lost_during_the_run_degrades_and_says_so(app: Office, forge: Forge) -> None:
    row = app.review()
    forge.rest.granted = {"metadata": "read", "contents": "read", "pull_requests": "read", "statuses": "write"}
    published = app.publish(row)
    assert published.state == "refused"
    assert "permission" in " ".join(published.troubles)
    assert app.repository.statuses[-1]["state"] == "success"
    forge.expected += [entry for entry in forge.caused_4xx() if entry.status == 403]


def test_a_token_that_was_revoked_is_told_with_what_to_do(office: Office, forge: Forge) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": FAULT})
    forge.world.tokens.clear()
    with pytest.raises(Refused, match="set a new GITHUB_TOKEN"):
        office.review()
    forge.expected += [entry for entry in forge.caused_4xx() if entry.status == 401]


@pytest.mark.case(37)
def test_an_enterprise_server_with_a_port_and_a_path(tmp_path: Path) -> None:
    """REST below /api/v3, GraphQL beside it, git at the root."""
    with Forge(tmp_path / "forge", prefix="/api/v3") as forge:
        (tmp_path / "office").mkdir()
        office = Office(tmp_path / "office", forge)
        office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
        assert office.told().state == "posted"
        paths = {entry.path for entry in forge.journal}
        assert "/api/graphql" in paths
        assert all(path.startswith(("/api/", "/acme/api.git/")) for path in paths)
        assert forge.violations == []
        assert forge.caused_4xx() == []


@pytest.mark.parametrize(
    ("api", "graphql"),
    [
        ("https://api.github.com", "https://api.github.com/graphql"),
        ("https://github.example.com:8443/api/v3/", "https://github.example.com:8443/api/graphql"),
        ("https://forge.example.com/tools/api/v3", "https://forge.example.com/tools/api/graphql"),
    ],
)
def test_graphql_stands_beside_rest(api: str, graphql: str) -> None:
    assert GitHubClient(api, None).graphql_url == graphql  # type: ignore[arg-type]


def test_a_renamed_repository_is_followed_for_reading_and_for_writing(office: Office, forge: Forge) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    repository = forge.world.repositories.pop("acme/api")
    repository.name, repository.former_names = "new-api", {"acme/api"}
    forge.world.repositories["acme/new-api"] = repository
    (forge.root / "acme/api.git").rename(forge.root / "acme/new-api.git")
    assert repository.bare is not None
    object.__setattr__(repository.bare, "path", forge.root / "acme/new-api.git")
    assert office.told().state == "posted"


def test_no_token_goes_to_another_host(office: Office, forge: Forge) -> None:
    office.opened({"a.py": "start = 0\n"}, {"a.py": "start = 0\n" + FAULT})
    elsewhere = {"location": "http://127.0.0.2:9/repos/acme/api/pulls/1"}
    forge.fault("GET", "/pulls/1$", "answer", status=302, body={"message": "Found"}, headers=elsewhere)
    with pytest.raises(Refused, match="another host"):
        office.review()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "nobody is logged in"),
        ({"GITHUB_APP_ID": "7"}, "no key"),
        ({"GITHUB_TOKEN": "x", "GITHUB_API_URL": "http://github.example.com/api/v3"}, "over https only"),
        ({"GITHUB_APP_ID": "7", "GITHUB_APP_PRIVATE_KEY_FILE": "/nowhere/key.pem"}, "cannot be read"),
    ],
)
def test_access_that_cannot_work_is_told_before_anything_is_asked(environment: dict[str, str], words: str) -> None:
    with pytest.raises(Refused, match=words):
        GitHubAccess.read(environment).check()


def test_no_secret_is_in_any_file_or_log_or_call_of_the_model(app: Office, forge: Forge, keys: tuple[str, str]) -> None:
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    app.told()
    app.push({"a.py": "start = 0\nx = 1  # mended\n"})
    app.told()
    app.process().hear(10)
    root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    secrets = [*forge.world.tokens, keys[0].splitlines()[3]]
    assert len(secrets) >= 4
    files = [path for path in app.home.rglob("*") if path.is_file()]
    assert len(files) >= 10
    for path in files:
        content = path.read_bytes()
        assert not any(secret.encode() in content for secret in secrets), path
    assert not any(secret in logged.getvalue() for secret in secrets)
    assert not any(secret in call.prompt + call.system for call in app.model.calls for secret in secrets)
    assert not any(secret in repr(vars(app.process())) + repr(app.process().credentials) for secret in secrets)


def test_long_tokens_with_dots_are_known_as_secrets() -> None:
    long = f"ghs_77_eyJ{'aB3' * 80}.eyJ{'cD4' * 60}.{'eF5' * 25}-_x"
    for secret in (long, "ghp_" + "a1B2" * 9, "github_pat_" + "a1B2_" * 16):
        assert secret not in redact(f"pushed with {secret}, which failed")
        assert "which failed" in redact(f"pushed with {secret}, which failed")
