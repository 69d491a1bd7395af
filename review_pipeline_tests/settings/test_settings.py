from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from review_pipeline.core.finding import Category
from review_pipeline.ports import Refused
from review_pipeline.settings import AuditEntry, Settings, selection_rules, shipped_prices

SECRET = "sk-ant-api03-do-not-print-me"


def load(tmp_path: Path, yaml: str, **environment: str) -> Settings:
    path = tmp_path / "review_pipeline.yaml"
    path.write_text(yaml, encoding="utf-8")
    return Settings.read({"REVIEW_PIPELINE_CONFIG": str(path), **environment})


def refusal(tmp_path: Path, yaml: str) -> str:
    with pytest.raises(Refused) as told:
        load(tmp_path, yaml)
    return str(told.value)


# -- the file


def test_an_empty_file_is_a_configuration_of_defaults(tmp_path):
    config = load(tmp_path, "").config
    assert config.repositories == ()
    assert config.workloads.nightly_quality_audit == AuditEntry()
    assert config.threshold(Category.BUG) == 0.7


def test_everything_that_can_be_set_is_read(tmp_path):
    settings = load(
        tmp_path,
        """
repositories:
  - {name: api, path: ../api, ref: main, include: ['src/**'], exclude: ['*.gen.py'], criteria: No globals.}
workloads:
  nightly_quality_audit: {model: claude-sonnet-5-5, max_tokens: 9000, sla_hours: 48, submit_every_hours: 6, max_file_bytes: 5000}
batches: {max_requests: 10, max_body_bytes: 20000, reconcile_grace_seconds: 1, poll_seconds: 5}
thresholds: {security: 0.2}
default_threshold: 0.5
""",
    )
    api = settings.repository("api")
    assert settings.repository_path(api) == tmp_path / ".." / "api"
    rules = selection_rules(api, settings.config.workloads.nightly_quality_audit)
    assert (rules.include, rules.exclude, rules.max_file_bytes) == (("src/**",), ("*.gen.py",), 5_000)
    assert settings.config.workloads.nightly_quality_audit.model == "claude-sonnet-5-5"
    assert settings.config.batches.max_requests == 10
    assert [settings.config.threshold(category) for category in (Category.SECURITY, Category.BUG)] == [0.2, 0.5]


@pytest.mark.parametrize(
    ("yaml", "place"),
    [
        ("repositories:\n  - name: api\n   path: x\n", "line 3, column 4"),
        ("default_threshold: [0.5\n", "line 2, column 1"),
        ("a: b\n\tc: d\n", "line 2, column 1"),
        ("default_threshold: 'open\n", "line 2, column 1"),
    ],
    ids=["indentation", "open bracket", "tab", "open quote"],
)
def test_broken_yaml_is_told_with_its_place(tmp_path, yaml, place):
    message = refusal(tmp_path, yaml)
    assert f"review_pipeline.yaml, {place} is not YAML: " in message
    assert message.endswith(". Correct that line.")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refused, match=r"cannot read .*c\.yaml: .*UTF-8 text"):
        Settings.read({"REVIEW_PIPELINE_CONFIG": str(path)})


@pytest.mark.parametrize("yaml", ["- a\n- b\n", "just words\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, yaml):
    assert "the file: Input should be a valid dictionary" in refusal(tmp_path, yaml)


def test_all_faults_are_told_at_once_wherever_they_are(tmp_path):
    message = refusal(
        tmp_path,
        """
repositories:
  - {name: api, path: a}
  - {name: api, path: b}
workloads:
  nightly_quality_audit: {model: claude-haiku-9, sla_hours: 24}
batches: {poll_seconds: 1}
thresholds: {beauty: 0.5}
default_threshold: 2
colour: green
""",
    )
    faults = [line.strip().partition(":")[0] for line in message.splitlines()[1:]]
    assert sorted(set(faults)) == [
        "batches.poll_seconds",
        "colour",
        "default_threshold",
        "repositories",
        "thresholds.beauty.[key]",
        "workloads",
    ]
    assert "unknown model 'claude-haiku-9'" in message
    assert "its SLA is 24 h" in message
    assert "two repositories are called api" in message
    assert f"has {len(message.splitlines()) - 1} fault(s)" in message


@pytest.mark.parametrize(
    ("yaml", "place"),
    [
        ("repository: []", "repository"),
        ("repositories: [{name: a, path: b, branch: main}]", "repositories.0.branch"),
        ("workloads: {nightly_audit: {}}", "workloads.nightly_audit"),
        ("workloads: {nightly_quality_audit: {temperature: 0}}", "workloads.nightly_quality_audit.temperature"),
        ("workloads: {pull_request_backlog: {model: claude-haiku-5-5}}", "workloads.pull_request_backlog.model"),
        ("batches: {size: 1}", "batches.size"),
    ],
)
def test_a_key_that_nobody_reads_is_a_fault(tmp_path, yaml, place):
    assert f"  {place}: Extra inputs are not permitted" in refusal(tmp_path, yaml)


@pytest.mark.parametrize(
    ("yaml", "place"),
    [
        ("repositories: [{name: 'a|b', path: x}]", "repositories.0.name"),
        ("repositories: [{name: ../a, path: x}]", "repositories.0.name"),
        ("repositories: [{name: a}]", "repositories.0"),
        ("repositories: [{name: a, path: x, exclude: ['!']}]", "repositories.0.exclude"),
        ("repositories: [{name: a, path: x, include: ['ok', '!']}]", "repositories.0.include"),
        ("workloads: {nightly_quality_audit: {schedule: nightly}}", "workloads.nightly_quality_audit.schedule"),
        ("workloads: {nightly_quality_audit: {mode: sync}}", "workloads.nightly_quality_audit.mode"),
        ("workloads: {nightly_quality_audit: {max_tokens: 0}}", "workloads.nightly_quality_audit.max_tokens"),
        ("batches: {max_requests: 100001}", "batches.max_requests"),
        ("batches: {max_body_bytes: 256000000}", "batches.max_body_bytes"),
        ("default_threshold: 1.1", "default_threshold"),
    ],
)
def test_a_value_that_cannot_work_is_a_fault_when_the_file_is_read(tmp_path, yaml, place):
    assert f"  {place}: " in refusal(tmp_path, yaml)


def test_two_repositories_of_one_name_are_refused_by_name(tmp_path):
    names = ", ".join(f"{{name: {name}, path: x}}" for name in ("api", "web", "api", "db", "web"))
    assert "two repositories are called api, web; names must differ" in refusal(tmp_path, f"repositories: [{names}]")


# -- models and prices


def test_an_unknown_model_is_told_with_the_known_ones_and_the_way_on(tmp_path):
    message = refusal(tmp_path, "workloads: {nightly_quality_audit: {model: claude-haiku-9}}")
    assert "workload 'nightly_quality_audit': unknown model 'claude-haiku-9'" in message
    assert all(price.model in message for price in shipped_prices())
    assert "Add it under 'prices'" in message


OWN_PRICE = """
prices:
  - {model: MODEL, valid_from: 2026-01-01, input_usd: 7, output_usd: 0.25, cache_write_5m_usd: 1, cache_write_1h_usd: 1,
     cache_read_usd: 0.1, context_tokens: 1000, max_output_tokens: 100}
workloads: {nightly_quality_audit: {model: MODEL}}
"""


def test_a_model_of_ones_own_is_known_by_its_price(tmp_path):
    table = load(tmp_path, OWN_PRICE.replace("MODEL", "claude-own")).config.price_table()
    price = table.price("claude-own", date(2026, 11, 22), 0)
    assert (price.input_usd, price.output_usd) == (Decimal(7), Decimal("0.25"))


def test_a_price_of_ones_own_counts_before_the_shipped_one_of_the_same_day(tmp_path):
    table = load(tmp_path, OWN_PRICE.replace("MODEL", "claude-opus-5-5")).config.price_table()
    assert table.price("claude-opus-5-5", date(2026, 11, 22), 0).input_usd == 7


# -- routing


@pytest.mark.parametrize(
    ("yaml", "reason"),
    [
        ("{sla_hours: 24}", "its SLA is 24 h, but at worst a batch takes 27 h: 1 h to the next submission + 24 h in the batch"),
        ("{submit_every_hours: 24}", "its SLA is 30 h, but at worst a batch takes 50 h: 24 h to the next submission"),
        ("{needs_tools: true}", "it needs tools, and a batch request cannot use ours"),
        ("{blocking: true}", "a person or a merge waits for it"),
    ],
)  # fmt: skip
def test_a_workload_that_does_not_belong_into_batches_is_refused_with_the_reason(tmp_path, yaml, reason):
    message = refusal(tmp_path, f"workloads: {{nightly_quality_audit: {yaml}}}")
    assert "workload 'nightly_quality_audit' is declared for batches but belongs on the synchronous path: " in message
    assert reason in message


# -- the environment


def test_without_a_file_everything_is_as_shipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings.read({})
    assert settings.config.repositories == ()
    assert (settings.home, settings.config_path) == (tmp_path / "var", tmp_path / "review_pipeline.yaml")
    assert not settings.is_offline


def test_a_file_that_is_named_must_exist(tmp_path):
    with pytest.raises(Refused, match=r"REVIEW_PIPELINE_CONFIG names .*gone\.yaml, which does not exist"):
        Settings.read({"REVIEW_PIPELINE_CONFIG": str(tmp_path / "gone.yaml")})


def test_an_empty_variable_is_a_variable_that_is_not_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("REVIEW_PIPELINE_CONFIG", "REVIEW_PIPELINE_HOME", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY")
    assert Settings.read(dict.fromkeys(names, "")) == Settings.read({})


def test_a_missing_key_is_told_with_both_ways_on(tmp_path):
    with pytest.raises(Refused) as told:
        load(tmp_path, "").key()
    message = str(told.value)
    assert "ANTHROPIC_API_KEY is not set" in message
    assert "Set it in the environment" in message
    assert "make demo" in message


def test_the_key_is_handed_out_but_never_shown(tmp_path):
    settings = load(tmp_path, "", ANTHROPIC_API_KEY=SECRET)
    assert settings.key() == SECRET
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_an_unknown_repository_is_told_with_the_known_ones(tmp_path):
    settings = load(tmp_path, "repositories: [{name: api, path: a}, {name: web, path: b}]")
    with pytest.raises(Refused, match=r"no repository is called 'db' in .*review_pipeline\.yaml \(there: api, web\)"):
        settings.repository("db")


@pytest.mark.parametrize("setting", ["needs_tools: true", "blocking: true", "sla_hours: 24"])
def test_a_backlog_that_could_not_wait_for_a_batch_is_refused(tmp_path, setting):
    message = refusal(tmp_path, f"workloads: {{pull_request_backlog: {{{setting}}}}}")
    assert "workload 'pull_request_backlog' is declared for batches but belongs on the synchronous path: " in message
