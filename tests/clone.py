"""A fresh clone: the examples as their READMEs tell people to run them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def commands_of(example: str) -> tuple[str, str]:
    """Return how to install what an example needs, and how to run it, as its README says."""
    text = (EXAMPLES / example / "README.md").read_text()
    (block,) = re.findall(r"^```\n(pip install .+?)\n```$", text, re.MULTILINE | re.DOTALL)
    install, run = block.splitlines()
    return install, run


def run_example(example: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an example by its README's own command; what it writes lands in the folder."""
    _, command = commands_of(example)
    return run_line(command, ROOT, Path(sys.executable), folder)


def run_line(
    command: str, cwd: Path, python: Path, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell with one Python first on the path."""
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "TMPDIR": str(folder), "COLUMNS": "80"}
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, env=environment, capture_output=True, text=True
    )


def copy_of(names: list[str], folder: Path) -> Path:
    """Copy files and folders of the repository, so that nothing is built in its own tree."""
    folder.mkdir(exist_ok=True)
    for name in names:
        if (ROOT / name).is_dir():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, folder)
    return folder
