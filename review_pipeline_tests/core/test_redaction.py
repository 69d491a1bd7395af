from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_pipeline.core.redaction import MARK, redact

SECRETS = [
    "sk-ant-api03-abcdefghijklmnop", "ghp_" + "a1B2" * 9, "github_pat_" + "a1B2" * 9, "glpat-abcdefghij1234567890", "AKIAIOSFODNN7EXAMPLE",
    "AIza" + "a1B2" * 9, "xoxb-1234567890-abcdef", "npm_" + "a1B2" * 9, "hf_" + "a1B2" * 9, "sk_live_abcdefghijklmnop",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
]  # fmt: skip


@pytest.mark.case(114)
@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_of_known_forms_are_taken_out(secret: str) -> None:
    told = redact(f"the value {secret} is committed")
    assert secret not in told
    assert told == f"the value {MARK} is committed"


@pytest.mark.case(114)
@pytest.mark.parametrize(
    "line",
    [
        'password = "hunter2-and-more"',
        "API_KEY: 'abcdef123456'",
        '"client_secret": "s3cr3t-value"',
        "db_password => 'abcdefgh'",
    ],
)
def test_a_literal_beside_a_telling_name_is_taken_out(line: str) -> None:
    assert MARK in redact(line)


def test_the_password_of_an_address_is_taken_out() -> None:
    assert redact("postgres://user:pa55word@db/x") == f"postgres://{MARK}@db/x"


@pytest.mark.parametrize(
    "line",
    [
        'password = "<your-password>"',
        "password = os.environ['DB_PASSWORD']",
        "tokens = tokenize(text)",
        "secret_name = None",
        'api_key = "${API_KEY}"',
        "def check_password(password: str) -> bool:",
    ],
)
def test_ordinary_code_stays(line: str) -> None:
    assert redact(line) == line


def test_our_own_values_are_taken_out_whatever_they_look_like() -> None:
    assert redact("a plainlookingvalue b", ("plainlookingvalue", "")) == f"a {MARK} b"


@given(st.text())
def test_what_is_redacted_stays_as_it_is(text: str) -> None:
    assert redact(redact(text)) == redact(text)
