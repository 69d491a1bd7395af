import re
from dataclasses import astuple, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files as resources
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from review_pipeline.adapters.results import BatchResults
from review_pipeline.adapters.spool import Spool
from review_pipeline.core.caching import CacheUse
from review_pipeline.core.cost import Price, PriceTable, Usage, batch_cost_usd, cache_saved_usd, sync_cost_usd
from review_pipeline.core.failures import Outcome
from review_pipeline.core.finding import Category, fingerprint, line_key, normalised, repeats
from review_pipeline.ports import Collected, IdCheck, ResultFiles, Unavailable
from review_pipeline.settings import shipped_prices
from review_pipeline_tests.results import (
    MODEL,
    Asked,
    Line,
    answer,
    claim,
    ended,
    errored,
    found,
    succeeded,
    write_batch,
    write_lines,
)

TODAY = date(2026, 11, 22)
PRICES = PriceTable(shipped_prices())
LINES = ("import os", "", "def read(path):", "    return open(path).read()", "pass", "pass")
ASKED = Asked("a", LINES)
MONEY = Decimal("1e-9")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


def read(files: ResultFiles, prices: PriceTable = PRICES, model: str = MODEL) -> Collected:
    return BatchResults(prices).read(files, "acme/api", model, TODAY)


def read_one(spool: Spool, result: Line, asked: Asked = ASKED) -> tuple[Collected, list[dict[str, object]]]:
    files = write_batch(spool, "p", [asked], [result])
    return read(files), rows(files.findings)


def rows(parquet: Path) -> list[dict[str, object]]:
    with duckdb.connect() as db:
        found_ = db.execute("SELECT * FROM read_parquet($1)", [str(parquet)])
        names = [column[0] for column in found_.description]
        return [dict(zip(names, row, strict=True)) for row in found_.fetchall()]


def classes(files: ResultFiles) -> dict[object, object]:
    return {row["custom_id"]: row["class"] for row in rows(files.outcomes)}


# -- outcomes

ENDINGS = {
    "ok": (succeeded, Outcome.OK),
    "found": (lambda asked: found(asked, 3), Outcome.OK),
    "cut": (lambda asked: succeeded(asked, '{"findings":[{"anc', stop_reason="max_tokens"), Outcome.TRUNCATED),
    "full": (lambda asked: succeeded(asked, "", stop_reason="model_context_window_exceeded"), Outcome.CONTEXT_OUT),
    "refused": (lambda asked: succeeded(asked, content=[], stop_reason="refusal"), Outcome.REFUSAL),
    "paused": (lambda asked: succeeded(asked, "", stop_reason="pause_turn"), Outcome.PAUSED),
    "stopped": (lambda asked: succeeded(asked, stop_reason="a_reason_of_next_year"), Outcome.BAD_OUTPUT),
    "prose": (lambda asked: succeeded(asked, "I found nothing."), Outcome.BAD_OUTPUT),
    "long": (lambda asked: errored(asked, "invalid_request_error", "prompt is too long: 3 > 2"), Outcome.TOO_LONG),
    "poor": (
        lambda asked: errored(asked, "invalid_request_error", "Your credit balance is too low"),
        Outcome.BILLING,
    ),
    "capped": (lambda asked: errored(asked, "rate_limit_error", code="enforced_spend_limit_reached"), Outcome.BILLING),
    "limited": (lambda asked: errored(asked, "rate_limit_error"), Outcome.TRANSIENT),
    "invalid": (lambda asked: errored(asked, "invalid_request_error"), Outcome.INVALID),
    "new-error": (lambda asked: errored(asked, "an_error_of_next_year"), Outcome.TRANSIENT),
    "expired": (lambda asked: ended(asked, "expired"), Outcome.EXPIRED),
    "canceled": (lambda asked: ended(asked, "canceled"), Outcome.CANCELED),
    "new-type": (lambda asked: ended(asked, "a_type_of_next_year"), Outcome.TRANSIENT),
    "no-result": (lambda asked: {"custom_id": asked.custom_id}, Outcome.TRANSIENT),
    "no-type": (lambda asked: {"custom_id": asked.custom_id, "result": {"error": {"error": {"type": "x"}}}}, Outcome.TRANSIENT),
    "no-answer": (lambda asked: {"custom_id": asked.custom_id, "result": {"type": "succeeded"}}, Outcome.BAD_OUTPUT),
    "no-words": (lambda asked: {"custom_id": asked.custom_id, "result": {"type": "errored"}}, Outcome.TRANSIENT),
    "no-line": (lambda _: None, Outcome.MISSING),
}  # fmt: skip


def test_every_request_ends_in_exactly_one_class_whatever_came_for_it(spool):
    asked = [Asked(name, LINES) for name in ENDINGS]
    results = [line for name, one in zip(ENDINGS, asked, strict=True) if (line := ENDINGS[name][0](one)) is not None]
    files = write_batch(spool, "p", asked, results)
    collected = read(files)
    expected = {name: outcome.value for name, (_, outcome) in ENDINGS.items()}
    assert classes(files) == expected
    assert len(rows(files.outcomes)) == collected.requests == len(ENDINGS)
    assert {one.custom_id: one.outcome for one in collected.failed} == {
        name: outcome for name, outcome in expected.items() if outcome != "ok"
    }


def test_the_words_of_an_error_are_kept(spool):
    collected, _ = read_one(spool, errored(ASKED, "overloaded_error", "Overloaded"))
    assert [astuple(one) for one in collected.failed] == [("a", "transient", "overloaded_error", "Overloaded")]


def test_an_empty_list_of_findings_is_a_clean_answer(spool):
    collected, findings = read_one(spool, succeeded(ASKED, '{"findings":[]}'))
    assert (collected.requests, collected.failed, collected.anchors, findings) == (1, (), {}, [])


@pytest.mark.parametrize("results", [b"", b"\n"], ids=["zero bytes", "one empty line"])
def test_an_empty_download_is_a_batch_of_missing_answers_not_of_clean_ones(spool, results):
    files = write_batch(spool, "p", [ASKED, replace(ASKED, custom_id="b")], [])
    files.raw.write_bytes(results)
    assert read(files).requests == 2
    assert classes(files) == {"a": "missing", "b": "missing"}


GOOD = ASKED.claim(3)
BAD_ANSWERS = {
    "not JSON": "{",
    "nothing": "",
    "null": "null",
    "a list": "[]",
    "an empty object": "{}",
    "null findings": '{"findings":null}',
    "findings that are no list": '{"findings":"none"}',
    "text after it": '{"findings":[]} Done.',
    "in a fence": '```json\n{"findings":[]}\n```',
    "missing key": answer({name: value for name, value in GOOD.items() if name != "evidence"}),
    "null value": answer({**GOOD, "issue": None}),
    "unknown category": answer({**GOOD, "category": "style"}),
    "unknown severity": answer({**GOOD, "severity": "fatal"}),
    "severity in capitals": answer({**GOOD, "severity": "Critical"}),
    "confidence above one": answer({**GOOD, "confidence": 1.5}),
    "confidence below zero": answer({**GOOD, "confidence": -0.1}),
    "confidence in words": answer({**GOOD, "confidence": "high"}),
    "last line in words": answer({**GOOD, "end_line": "last"}),
    "null item": answer(None),
    "null item after a good one": answer(GOOD, None),
    "one bad among good ones": answer(GOOD, {**GOOD, "confidence": 2}, GOOD),
}


@pytest.mark.parametrize("text", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_an_answer_outside_the_schema_is_a_failure_and_none_of_its_findings_count(spool, text):
    collected, findings = read_one(spool, succeeded(ASKED, text))
    assert [one.outcome for one in collected.failed] == ["bad_output"]
    assert findings == []


TEXT = {"type": "text", "text": answer(GOOD)}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
HALF = len(TEXT["text"]) // 2
HALVES = [{"type": "text", "text": TEXT["text"][:HALF]}, {"type": "text", "text": TEXT["text"][HALF:]}]


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        ([TEXT], "ok"),
        ([THINKING, TEXT], "ok"),
        ([TEXT, THINKING], "ok"),
        ([THINKING, THINKING, TEXT], "ok"),
        (HALVES, "ok"),
        ([THINKING, *HALVES], "ok"),
        ([THINKING], "bad_output"),
        ([TEXT, TEXT], "bad_output"),
        ([], "bad_output"),
    ],
    ids=["text", "thinking first", "thinking last", "thinking twice", "two texts", "thinking, two texts", "only thinking", "said twice", "nothing"],
)  # fmt: skip
def test_an_answer_is_the_text_of_its_text_blocks(spool, content, outcome):
    files = write_batch(spool, "p", [ASKED], [succeeded(ASKED, content=content)])
    read(files)
    assert classes(files) == {"a": outcome}
    assert len(rows(files.findings)) == (outcome == "ok")


@pytest.mark.trap("line_separators")
def test_line_separators_inside_an_answer_end_no_line(spool):
    """U+2028 and U+0085 are no line ends; httpx and str.splitlines think they are."""
    words = "one\u2028two\u0085three\x1efour"
    _, findings = read_one(spool, succeeded(ASKED, answer(ASKED.claim(3, issue=words))))
    assert [row["issue"] for row in findings] == [words]


def test_megabytes_in_one_answer_are_read(spool):
    many = ASKED.claim(3, issue="x" * 1_000)
    collected, findings = read_one(spool, succeeded(ASKED, answer(*[many] * 20_000)))
    assert (collected.failed, len(findings)) == ((), 20_000)


# -- anchors


def test_a_proved_anchor_is_exact_and_its_last_line_is_never_past_what_was_shown(spool):
    asked = replace(ASKED, first=3, last=4)
    claims = [asked.claim(3, end_line=end) for end in (1, 3, 4, 6)]
    _, findings = read_one(spool, succeeded(asked, answer(*claims)), asked)
    assert {(row["anchor"], row["start_line"]) for row in findings} == {("exact", 3)}
    assert sorted(row["end_line"] for row in findings) == [3, 3, 4, 4]


def test_an_unproved_anchor_is_looked_up_in_the_lines_that_this_request_showed(spool):
    other = replace(ASKED, custom_id="b", path="src/b.py", lines=("x = 1", "import os", "y = 2"))
    lost = claim("9#0000", "import os")
    files = write_batch(spool, "p", [ASKED, other], [succeeded(one, answer(lost)) for one in (other, ASKED)])
    collected = read(files)
    assert collected.anchors == {"moved": 2}
    assert {(row["custom_id"], row["anchor"], row["start_line"], row["end_line"]) for row in rows(files.findings)} == {
        ("a", "moved", 1, 1),
        ("b", "moved", 2, 2),
    }


def test_a_quote_outside_what_was_shown_has_no_line(spool):
    asked = replace(ASKED, first=3, last=4)
    collected, findings = read_one(spool, succeeded(asked, answer(claim("1#0000", "import os"))), asked)
    assert collected.anchors == {"unanchored": 1}
    assert [(row["start_line"], row["end_line"]) for row in findings] == [(None, None)]


@pytest.mark.parametrize(
    ("label", "evidence", "place"),
    [
        (ASKED.label(5), "pass", ("exact", 5)),
        (ASKED.label(6), "pass", ("exact", 6)),
        (f" {ASKED.label(6)}\n", "pass", ("moved", 6)),
        ("5#0000", "pass", ("unanchored", None)),
        ("99999999999999999999#abcd", "pass", ("unanchored", None)),
        ("nonsense", "import   os", ("moved", 1)),
        (ASKED.label(1), "import", ("moved", 1)),
        (ASKED.label(3), "def read(path):\n    return open(path).read()", ("moved", 3)),
        ("", "", ("unanchored", None)),
    ],
)
def test_an_anchor_is_proved_found_again_or_given_up(spool, label, evidence, place):
    _, findings = read_one(spool, succeeded(ASKED, answer(claim(label, evidence))))
    assert [(row["anchor"], row["start_line"]) for row in findings] == [place]


def identity(line: int, occurrence: int = 1, category: Category = Category.BUG) -> UUID:
    return fingerprint("acme/api", ASKED.path, category, LINES[line - 1], occurrence)


@pytest.mark.parametrize(
    ("label", "evidence", "line", "occurrence"),
    [
        pytest.param(ASKED.label(6), "pass", 6, 2, id="second of its kind"),
        pytest.param(f" {ASKED.label(6)}", "pass", 6, 2, id="second of its kind, looked up"),
        pytest.param("0#0000", "  import os", 1, 1, id="looked up"),
        pytest.param(ASKED.label(4), "open(path)", 4, 1, id="piece of a line"),
        pytest.param(ASKED.label(3), "def read(path):\n    return open(path).read()", 3, 1, id="several lines"),
    ],
)
def test_a_verified_finding_is_known_by_its_line_however_much_of_it_was_quoted(
    spool, label, evidence, line, occurrence
):
    _, findings = read_one(spool, succeeded(ASKED, answer(claim(label, evidence))))
    assert [row["fingerprint"] for row in findings] == [identity(line, occurrence)]
    assert [normalised(str(row["evidence"])) for row in findings] == [normalised(LINES[line - 1])]


def test_an_unanchored_finding_keeps_its_quote_and_has_an_identity_of_its_own(spool):
    _, findings = read_one(spool, succeeded(ASKED, answer(claim("1#0000", "pass"))))
    assert [(row["fingerprint"], row["evidence"]) for row in findings] == [(identity(5, 0), "pass")]


# -- what Python and SQL compute alike

BLANKS = st.sampled_from(["\t", "\n", "\r", "\f", "\v", " ", "  ", "\u00a0", "\u2028", "\x1c", "\x00"])
CODE = st.lists(
    st.one_of(BLANKS, st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.sampled_from(["pass", "é", "🙂"])),
    max_size=6,
).map("".join)  # fmt: skip
SHOWN = st.lists(CODE.map(lambda text: text.replace("\n", " ")), min_size=1, max_size=8).map(tuple)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(NAMES, NAMES, SHOWN, st.lists(st.sampled_from(Category), min_size=8, max_size=8))
def test_labels_and_fingerprints_are_the_same_in_sql(repo, path, lines, categories):
    asked = Asked("a", lines, path)
    claims = [asked.claim(n, category=categories[n - 1].value, issue=str(n)) for n in range(1, len(lines) + 1)]
    with TemporaryDirectory() as folder:
        files = write_batch(Spool(Path(folder)), "p", [asked], [succeeded(asked, answer(*claims))])
        collected = BatchResults(PRICES).read(files, repo, MODEL, TODAY)
        found_ = {int(str(row["issue"])): row for row in rows(files.findings)}
    assert collected.anchors == {"exact": len(lines)}
    for number, (line, category) in enumerate(zip(lines, categories, strict=False), 1):
        occurrence = repeats(lines).get(number, 1)
        assert found_[number]["start_line"] == number
        assert found_[number]["fingerprint"] == fingerprint(repo, path, category, line, occurrence)


def expression(script: str, pattern: str) -> str:
    """A piece of the SQL that runs, so that a change there is seen here."""
    match = re.search(pattern, (resources("review_pipeline") / "sql" / script).read_text())
    assert match
    return match[0]


@pytest.fixture(scope="module")
def db():
    with duckdb.connect() as connection:
        yield connection


@SLOW
@given(texts=st.lists(CODE | st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=30))
def test_line_keys_are_the_same_in_sql(db, texts):
    key = expression("history/apply/batch_collected.sql", r"md5_number_upper\(trim\(regexp_replace\(.*?, ' '\)\)")
    made = db.execute(f"SELECT {key} FROM (SELECT unnest($1) AS evidence) AS findings", [texts]).fetchall()
    assert [row[0] for row in made] == [line_key(text) for text in texts]


@SLOW
@given(texts=st.lists(CODE | st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=30))
def test_code_is_normalised_alike_in_sql(db, texts):
    code = expression("results/05_code.sql", r"(?s)trim\(CASE .*? END, ' '\)")
    made = db.execute(f"SELECT {code} FROM (SELECT unnest($1) AS evidence)", [texts]).fetchall()
    assert [row[0] for row in made] == [normalised(text) for text in texts]


# -- money

TOKENS = st.one_of(st.integers(0, 200_000), st.integers(0, 3 * 10**9))
USAGES = st.builds(Usage, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS)


def reported(usage: Usage) -> Line:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
    }


def nano(usd: Decimal) -> Decimal:
    return usd.quantize(MONEY, ROUND_HALF_UP)


@SLOW
@given(st.lists(USAGES, min_size=1, max_size=8), st.sampled_from(PRICES.models()))
@pytest.mark.trap("costs_by_value", "price_bands")
def test_costs_are_the_same_in_sql_to_the_nano_dollar_and_add_up(usages, model):
    asked = [Asked(str(number), LINES) for number in range(len(usages))]
    results = [succeeded(one, usage=reported(usage)) for one, usage in zip(asked, usages, strict=True)]
    with TemporaryDirectory() as folder:
        files = write_batch(Spool(Path(folder)), "p", asked, results)
        collected = read(files, model=model)
        priced = {int(str(row["custom_id"])): row for row in rows(files.outcomes)}
    for number, usage in enumerate(usages):
        price = PRICES.price(model, TODAY, usage.prompt_tokens)
        assert priced[number]["price_version"] == price.version
        assert priced[number]["sync_cost_usd"] == nano(sync_cost_usd(usage, price))
        assert priced[number]["cost_usd"] == nano(batch_cost_usd(usage, price))
        assert priced[number]["cache_saved_usd"] == nano(cache_saved_usd(usage, price))
    assert collected.cost_usd == sum(row["cost_usd"] for row in priced.values())
    assert collected.sync_cost_usd == sum(row["sync_cost_usd"] for row in priced.values())
    assert collected.cache == CacheUse(
        sum(1 for usage in usages if usage.cache_read_tokens),
        sum(usage.cache_read_tokens for usage in usages),
        sum(usage.cache_write_5m_tokens + usage.cache_write_1h_tokens for usage in usages),
        sum((row["cache_saved_usd"] for row in priced.values()), Decimal(0)),
    )
    assert collected.input_tokens == sum(usage.input_tokens for usage in usages)
    assert collected.output_tokens == sum(usage.output_tokens for usage in usages)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 7, "output_tokens": 5}, Usage(7, 5)),
        ({"input_tokens": 7, "output_tokens": 5, "cache_creation_input_tokens": 9}, Usage(7, 5, 0, 9)),
        ({"input_tokens": 7, "output_tokens": 5, "cache_creation_input_tokens": None, "cache_creation": None}, Usage(7, 5)),
        (
            {"input_tokens": 7, "output_tokens": 5, "cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 9}},
            Usage(7, 5, 0, 0, 9),
        ),
        ({}, Usage(0, 0)),
    ],
    ids=["no cache", "sum of writes only", "nulls", "only one-hour writes", "nothing"],
)  # fmt: skip
def test_tokens_are_counted_once_however_the_cache_is_reported(spool, usage, expected):
    files = write_batch(spool, "p", [ASKED], [succeeded(ASKED, usage=usage)])
    read(files)
    (row,) = rows(files.outcomes)
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    assert tuple(row[name] for name in names) == astuple(expected)


def test_what_is_not_billed_costs_nothing_and_what_came_to_nothing_may_cost(spool):
    asked = [Asked(name, LINES) for name in ("cut", "error", "expired", "missing")]
    results = [
        succeeded(asked[0], "{", stop_reason="max_tokens"),
        errored(asked[1], "api_error"),
        ended(asked[2], "expired"),
    ]
    files = write_batch(spool, "p", asked, results)
    collected = read(files)
    assert {row["custom_id"]: (row["billed"], row["cost_usd"]) for row in rows(files.outcomes)} == {
        "cut": (True, Decimal("0.0001")),
        "error": (False, 0),
        "expired": (False, 0),
        "missing": (False, 0),
    }
    assert (collected.cost_usd, collected.sync_cost_usd) == (Decimal("0.0001"), Decimal("0.0002"))


def test_the_findings_of_an_answer_share_its_cost(spool):
    _, findings = read_one(spool, found(ASKED, 1, 3, 4, 5))
    assert [row["cost_usd"] for row in findings] == [Decimal("0.000025")] * 4


def test_a_prompt_above_the_last_band_is_priced_by_it_and_not_lost(spool):
    only = tuple(replace(price, up_to_prompt_tokens=size) for size, price in zip((10, 20), banded(), strict=True))
    files = write_batch(spool, "p", [ASKED], [succeeded(ASKED)])
    assert read(files, PriceTable(only)).requests == 1
    assert [row["price_version"] for row in rows(files.outcomes)] == [only[1].version]


def banded() -> tuple[Price, ...]:
    return PRICES.bands(MODEL, TODAY)


def test_prices_are_those_of_the_day(spool):
    files = write_batch(spool, "p", [ASKED], [succeeded(ASKED, usage=reported(Usage(0, 0, 1_000_000)))])
    days = {date(2026, 10, 6): Decimal("0.2"), date(2026, 10, 7): Decimal("0.1")}
    for day, expected in days.items():
        collected = BatchResults(PRICES).read(files, "acme/api", "claude-sonnet-5-5", day)
        assert collected.sync_cost_usd == expected


# -- downloads


def test_a_whole_download_is_complete(spool):
    asked = [Asked(name, LINES) for name in "abc"]
    files = write_batch(spool, "p", asked, [succeeded(one) for one in reversed(asked)])
    assert BatchResults(PRICES).check(files.raw, files.manifest) == IdCheck(lines=3, missing=0, unknown=0, doubled=0)
    assert BatchResults(PRICES).check(files.raw, files.manifest).is_complete


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ("", IdCheck(0, 3, 0, 0)),
        ("ab", IdCheck(2, 1, 0, 0)),
        ("abcx", IdCheck(4, 0, 1, 0)),
        ("abcc", IdCheck(4, 0, 0, 1)),
        ("xyz", IdCheck(3, 3, 3, 0)),
        ("aabx", IdCheck(4, 1, 1, 1)),
    ],
    ids=["nothing", "missing", "unknown", "doubled", "somebody else's", "all at once"],
)
def test_a_download_that_differs_from_what_was_sent_says_how(spool, came, expected):
    files = write_batch(spool, "p", [Asked(name, LINES) for name in "abc"], [])
    write_lines(files.part, [succeeded(Asked(name, LINES)) for name in came])
    check = BatchResults(PRICES).check(files.part, files.manifest)
    assert check == expected
    assert not check.is_complete


@pytest.mark.parametrize("kept", [1, 30, -2])
@pytest.mark.trap("cut_in_row")
def test_a_download_cut_within_a_line_is_unavailable_not_short(spool, kept):
    files = write_batch(spool, "p", [ASKED], [succeeded(ASKED)])
    whole = files.raw.read_bytes()
    files.raw.write_bytes(whole + whole[:kept])
    with pytest.raises(Unavailable, match=rf"{files.raw.name} cannot be read as results.* It will be downloaded again"):
        BatchResults(PRICES).check(files.raw, files.manifest)


def test_a_download_without_its_last_line_end_is_whole(spool):
    files = write_batch(spool, "p", [ASKED], [succeeded(ASKED)])
    files.raw.write_bytes(files.raw.read_bytes().rstrip(b"\n"))
    assert BatchResults(PRICES).check(files.raw, files.manifest).is_complete


def test_an_error_page_in_the_place_of_results_is_unavailable(spool):
    files = write_batch(spool, "p", [ASKED], [])
    files.raw.write_text("<html>502 Bad Gateway</html>\n")
    with pytest.raises(Unavailable):
        BatchResults(PRICES).check(files.raw, files.manifest)


@pytest.mark.trap("disk_full")
def test_tables_that_cannot_be_written_are_one_sentence(spool):
    files = write_batch(spool, "p", [ASKED], [found(ASKED, 3)])
    with pytest.raises(Unavailable, match=r"msgbatch_1\.jsonl.*run the same command again"):
        read(replace(files, findings=files.findings.parent / "no such folder" / "f.parquet"))


@pytest.mark.trap("appended_download")
def test_reading_twice_gives_the_same_tables(spool):
    asked = [Asked(name, LINES) for name in "ab"]
    files = write_batch(spool, "p", asked, [found(asked[0], 1, 4), errored(asked[1], "api_error")])
    first = (read(files), by_text(rows(files.outcomes)), by_text(rows(files.findings)))
    assert (read(files), by_text(rows(files.outcomes)), by_text(rows(files.findings))) == first
    assert not list(files.findings.parent.glob("*.part"))


def by_text(table: list[dict[str, object]]) -> list[str]:
    return sorted(map(str, table))
