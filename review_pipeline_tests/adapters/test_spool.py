import json
import os
from pathlib import Path

import pytest

from review_pipeline.adapters.spool import Spool
from review_pipeline.ports import Refused, Unavailable
from review_pipeline_tests.results import Asked, errored, succeeded, write_batch

LINES = ("x = 1", "print('é\u2028漢')", "")
ASKED = [Asked(name, LINES) for name in "abc"]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_plan_stands_under_its_name_only_when_it_is_complete(spool):
    with spool.new_plan("p") as folder:
        with folder.files() as files:
            files.add({"path": "a.py"})
        assert names(spool.path("plans")) == ["p.part"]
    assert names(spool.path("plans")) == ["p"]
    assert spool.path("plans/p/files.jsonl").read_bytes() == b'{"path":"a.py"}\n'


class Stopped(Exception):
    """The run was stopped."""


def test_a_plan_that_was_not_finished_leaves_nothing(spool):
    def plan_and_stop():
        with spool.new_plan("p") as folder:
            folder.batch(0).add(b"{}", {})
            raise Stopped

    with pytest.raises(Stopped):
        plan_and_stop()
    assert names(spool.path("plans")) == []


def test_a_process_killed_before_the_end_leaves_only_a_part(spool):
    if (child := os.fork()) == 0:
        with spool.new_plan("p") as folder:
            folder.batch(0).add(b"{}", {})
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert names(spool.path("plans")) == ["p.part"]


def test_a_plan_of_the_same_name_is_refused_and_the_other_one_untouched(spool):
    with spool.new_plan("p") as folder, folder.files() as files:
        with pytest.raises(Refused, match=r"exists already: two plans drew the same name"), spool.new_plan("p"):
            pytest.fail("two plans of one name")
        files.add({"path": "a.py"})
    with pytest.raises(Refused, match="exists already"), spool.new_plan("p") as late, late.files() as files:
        files.add({"path": "b.py"})
    assert spool.path("plans/p/files.jsonl").read_bytes() == b'{"path":"a.py"}\n'
    assert names(spool.path("plans")) == ["p"]


def test_a_full_disk_is_told_in_one_sentence_and_leaves_nothing(spool):
    with pytest.raises(Unavailable, match=r"cannot write .*p\.part: No space left on device\. Free some space"):  # noqa: PT012, SIM117
        with spool.new_plan("p") as folder:
            spool.path("plans/p.part/files.jsonl").symlink_to("/dev/full")
            with folder.files() as files:
                files.add({"path": "a.py"})
    assert names(spool.path("plans")) == []


def test_a_root_that_is_no_folder_is_told_in_one_sentence(tmp_path):
    (tmp_path / "spool").write_text("in the way")
    with (
        pytest.raises(Unavailable, match=r"cannot write .*check the folder's permissions"),
        Spool(tmp_path / "spool").new_plan("p"),
    ):
        pytest.fail("a plan in a file")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_body_is_the_json_that_the_api_reads_and_each_request_stands_where_the_manifest_says(spool, count):
    with spool.new_plan("p") as folder:
        batch = folder.batch(0)
        for one in ASKED[:count]:
            batch.add(one.request(), one.row())
        assert batch.requests == count
        size = batch.close()
        assert batch.name == "plans/p/000"
    body = spool.body("plans/p/000").read_bytes()
    assert len(body) == size
    assert json.loads(body) == {"requests": [json.loads(one.request()) for one in ASKED[:count]]}
    manifest = [json.loads(line) for line in spool.path("plans/p/000/manifest.jsonl").read_bytes().splitlines()]
    for row, one in zip(manifest, ASKED[:count], strict=True):
        assert body[row["body_offset"] : row["body_offset"] + row["body_bytes"]] == one.request()
        assert {**one.row(), **{name: row[name] for name in ("body_offset", "body_bytes")}} == row


def test_requests_are_found_again_with_what_was_sent(spool):
    write_batch(spool, "p", ASKED, [])
    found = spool.manifest_rows("plans/p/000", frozenset("ac"))
    assert found.keys() == {"a", "c"}
    assert found["c"]["params"] == json.loads(ASKED[2].request())["params"]
    assert found["c"]["path"] == ASKED[2].path


def test_answers_are_the_blocks_that_came_back(spool):
    blocks = [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "not "},
        {"type": "text", "text": "JSON"},
    ]
    results = [succeeded(ASKED[0], content=blocks), errored(ASKED[1], "api_error"), succeeded(ASKED[2])]
    write_batch(spool, "p", ASKED, results)
    assert spool.answers("msgbatch_1", frozenset("ab")) == {"a": blocks, "b": []}


def test_a_folder_is_sent_by_one_process_at_a_time_and_a_killed_one_lets_go(spool):
    write_batch(spool, "p", ASKED, [])
    ready, release = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        with spool.sending("plans/p/000") as is_ours:
            os.write(ready[1], b"y" if is_ours else b"n")
            os.read(release[0], 1)
            os._exit(9)
    assert os.read(ready[0], 1) == b"y"
    with spool.sending("plans/p/000") as is_ours:
        assert not is_ours
    os.write(release[1], b".")
    os.waitpid(child, 0)
    with spool.sending("plans/p/000") as is_ours:
        assert is_ours
    for descriptor in (*ready, *release):
        os.close(descriptor)


def test_downloads_of_one_batch_grow_in_files_of_their_own(spool):
    one, other = (spool.result_files("plans/p/000", "msgbatch_1") for _ in range(2))
    assert one.part != other.part
    assert one.raw == other.raw
    assert spool.relative(one.raw) == "results/msgbatch_1.jsonl"


def test_a_discarded_plan_is_gone_and_may_be_discarded_twice(spool):
    write_batch(spool, "p", ASKED, [])
    for _ in range(2):
        spool.discard("plans/p")
    assert names(spool.path("plans")) == []


def test_what_killed_processes_left_is_swept_once_nobody_can_still_be_writing_it(spool, tmp_path):
    results = spool.result_files("plans/a", "batch").raw.parent
    spilled = results / "tmp" / "duckdb_temp_block.tmp"
    spilled.parent.mkdir()
    (results / "old.part").write_text("torn")
    (results / "young.part").write_text("being written")
    (results / "old.jsonl").write_text("raw results are kept")
    spilled.write_text("spilled")
    for path in (results / "old.part", results / "old.jsonl", spilled):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    with spool.new_plan("next"):
        pass
    assert sorted(path.name for path in results.rglob("*") if path.is_file()) == ["old.jsonl", "young.part"]
