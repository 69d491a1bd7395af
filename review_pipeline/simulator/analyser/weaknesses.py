"""The Common Weakness Enumeration entry of each security rule."""

from __future__ import annotations

# "Improper adherence to coding standards": what is left when no rule says more.
_UNKNOWN = "CWE-710"
_CWES = {
    "S102": "CWE-95", "S103": "CWE-732", "S104": "CWE-1327", "S105": "CWE-798", "S106": "CWE-798", "S108": "CWE-377",
    "S301": "CWE-502", "S302": "CWE-502", "S306": "CWE-377", "S307": "CWE-95", "S310": "CWE-918", "S311": "CWE-338",
    "S314": "CWE-611", "S323": "CWE-295", "S324": "CWE-327", "S501": "CWE-295", "S506": "CWE-502", "S507": "CWE-295",
    "S602": "CWE-78", "S604": "CWE-78", "S605": "CWE-78", "S608": "CWE-89", "S701": "CWE-79",
    "eval": "CWE-95", "inner-html": "CWE-79", "c-unbounded-copy": "CWE-120", "c-system": "CWE-78",
    "rust-unsafe": "CWE-119", "tls-verification-off": "CWE-295", "plain-http": "CWE-319", "secret-in-code": "CWE-798",
    "pipe-to-shell": "CWE-494",
}  # fmt: skip


def cwe_of(rule: str) -> str:
    return _CWES.get(rule, _UNKNOWN)
