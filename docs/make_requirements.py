"""Write the hashed requirements from constraints.txt: `python docs/make_requirements.py`.

Run it where `pip install -c constraints.txt -e '.[test]'` was run: what needs what is read from the
installed packages. The hashes are those of every file of a version on pip's index, so that they
hold on other platforms and Pythons as well. A release that was withdrawn there is refused.

`--check` compares the files with the index instead, and exits with 1 where they differ.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
USERS, TESTERS = ROOT / "requirements.txt", ROOT / "requirements-test.txt"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
UNHASHED = {"torch"}
"""Its builds differ by index: one for the CPU where there is one, gigabytes of CUDA elsewhere."""
BUILD = "setuptools"
"""Builds this package, and is hashed for it: `pip install --no-build-isolation`."""
HEAD = "# Made by docs/make_requirements.py; do not edit.\n"
ABOUT = {
    USERS: "# What autotune itself needs, and what builds it, each file by its hash:\n"
    "#   pip install --require-hashes -r requirements.txt\n"
    "#   pip install --no-build-isolation --no-deps .\n",
    TESTERS: "# What its tests need beside that. Not torch, whose build depends on where it is\n"
    "# installed: constraints.txt alone pins it, and what it needs on a CPU stands here.\n"
    f"-r {USERS.name}\n",
}
_HASHED = re.compile(r"^(\S+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)


class Released(NamedTuple):
    """A file of a release, as the index lists it."""

    name: str
    sha256: str
    withdrawn: bool


def pins(text: str) -> dict[str, str]:
    """Return the version that constraints give each package, by its canonical name.

    Raises:
        ValueError: a line is not `name==version`.
    """
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([\w.-]+)==(\S+)", line)
        if match is None:
            raise ValueError(f"constraints.txt: not name==version: {line!r}")
        found[str(canonicalize_name(match[1]))] = match[2]
    return found


def hashed(text: str) -> dict[str, tuple[str, list[str]]]:
    """Return version and hashes by name from a text of hashed requirements."""
    return {
        name: (version, re.findall(r"sha256:(\w+)", hashes))
        for name, version, hashes in _HASHED.findall(text)
    }


def wanted() -> dict[Path, set[str]]:
    """Return which packages each file holds: what the project asks for, and what that needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    users = needed([*project["dependencies"], BUILD])
    testers = needed(project["optional-dependencies"]["test"])
    return {USERS: users, TESTERS: testers - users - UNHASHED}


def needed(requirements: Iterable[str]) -> set[str]:
    """Return the canonical names of what is required, and of all that it requires in turn.

    On Linux, with any of the supported Pythons: what is asked for on one of them is in.

    Raises:
        importlib.metadata.PackageNotFoundError: one of them is not installed.
    """
    found: dict[str, set[str]] = {}  # extras asked for, by name
    waiting = [Requirement(one) for one in requirements]
    while waiting:
        requirement = waiting.pop()
        name = str(canonicalize_name(requirement.name))
        extras = {"", *requirement.extras}
        if extras <= found.get(name, set()):
            continue
        found[name] = found.get(name, set()) | extras
        for line in metadata.requires(name) or ():
            inner = Requirement(line)
            if any(applies(inner, extra) for extra in found[name]):
                waiting.append(inner)
    return set(found)


def applies(requirement: Requirement, extra: str) -> bool:
    """Whether a requirement counts, with an extra, on one of the supported Pythons."""
    if requirement.marker is None:
        return True
    return any(
        requirement.marker.evaluate(
            {
                "python_version": python,
                "python_full_version": f"{python}.0",
                "platform_machine": machine,
                "extra": extra,
            }
        )
        for python in PYTHONS
        for machine in MACHINES
    )


def index() -> str:
    """Return the address of the index that pip is set to."""
    command = [sys.executable, "-m", "pip", "install", "--help"]
    environment = {**os.environ, "COLUMNS": "1000"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = re.search(r"--index-url <url>.*?\(default (\S+)\)", done.stdout, re.DOTALL)
    if found is None:
        raise ValueError("pip does not say what its index is")
    return found[1].rstrip("/")


def listed(address: str, name: str) -> Mapping[str, Any]:
    """Return what an index lists of a package, in the JSON of PEP 691.

    Raises:
        OSError: the index cannot be reached, or does not know the package.
        ValueError: it does not speak JSON.
    """
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    request = urllib.request.Request(f"{address}/{name}/", headers=accept)
    with urllib.request.urlopen(request, timeout=60) as answer:
        listing: Mapping[str, Any] = json.load(answer)
    return listing


def files_of(listing: Mapping[str, Any], version: str) -> list[Released]:
    """Return the files of one version, in the order of their names."""
    found = [
        Released(one["filename"], one["hashes"]["sha256"], bool(one.get("yanked")))
        for one in listing["files"]
        if version_of(one["filename"]) == Version(version)
    ]
    return sorted(found)


def version_of(filename: str) -> Version | None:
    """Return the version of a wheel or source archive; None for what pip does not install."""
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[1]
        return parse_sdist_filename(filename)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def lines(name: str, version: str, files: Iterable[Released]) -> Iterator[str]:
    """Yield the lines of one requirement.

    Raises:
        ValueError: the release was withdrawn, or has no files.
    """
    files = list(files)
    if not files:
        raise ValueError(f"{name}=={version}: the index has no such release")
    if all(one.withdrawn for one in files):
        raise ValueError(f"{name}=={version}: was withdrawn from the index; pin another version")
    yield f"{name}=={version}"
    yield from (f"    --hash=sha256:{sha256}" for sha256 in sorted({one.sha256 for one in files}))


def made() -> dict[Path, str]:
    """Return the text of each file, from the constraints and the index.

    Raises:
        OSError: the index cannot be reached.
        ValueError: a package is not pinned, or cannot be had as pinned.
    """
    versions, address, texts = pins(CONSTRAINTS.read_text(encoding="utf-8")), index(), {}
    for path, names in wanted().items():
        parts = [HEAD + ABOUT[path]]
        for name in sorted(names):
            if name not in versions:
                raise ValueError(f"constraints.txt: {name} is needed and not pinned")
            files = files_of(listed(address, name), versions[name])
            parts.append(" \\\n".join(lines(name, versions[name], files)) + "\n")
        texts[path] = "".join(parts)
    return texts


def main() -> None:
    """Write the files, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    check = parser.parse_args().check
    try:
        texts = made()
    except (OSError, ValueError, metadata.PackageNotFoundError) as error:
        sys.exit(f"Error: {error}")
    if not check:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        return
    stale = [path.name for path, text in texts.items() if path.read_text("utf-8") != text]
    if stale:
        sys.exit(f"Not what the index has now: {', '.join(stale)}")
    print(f"{', '.join(path.name for path in texts)}: as the index has them, none withdrawn")


if __name__ == "__main__":
    main()
