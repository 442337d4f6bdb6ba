"""Energy of the processor packages, from the RAPL counters of the kernel's powercap class.

Source: the kernel's admin guide, "Power Capping Framework". Since CVE-2020-8694 most systems let
only root read the counters.
"""

import re
from pathlib import Path
from typing import Literal

from autotune.probes.files import read_number, read_text
from autotune.spec import Record

_TOP_DOMAIN = re.compile(r"intel-rapl:\d+")
"""AMD's counters bear this name, too. Sub-domains (`intel-rapl:0:0`) are part of their package."""


class Domain(Record, frozen=True):
    """One package's counter."""

    energy_uj: int
    """Microjoules since some moment, modulo `range_uj` + 1."""
    range_uj: int | None
    """Largest value before the counter starts at zero again."""


class Energy(Record, frozen=True):
    """One reading of all packages."""

    state: Literal["read", "absent", "unreadable"]
    """`unreadable`: a counter exists, but not for this user."""
    domains: dict[str, Domain]
    """Package by its name, such as `package-0`; empty unless all could be read."""


def energy_uj(root: Path = Path("/sys/class/powercap")) -> Energy:
    """Read every package. The domain `psys` is passed over, because it contains the packages."""
    domains: dict[str, Domain] = {}
    for folder in sorted(root.glob("intel-rapl:*")):
        name = read_text(folder / "name")
        if not _TOP_DOMAIN.fullmatch(folder.name) or not name.startswith("package"):
            continue
        energy = read_number(folder / "energy_uj")
        if energy is None:
            return Energy(state="unreadable", domains={})
        domains[name] = Domain(
            energy_uj=energy, range_uj=read_number(folder / "max_energy_range_uj")
        )
    return Energy(state="read" if domains else "absent", domains=domains)


def joules_between(before: Energy, after: Energy) -> float | None:
    """Return the joules of all packages from `before` to `after`.

    A counter may have started again once (at 200 W after some twenty minutes). None where a
    reading failed, the packages differ, or a counter of unknown range started again.
    """
    if (
        before.state != "read"
        or after.state != "read"
        or before.domains.keys() != after.domains.keys()
    ):
        return None
    total_uj = 0
    for name, later in after.domains.items():
        used_uj = later.energy_uj - before.domains[name].energy_uj
        if used_uj < 0:
            if later.range_uj is None:
                return None
            used_uj += later.range_uj + 1
        total_uj += used_uj
    return total_uj / 1e6
