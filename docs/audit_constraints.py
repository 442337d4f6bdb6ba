"""Look the pinned versions up among known vulnerabilities: `python docs/audit_constraints.py`.

pip-audit, in an environment of its own, asks the package index, and OSV where that knows nothing.
Exits with 1 where a version is known to be vulnerable. Where neither can be asked, it says so and
exits with 0: the run that called it learns nothing, and is told that it does not.
"""

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
AUDITOR = "pip-audit==2.10.1"
SERVICES = ("pypi", "osv")
TIMEOUT_S = 300.0


class Audit(NamedTuple):
    """What came of a look-up."""

    audited: int
    """Versions that the service knew."""
    vulnerable: list[str]
    """What is known of them, a line each."""
    unknown: list[str]
    """Packages of which it told nothing."""


def audit_of(report: Mapping[str, Any]) -> Audit:
    """Return what pip-audit's JSON says."""
    vulnerable, unknown = [], []
    for one in report["dependencies"]:
        if "skip_reason" in one:
            unknown.append(one["name"])
        for flaw in one.get("vulns", ()):
            fixed = ", ".join(flaw["fix_versions"]) or "no version"
            vulnerable.append(f"{one['name']}=={one['version']}: {flaw['id']}, fixed in {fixed}")
    return Audit(len(report["dependencies"]) - len(unknown), vulnerable, unknown)


def told(audits: Mapping[str, Audit | str]) -> tuple[str, int]:
    """Return what to say, and the exit code, of what each service answered or why it did not."""
    for service, audit in audits.items():
        if isinstance(audit, Audit) and audit.audited:
            count = audit.audited + len(audit.unknown)
            head = f"{audit.audited} of {count} pinned versions looked up ({service})"
            lines = audit.vulnerable or ["no known vulnerability"]
            if audit.unknown:
                lines = [*lines, f"nothing is known of {', '.join(audit.unknown)}"]
            return "\n".join([f"{head}:", *lines]), int(bool(audit.vulnerable))
    reasons = [
        f"{service}: {audit if isinstance(audit, str) else 'knows none of the versions'}"
        for service, audit in audits.items()
    ]
    return "\n".join(["NOT AUDITED: no pinned version could be looked up.", *reasons]), 0


def ask(python: Path, service: str) -> Audit | str:
    """Ask one service; return why it did not answer where it did not."""
    asked = ["--format", "json", "--vulnerability-service", service, "-r", str(CONSTRAINTS)]
    plain = ["--disable-pip", "--no-deps", "--progress-spinner", "off"]
    command = [str(python), "-m", "pip_audit", *plain, *asked]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        report: Mapping[str, Any] = json.loads(done.stdout)
        return audit_of(report)
    except subprocess.TimeoutExpired:
        return f"no answer within {TIMEOUT_S:.0f} s"
    except ValueError:
        return (done.stderr.strip().splitlines() or ["no answer"])[-1][:200]


def audits() -> dict[str, Audit | str]:
    """Return what each service answered, until one knew something."""
    found: dict[str, Audit | str] = {}
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "bin", "python")
        install = [str(python), "-m", "pip", "install", "-q", AUDITOR]
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode:
            return {AUDITOR: (done.stderr.strip().splitlines() or ["not installed"])[-1]}
        for service in SERVICES:
            found[service] = answer = ask(python, service)
            if isinstance(answer, Audit) and answer.audited:
                break
    return found


if __name__ == "__main__":
    text, code = told(audits())
    print(text)
    sys.exit(code)
