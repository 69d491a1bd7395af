"""What stands beside a commit or a pull request: check runs, statuses, labels, reviewers, code scanning, permissions."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from typing import Any

from review_pipeline_tests.forge.asked import Asked, refuse
from review_pipeline_tests.forge.sample import sample
from review_pipeline_tests.forge.state import CheckRun, Pull, Repository, World


@dataclass
class Beside:
    world: World
    described: dict[str, Any]
    base: str

    def _sample(self, name: str, over: dict[str, Any]) -> dict[str, Any]:
        return sample(self.described, name, over)

    def _page(self, asked: Asked, entries: list[Any]) -> tuple[int, Any, dict[str, str]]:
        size, page = (int(asked.query.get(name, [default])[0]) for name, default in (("per_page", "30"), ("page", "1")))
        headers = {}
        if len(entries) > size * page:
            headers["link"] = f'<{self.base}{asked.path}?per_page={size}&page={page + 1}>; rel="next"'
        return 200, entries[size * (page - 1) : size * page], headers

    def _of(self, repository: Repository, groups: dict[str, str]) -> Pull:
        pull = repository.pulls.get(int(groups["number"]))
        if pull is None:
            raise refuse(404, "Not Found")
        return pull

    def _check_runs(
        self, asked: Asked, repository: Repository, groups: dict[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        name = asked.query.get("check_name", [None])[0]
        found = [run for run in repository.checks if run.head == groups["ref"] and name in (None, run.name)]
        status, told, headers = self._page(asked, [self._told_run(run) for run in found])
        return status, {"total_count": len(found), "check_runs": told}, headers

    def _create_check(
        self, asked: Asked, repository: Repository, _g: dict[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        assert asked.token is not None
        body = asked.body
        if not asked.token.is_app:
            raise refuse(403, "You must authenticate via a GitHub App.")
        run = CheckRun(
            self.world.number(), body["name"], body["head_sha"], body.get("external_id", ""), "queued", None, {}, []
        )
        self._changed_run(run, body)
        repository.checks.append(run)
        return 201, self._told_run(run), {}

    def _update_check(
        self, asked: Asked, repository: Repository, groups: dict[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        run = next((run for run in repository.checks if run.id == int(groups["run"])), None)
        if run is None:
            raise refuse(404, "Not Found")
        self._changed_run(run, asked.body)
        return 200, self._told_run(run), {}

    def _changed_run(self, run: CheckRun, body: dict[str, Any]) -> None:
        output = body.get("output", {})
        if body.get("status") == "completed" and not body.get("conclusion"):
            raise refuse(422, "Invalid request.", ["conclusion is required for a completed check run"])
        if len(output.get("annotations", ())) > 50:
            raise refuse(422, "Invalid request.", ["No more than 50 annotations"])
        run.status = "completed" if body.get("conclusion") else body.get("status", run.status)
        run.conclusion = body.get("conclusion", run.conclusion)
        run.output = {**run.output, **{name: value for name, value in output.items() if name != "annotations"}}
        run.annotations += output.get("annotations", [])

    def _status(self, asked: Asked, repository: Repository, groups: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        if len(asked.body.get("description") or "") > 140:
            raise refuse(422, "Validation Failed", [{"resource": "Status", "code": "custom", "field": "description", "message": "description is too long (maximum is 140 characters)"}])  # fmt: skip
        told = {"id": self.world.number(), "sha": groups["sha"], **asked.body}
        repository.statuses.append(told)
        return 201, self._sample("status", {name: value for name, value in told.items() if name != "sha"}), {}

    def _label(self, asked: Asked, repository: Repository, groups: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        pull = self._of(repository, groups)
        pull.labels += [label for label in asked.body["labels"] if label not in pull.labels]
        return 200, [self._sample("label", {"name": label}) for label in pull.labels], {}

    def _request_reviewers(
        self, asked: Asked, repository: Repository, groups: dict[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        pull = self._of(repository, groups)
        for login in asked.body.get("reviewers", ()):
            if login not in repository.roles:
                raise refuse(
                    422,
                    "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator.",
                )
            if pull.author is not None and login == pull.author.login:
                raise refuse(422, "Review cannot be requested from pull request author.")
        pull.requested += asked.body.get("reviewers", [])
        return 201, self._sample("pull-request-simple", {"number": pull.number}), {}

    def _sarif(self, asked: Asked, repository: Repository, _g: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        if not repository.scans_code:
            raise refuse(403, "Advanced Security must be enabled for this repository to use code scanning.")
        repository.sarifs.append(json.loads(gzip.decompress(base64.b64decode(asked.body["sarif"]))))
        return 202, {"id": f"sarif-{self.world.number()}", "url": "https://forge.example/sarif"}, {}

    def _permission(self, _a: Asked, repository: Repository, groups: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        role = repository.roles.get(groups["login"], "none")
        if groups["login"] not in self.world.accounts:
            raise refuse(404, "Not Found")
        return 200, {"permission": role, "role_name": role, "user": None}, {}

    def _told_run(self, run: CheckRun) -> dict[str, Any]:
        output = {
            "title": run.output.get("title"),
            "summary": run.output.get("summary"),
            "annotations_count": len(run.annotations),
        }
        told = {"id": run.id, "name": run.name, "head_sha": run.head, "external_id": run.external_id, "status": run.status, "conclusion": run.conclusion, "output": output}  # fmt: skip
        return self._sample("check-run", told)
