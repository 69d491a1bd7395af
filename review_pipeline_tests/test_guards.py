"""The guards of the tests themselves."""

import socket
import subprocess
import sys

import pytest

from review_pipeline_tests.conftest import LeftThisMachine


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")])
def test_no_test_can_connect_to_another_machine(family, host):
    with socket.socket(family) as ours, pytest.raises(LeftThisMachine):
        ours.connect((host, 443))


def test_no_test_can_ask_for_the_address_of_another_machine():
    with pytest.raises(LeftThisMachine):
        socket.getaddrinfo("api.anthropic.com", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_can_be_reached(host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1])).close()


def test_the_core_its_tests_and_the_guard_import_no_sdk():
    code = (
        "import sys, review_pipeline_tests.conftest, review_pipeline.core.remedy, review_pipeline.core.prompt;"
        "print(','.join({'anthropic', 'dagster', 'duckdb', 'pandas', 'sqlalchemy'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout.strip(), told.stderr) == (0, "", "")


def test_every_case_is_covered() -> None:
    from review_pipeline_tests.cases import CASES, covered

    assert set(range(1, CASES + 1)) - covered().keys() == set()


def test_every_trap_is_covered_and_named_as_listed() -> None:
    from review_pipeline_tests.cases import marked
    from review_pipeline_tests.traps import TRAPS

    assert marked("trap").keys() == TRAPS.keys()
