"""The shipped batch workloads: the names of their audits, and the shape in which each must be answered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from review_pipeline.core.backlog import sent_schema
from review_pipeline.core.compliance import VERDICTS_SCHEMA
from review_pipeline.core.prompt import FINDINGS_SCHEMA

# A type that DuckDB reads for each JSON type of a claim.
_COLUMN_TYPES = {"string": "VARCHAR", "integer": "INTEGER", "number": "DOUBLE"}


@dataclass(frozen=True, slots=True)
class BatchWorkload:
    """name: as in the configuration and the history. prefix: how its audits' names begin, as 'nightly' in nightly-acme.

    event: the kind of outbox row that its collected batches make.
    """

    name: str
    prefix: str
    schema: Mapping[str, Any]
    event: str = "batch_collected"

    @property
    def claim_structure(self) -> str:
        """The schema's only list as a structure for DuckDB's from_json_strict: every field that is required there."""
        ((claims, of_claims),) = self.schema["properties"].items()
        claim = {name: _COLUMN_TYPES[field["type"]] for name, field in of_claims["items"]["properties"].items()}
        return json.dumps({claims: [claim]})


def _security_schema() -> dict[str, Any]:
    """Findings with the kind of weakness; nothing but security is asked for."""
    schema: dict[str, Any] = deepcopy(FINDINGS_SCHEMA)
    finding = schema["properties"]["findings"]["items"]
    finding["properties"]["category"]["enum"] = ["security"]
    finding["properties"]["cwe"] = {
        "type": "string",
        "description": "The most specific entry of the Common Weakness Enumeration that fits, for example CWE-89",
    }
    finding["required"] = [*finding["required"], "cwe"]
    return schema


QUALITY = BatchWorkload("nightly_quality_audit", "nightly", FINDINGS_SCHEMA)
SECURITY = BatchWorkload("weekly_security_audit", "security", _security_schema())
DOCUMENTS = BatchWorkload("document_compliance", "documents", VERDICTS_SCHEMA, "verdicts_collected")
BACKLOG = BatchWorkload("pull_request_backlog", "backlog", sent_schema())  # answers as reviews read them
WORKLOADS = {workload.name: workload for workload in (QUALITY, SECURITY, BACKLOG, DOCUMENTS)}

# An audit's name says what is asked of which repository; a number makes a further audit of the same day.
_AUDIT = re.compile(rf"^(?P<prefix>{'|'.join(one.prefix for one in WORKLOADS.values())}|adhoc)\d*-(?P<repo>.+)$")


def audit_name(workload: BatchWorkload, repo: str, number: int = 1) -> str:
    """number: from 1; further audits of the same repository and day are numbered."""
    return f"{workload.prefix}{number if number > 1 else ''}-{repo}"


def parsed_audit(audit: str) -> tuple[BatchWorkload, str] | None:
    """Workload and repository of an audit's name, or None if it is none. ('adhoc2-acme', of earlier versions, is a quality audit.)"""
    match = _AUDIT.match(audit)
    if match is None:
        return None
    by_prefix = {workload.prefix: workload for workload in WORKLOADS.values()}
    return by_prefix.get(match["prefix"], QUALITY), match["repo"]
