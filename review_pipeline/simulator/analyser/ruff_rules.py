"""Which ruff rules a reviewer would repeat aloud, and how much they matter. Style and taste are left out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuffRule:
    category: str
    severity: str
    confidence: float
    suggestion: str
    # False: true of a part of a file only if the rest agrees (an import may be used further down).
    survives_chunks: bool = True
    in_tests: bool = True


def _rules(category: str, *rows: tuple[str, str, float, str]) -> dict[str, RuffRule]:
    return {code: RuffRule(category, severity, confidence, words) for code, severity, confidence, words in rows}


_ERROR_HANDLING = _rules(
    "missing_error_handling",
    ("E722", "warning", 0.9, "Name the exceptions you expect; a bare except also swallows KeyboardInterrupt."),
    ("BLE001", "warning", 0.8, "Catch the exceptions this block can raise, and let the others reach the caller."),
    ("S110", "warning", 0.9, "Log the exception or narrow the handler so that a failure leaves a trace."),
    ("S112", "warning", 0.9, "Log the exception before continuing, so that skipped items can be counted."),
    ("SIM105", "info", 0.55, "Say which failure is expected here, for instance with contextlib.suppress."),
    ("TRY002", "info", 0.6, "Raise a specific exception class that a caller can catch."),
    ("TRY203", "info", 0.7, "Remove the handler or add what it was meant to do."),
    ("TRY400", "info", 0.6, "Use logging.exception so that the traceback is kept."),
    ("B904", "warning", 0.8, "Use `raise ... from error` so that the cause stays visible."),
    ("B012", "critical", 0.9, "Move the jump out of the finally block; it discards exceptions in flight."),
    ("B014", "info", 0.8, "Keep one of the duplicate exception classes."),
    ("B025", "warning", 0.9, "Keep one handler per exception; the second one never runs."),
    ("B029", "warning", 0.9, "Name an exception class; an empty tuple catches nothing."),
    ("B030", "critical", 0.9, "Put an exception class in the except clause."),
    ("PLW1510", "warning", 0.7, "Pass check=True, or look at returncode, so that a failed command is noticed."),
    ("S113", "warning", 0.85, "Pass a timeout, so that a silent server cannot block this call for ever."),
)
_NAMING = _rules(
    "inconsistent_naming",
    ("N801", "info", 0.75, "Use CapWords for the class name."),
    ("N802", "info", 0.75, "Use snake_case for the function name."),
    ("N803", "info", 0.65, "Use snake_case for the argument name."),
    ("N804", "info", 0.85, "Name the first argument of a class method `cls`."),
    ("N805", "info", 0.85, "Name the first argument of a method `self`."),
    ("N806", "info", 0.6, "Use snake_case for variables inside functions."),
    ("N811", "info", 0.55, "Keep the constant's spelling in the alias."),
    ("N812", "info", 0.55, "Keep the lowercase spelling in the alias."),
    ("N813", "info", 0.6, "Keep the CamelCase spelling in the alias."),
    ("N815", "info", 0.65, "Use snake_case for class attributes, as the rest of the code does."),
    ("N816", "info", 0.65, "Use snake_case for module variables."),
    ("N818", "info", 0.6, "End the exception's name with `Error`."),
    ("A001", "info", 0.6, "Choose a name that does not hide the builtin."),
    ("A002", "info", 0.5, "Choose an argument name that does not hide the builtin."),
    ("E741", "info", 0.75, "Choose a name that cannot be mistaken for a digit."),
)
_TYPES = _rules(
    "type_safety_gap",
    ("ANN001", "info", 0.5, "Annotate the argument, so that callers are checked."),
    ("ANN201", "info", 0.5, "Annotate the return type of this public function."),
    ("ANN401", "info", 0.55, "Replace Any by the type that is really accepted."),
    ("PGH003", "info", 0.75, "Name the error code in the ignore comment, so that other errors still show."),
    ("RUF013", "warning", 0.8, "Write `T | None`: the default None does not fit the annotation."),
    ("PYI041", "info", 0.6, "Drop the redundant member of the union."),
    ("PYI016", "info", 0.8, "Remove the duplicate member of the union."),
    ("PYI055", "info", 0.5, "Write one `type[A | B]`."),
    ("RUF012", "warning", 0.65, "Annotate with ClassVar, or build the value per instance: it is shared by all."),
)
_COMMENTS = _rules(
    "stale_comment",
    ("ERA001", "info", 0.7, "Delete the commented-out code; version control remembers it."),
    ("FIX001", "warning", 0.65, "Fix what the comment names, or move it to the tracker."),
    ("FIX002", "info", 0.6, "Do it or move it to the tracker with an owner."),
    ("FIX003", "info", 0.6, "Resolve the marker or move it to the tracker."),
)
_BUGS = _rules(
    "bug",
    ("F402", "warning", 0.8, "Rename the loop variable; it hides the import."),
    ("F502", "critical", 0.9, "Give the format a mapping."),
    ("F507", "critical", 0.95, "Match the number of placeholders and values."),
    ("F523", "warning", 0.9, "Remove the unused argument or add its placeholder."),
    ("F524", "critical", 0.95, "Pass the argument that the placeholder names."),
    ("F601", "warning", 0.9, "Keep one value per dictionary key; the first is lost."),
    ("F632", "warning", 0.95, "Compare values with ==; `is` compares identity."),
    ("F821", "critical", 0.85, "Define or import the name; this line raises NameError."),
    ("F823", "critical", 0.85, "Assign the local before it is read."),
    ("F841", "info", 0.75, "Use the value or drop the assignment."),
    ("F401", "info", 0.85, "Remove the import, or use what it brings."),
    ("F811", "warning", 0.8, "Remove or rename one of the definitions."),
    ("B002", "warning", 0.9, "Write `x += 1`; `++x` changes nothing."),
    ("B005", "warning", 0.85, "Use removeprefix or removesuffix; strip takes a set of characters."),
    ("B006", "critical", 0.9, "Default to None and build the value in the body; this one is shared between calls."),
    ("B008", "warning", 0.6, "Move the call into the body; it runs once, when the function is defined."),
    ("B011", "warning", 0.8, "Raise AssertionError; `assert False` disappears under -O."),
    ("B015", "warning", 0.9, "Use the result of the comparison or delete it."),
    ("B017", "info", 0.7, "Expect the specific exception."),
    ("B018", "warning", 0.8, "Use the value or delete the statement."),
    ("B020", "warning", 0.9, "Rename the loop variable; it overwrites what is iterated."),
    ("B023", "warning", 0.8, "Bind the loop variable as a default argument; all closures see the last value."),
    ("B026", "warning", 0.7, "Put the starred argument before keyword arguments."),
    ("B031", "warning", 0.8, "Store the group in a list; it can be read only once."),
    ("B035", "warning", 0.9, "Use a key that varies; the comprehension keeps one entry."),
    ("B905", "info", 0.5, "Pass strict=True, so that a length mismatch is not cut off silently."),
    ("PLE0101", "critical", 0.9, "Remove the return value from __init__."),
    ("PLE0604", "warning", 0.9, "Put only strings in __all__."),
    ("PLE1205", "warning", 0.9, "Match the logging arguments to the placeholders."),
    ("PLE1206", "critical", 0.9, "Pass every argument the logging format asks for."),
    ("PLE1307", "critical", 0.9, "Pass a value of the type the format asks for."),
    ("PLW0127", "warning", 0.9, "Assign what was meant; this line has no effect."),
    ("PLW0129", "warning", 0.9, "Assert a condition; a non-empty string is always true."),
    ("PLW0131", "info", 0.7, "Give the expression a name."),
    ("PLW0602", "info", 0.75, "Drop the global statement; the name is never assigned here."),
    ("PLW0603", "info", 0.6, "Pass the state as an argument instead of rebinding a global."),
    ("PLW2901", "info", 0.55, "Use another name; the loop variable is overwritten."),
    ("PLW1508", "warning", 0.85, "Give a string default; environment variables are strings."),
    ("RUF006", "warning", 0.8, "Keep a reference to the task, or it may be collected before it ends."),
    ("RUF008", "critical", 0.9, "Use field(default_factory=...): the default is shared between instances."),
    ("RUF009", "warning", 0.8, "Use field(default_factory=...): the call runs once, at class creation."),
    ("DTZ005", "warning", 0.65, "Pass a timezone: a naive local time compares wrongly across machines."),
    ("DTZ003", "warning", 0.75, "Use datetime.now(tz=UTC); utcnow() returns a naive value."),
    ("ASYNC210", "warning", 0.85, "Use an async client: this call blocks the event loop."),
    ("ASYNC251", "warning", 0.9, "Await asyncio.sleep; time.sleep blocks the event loop."),
    ("SIM115", "warning", 0.7, "Open the file in a with block, so that it is closed on an exception."),
)
_SECURITY = _rules(
    "security",
    ("S102", "critical", 0.85, "Replace exec by code that does the one thing needed."),
    ("S103", "warning", 0.8, "Give the file the narrowest mode that works."),
    ("S104", "warning", 0.6, "Bind to loopback unless every interface is meant."),
    ("S105", "warning", 0.5, "Read the secret from the environment or a secret store."),
    ("S106", "warning", 0.5, "Read the secret from the environment or a secret store."),
    ("S108", "info", 0.55, "Use tempfile; a fixed name in a shared folder can be prepared by others."),
    ("S301", "critical", 0.75, "Use a data-only format; unpickling runs code of whoever wrote the bytes."),
    ("S302", "critical", 0.75, "Use a data-only format; marshal is not safe for foreign input."),
    ("S306", "warning", 0.9, "Use tempfile.mkstemp; mktemp can be raced."),
    ("S307", "critical", 0.8, "Use ast.literal_eval or a parser; eval runs whatever it is given."),
    ("S310", "info", 0.5, "Check the scheme first: urlopen also opens file: addresses."),
    ("S311", "info", 0.5, "Use the secrets module wherever the value must not be guessed."),
    ("S314", "warning", 0.7, "Parse foreign XML with defusedxml."),
    ("S323", "critical", 0.9, "Verify certificates."),
    ("S324", "info", 0.6, "Use a modern hash, or pass usedforsecurity=False to say that none is needed."),
    ("S501", "critical", 0.95, "Verify certificates; anyone on the way can answer for the server."),
    ("S506", "critical", 0.9, "Use yaml.safe_load; this loader can build arbitrary objects."),
    ("S507", "critical", 0.85, "Load known host keys and reject unknown ones."),
    ("S602", "critical", 0.75, "Pass a list of arguments without a shell; input in this string becomes commands."),
    ("S604", "warning", 0.6, "Pass a list of arguments without a shell."),
    ("S605", "warning", 0.7, "Use subprocess.run with a list; a shell interprets what is in the string."),
    ("S608", "critical", 0.65, "Pass values as bound parameters instead of building SQL from strings."),
    ("S701", "warning", 0.8, "Turn autoescape on; values reach the page unescaped."),
)
_PERFORMANCE = _rules(
    "performance",
    ("PERF203", "info", 0.5, "Move the try out of the loop if one failure may end it."),
    ("PERF401", "info", 0.6, "Build the list with a comprehension or extend."),
    ("PERF402", "info", 0.65, "Copy with list() or list.copy()."),
    ("PERF403", "info", 0.6, "Build the dictionary with a comprehension."),
    ("PERF102", "info", 0.7, "Iterate only over the part of items() that is used."),
    ("B019", "warning", 0.75, "Cache outside the instance: this keeps every instance alive."),
    ("RUF015", "info", 0.6, "Take the first element with next(iter(...)) instead of building a list."),
    ("C419", "info", 0.7, "Pass a generator, so that any and all can stop early."),
)

_NEEDS_WHOLE_FILE = frozenset({"F401", "F811", "F821", "F823", "F841", "PLW0602", "B018", "F402", "N805"})
_NOT_IN_TESTS = frozenset(
    {"ANN001", "ANN201", "ANN401", "S105", "S106", "S108", "S311", "S104", "S113", "PLW1510", "B011", "S608", "N802"}
    | {"S310", "S301", "BLE001", "RUF012", "S602", "S324", "B905", "DTZ005"}
)


def _with_limits(rules: dict[str, RuffRule]) -> dict[str, RuffRule]:
    return {
        code: RuffRule(
            rule.category,
            rule.severity,
            rule.confidence,
            rule.suggestion,
            code not in _NEEDS_WHOLE_FILE,
            code not in _NOT_IN_TESTS,
        )
        for code, rule in rules.items()
    }


RUFF_RULES = _with_limits(
    _ERROR_HANDLING | _NAMING | _TYPES | _COMMENTS | _BUGS | _SECURITY | _PERFORMANCE,
)
