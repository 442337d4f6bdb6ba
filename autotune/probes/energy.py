"""Energy of the processor packages, from the RAPL counters of the kernel's powercap class, and of
GPUs beside them.

Source: the kernel's admin guide, "Power Capping Framework". Since CVE-2020-8694 most systems let
only root read the counters.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from autotune.probes.files import read_number, read_text
from autotune.probes.gpu_energy import gpu_energy_mj, this_nvml, visible_gpus
from autotune.spec import Record

_TOP_DOMAIN = re.compile(r"intel-rapl:\d+")
"""AMD's counters bear this name, too. Sub-domains (`intel-rapl:0:0`) are part of their package."""
_GPU = "gpu "


class Domain(Record, frozen=True):
    """The counter of one package, or GPU."""

    energy_uj: int
    """Microjoules since some moment, modulo `range_uj` + 1."""
    range_uj: int | None
    """Largest value before the counter starts at zero again."""


class Energy(Record, frozen=True):
    """One reading of all packages, or of all packages and GPUs."""

    state: Literal["read", "absent", "unreadable"]
    """`unreadable`: a counter exists, but not for this user."""
    domains: dict[str, Domain]
    """Package by its name, such as `package-0`, and GPU by its UUID; of packages none unless all
    could be read, and of GPUs likewise."""

    @property
    def described(self) -> str:
        """What is read, in words: `package-0 and 2 GPUs`; empty: nothing."""
        packages = [name for name in self.domains if not name.startswith(_GPU)]
        gpus = len(self.domains) - len(packages)
        names = [*packages, *([f"{gpus} GPU{'s' if gpus > 1 else ''}"] if gpus else [])]
        return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def read_energy(on_gpu: bool = False, gpus: list[int] | None = None) -> Energy:
    """Read the packages and, where they take part, the GPUs; of what can be read, all.

    Args:
        on_gpu: whether GPUs take part.
        gpus: numbers of these; None: all that this process may use.
    """
    read = energy_uj()
    if not on_gpu:
        return read
    return with_gpus(read, gpu_energy_mj(this_nvml(), visible_gpus(gpus or [])))


def with_gpus(packages: Energy, gpus_mj: Mapping[str, int] | None) -> Energy:
    """Return a reading of packages with one of GPUs, millijoules by UUID; None: they are not."""
    if not gpus_mj:
        return packages
    gpus = {
        f"{_GPU}{uuid}": Domain(energy_uj=1000 * energy_mj, range_uj=None)
        for uuid, energy_mj in gpus_mj.items()
    }
    return Energy(state="read", domains={**packages.domains, **gpus})


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
    """Return the joules of all that was read from `before` to `after`.

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
