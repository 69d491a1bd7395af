"""Rules for languages without a linter at hand. Each statement is true of any line its pattern matches."""

from __future__ import annotations

import re
from dataclasses import dataclass

JS = ("javascript", "typescript")
C_FAMILY = ("c", "cpp")
BRACES = (*JS, *C_FAMILY, "java", "csharp", "kotlin", "swift", "go", "rust", "php", "scala", "dart")
ALL = (*BRACES, "ruby", "shell")


@dataclass(frozen=True, slots=True)
class LexicalRule:
    name: str
    languages: tuple[str, ...]
    # "code" sees neither strings nor comments, "text" sees strings, "comment" sees only comments.
    where: str
    pattern: re.Pattern[str]
    category: str
    severity: str
    confidence: float
    issue: str
    suggestion: str
    in_tests: bool = True


def _rule(
    name: str,
    languages: tuple[str, ...],
    where: str,
    pattern: str,
    graded: tuple[str, str, float],
    issue: str,
    suggestion: str,
    in_tests: bool = True,
) -> LexicalRule:
    compiled = re.compile(pattern, re.MULTILINE)
    return LexicalRule(name, languages, where, compiled, *graded, issue=issue, suggestion=suggestion, in_tests=in_tests)


LEXICAL_RULES = (
    _rule(
        "empty-catch",
        (*JS, "java", "csharp", "kotlin", "php", "cpp", "swift", "dart", "scala"),
        "code",
        r"\bcatch\b\s*(?:\([^)]*\))?\s*\{\s*\}",
        ("missing_error_handling", "warning", 0.85),
        "The catch block holds no code, so the error disappears without a trace.",
        "Log or handle the error, or rethrow it.",
    ),
    _rule(
        "promise-without-catch",
        JS,
        "code",
        r"\.catch\(\s*(?:\(\s*\w*\s*\)|\w+)\s*=>\s*\{\s*\}\s*\)",
        ("missing_error_handling", "warning", 0.85),
        "The rejection handler holds no code, so a failed promise is ignored.",
        "Handle or log the rejection.",
    ),
    _rule(
        "go-ignored-error",
        ("go",),
        "code",
        r"^[ \t]*(?:\w+\s*,\s*)?_\s*:?=\s*[\w.]+\(.*\)\s*$",
        ("missing_error_handling", "info", 0.55),
        "A value returned by this call is assigned to `_` and so is never looked at; if it is the error, it is lost.",
        "Name the value and handle it, or say in a comment why it may be ignored.",
        False,
    ),
    _rule(
        "go-panic",
        ("go",),
        "code",
        r"(?<![\w.])panic\(",
        ("missing_error_handling", "info", 0.5),
        "This line panics instead of returning an error to the caller.",
        "Return an error unless the program cannot go on.",
        False,
    ),
    _rule(
        "rust-unwrap",
        ("rust",),
        "code",
        r"\.unwrap\(\)",
        ("missing_error_handling", "warning", 0.6),
        "`unwrap()` panics when the value is an error or missing.",
        "Propagate with `?`, or use `expect` with the reason why it cannot fail.",
        False,
    ),
    _rule(
        "ruby-rescue-nothing",
        ("ruby",),
        "code",
        r"\brescue\b[ \t]*(?:=>[ \t]*\w+[ \t]*)?\n\s*end\b",
        ("missing_error_handling", "warning", 0.85),
        "The rescue clause holds no code, so every StandardError is swallowed.",
        "Name the exception class and log or handle it.",
    ),
    _rule(
        "swift-force-try",
        ("swift",),
        "code",
        r"\btry!",
        ("missing_error_handling", "warning", 0.8),
        "`try!` ends the program when the call throws.",
        "Use do/catch or `try?` with a fallback.",
        False,
    ),
    _rule(
        "kotlin-not-null",
        ("kotlin",),
        "code",
        r"[\w)\]]!!",
        ("type_safety_gap", "warning", 0.65),
        "`!!` throws a NullPointerException when the value is null.",
        "Use `?.`, `?:` or requireNotNull with a message.",
        False,
    ),
    _rule(
        "ts-any",
        ("typescript",),
        "code",
        r"(?:[:<,|]\s*any\b(?!\s*[(:.])|\bas\s+any\b)",
        ("type_safety_gap", "info", 0.7),
        "The type `any` switches off checking for this value.",
        "Use the real type, or `unknown` with a narrowing check.",
    ),
    _rule(
        "ts-ignore",
        ("typescript",),
        "comment",
        r"@ts-(?:ignore|nocheck)",
        ("type_safety_gap", "warning", 0.75),
        "The comment silences the type checker whatever the error is.",
        "Fix the type, or use @ts-expect-error with a reason.",
    ),
    _rule(
        "js-loose-equality",
        JS,
        "code",
        r"(?<![=!<>])[!=]=(?!=)(?!\s*(?:null|undefined)\b)",
        ("type_safety_gap", "info", 0.6),
        "`==` and `!=` convert their operands before they compare.",
        "Use `===` or `!==`.",
    ),
    _rule(
        "java-raw-type",
        ("java",),
        "code",
        r"\bnew\s+(?:ArrayList|HashMap|HashSet|LinkedList|TreeMap|LinkedHashMap)\s*\(",
        ("type_safety_gap", "info", 0.7),
        "The collection is created as a raw type, so its elements are not checked.",
        "Add the type arguments or `<>`.",
    ),
    _rule(
        "eval",
        (*JS, "php", "ruby", "shell"),
        "code",
        r"(?<![\w.$>:])eval(?:\s*\(|[ \t]+[\"$'\w])",
        ("security", "critical", 0.7),
        "`eval` runs whatever text it is given as code.",
        "Replace it by code that does the one thing needed.",
    ),
    _rule(
        "inner-html",
        JS,
        "code",
        r"(?:\.innerHTML\s*\+?=(?!=)|\bdangerouslySetInnerHTML\b|\bdocument\.write\s*\()",
        ("security", "warning", 0.65),
        "Text is put into the page as HTML here; if any part of it comes from outside, it can carry a script.",
        "Use textContent, or sanitize the HTML first.",
    ),
    _rule(
        "c-unbounded-copy",
        C_FAMILY,
        "code",
        r"(?<![\w.>])(?:strcpy|strcat|sprintf|vsprintf|gets)\s*\(",
        ("security", "warning", 0.65),
        "This call writes without knowing the size of its destination.",
        "Use the variant that takes a size (snprintf, strlcpy, fgets).",
    ),
    _rule(
        "c-system",
        (*C_FAMILY, "php", "ruby"),
        "code",
        r"(?<![\w.>:$])(?:system|popen|shell_exec|passthru)\s*\(",
        ("security", "warning", 0.6),
        "The command is run through a shell, which interprets everything in the string.",
        "Run the program directly with a list of arguments.",
    ),
    _rule(
        "rust-unsafe",
        ("rust",),
        "code",
        r"\bunsafe\s*\{",
        ("security", "info", 0.5),
        "The compiler does not check memory safety inside this `unsafe` block.",
        "Say in a SAFETY comment why it is sound, and keep the block as small as possible.",
    ),
    _rule(
        "tls-verification-off",
        ALL,
        "code",
        r"(?:InsecureSkipVerify\s*:\s*true|rejectUnauthorized\s*:\s*false|danger_accept_invalid_certs\(\s*true"
        r"|CURLOPT_SSL_VERIFYPEER\s*,\s*(?:0|false)|\bcurl\b[^\n|;]*\s(?:-k|--insecure)\b)",
        ("security", "critical", 0.9),
        "Certificate verification is switched off here, so anyone on the way can answer for the server.",
        "Verify certificates; add your own authority to the trust store if needed.",
    ),
    _rule(
        "plain-http",
        ALL,
        "text",
        r"(?<!xmlns=)[\"'`]http://(?!localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]|www\.w3\.org|schemas?\.|xmlns|example\.)[\w-]+\.[\w.]+",
        ("security", "info", 0.5),
        "The address uses http://, so what is exchanged can be read and changed on the way.",
        "Use https://.",
        False,
    ),
    _rule(
        "secret-in-code",
        ALL,
        "text",
        r"(?i)\b(?:password|passwd|secret|api_?key|auth_?token|private_?key)\b\s*[:=]+\s*[\"'][^\"'\s${}<>]{8,}[\"']",
        ("security", "warning", 0.55),
        "A name that suggests a secret is set to a literal in the source.",
        "Read it from the environment or a secret store.",
        False,
    ),
    _rule(
        "pipe-to-shell",
        ("shell",),
        "code",
        r"\b(?:curl|wget)\b[^\n;]*\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b",
        ("security", "critical", 0.8),
        "A download is run by a shell at once, whatever it contains.",
        "Download, check a digest, then run.",
    ),
    _rule(
        "console-log",
        JS,
        "code",
        r"(?<![\w.])(?:console\.(?:log|debug|dir)\s*\(|debugger\s*;)",
        ("other", "info", 0.5),
        "A debugging statement is left in the code.",
        "Remove it, or use the project's logger.",
        False,
    ),
    _rule(
        "java-print-stack-trace",
        ("java", "kotlin"),
        "code",
        r"\.printStackTrace\(\s*\)",
        ("missing_error_handling", "info", 0.7),
        "The exception is printed to standard error instead of being logged or handled.",
        "Use the logger, or let the exception reach the caller.",
    ),
    _rule(
        "catch-everything",
        ("java", "csharp", "kotlin"),
        "code",
        r"\bcatch\s*\(\s*(?:final\s+)?(?:\w+\s*:\s*)?(?:Throwable|System\.Exception|Exception)\b",
        ("missing_error_handling", "info", 0.55),
        "The handler catches every exception, including those nobody thought of.",
        "Catch the exceptions that this block can handle.",
        False,
    ),
    _rule(
        "assignment-in-condition",
        (*JS, "c", "cpp", "php"),
        "code",
        r"\bif\s*\(\s*[\w.$>\[\]-]+\s*(?<![=!<>+*/%&|^-])=(?![=>])\s*[\w$\"'-]+\s*\)",
        ("bug", "warning", 0.7),
        "The condition assigns instead of comparing.",
        "Write a comparison, or move the assignment before the if.",
    ),
    _rule(
        "php-error-suppression",
        ("php",),
        "code",
        r"(?<![\w$])@\w+\s*\(",
        ("missing_error_handling", "warning", 0.7),
        "`@` hides every warning of this call.",
        "Check the result and handle the failure.",
    ),
    _rule(
        "todo",
        ALL,
        "comment",
        r"\b(?:TODO|FIXME|XXX|HACK)\b",
        ("stale_comment", "info", 0.6),
        "The comment carries a TODO, FIXME, XXX or HACK marker.",
        "Do it or move it to the tracker with an owner.",
    ),
)
