"""What this process may use of the machine, and what its processor can: cores, limits of its cgroup, instructions, memory.

To tell of another feature: its name in /proc/cpuinfo (or in macOS's sysctl) as a row in `FEATURES`.
"""

import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FEATURES = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimddp", "bf16", "i8mm")
"""What runtimes make use of, by the names that Linux gives them: x86-64 first, then Arm."""


def cores(root: Path = Path("/")) -> int:
    """How many cores this process may use at once: its affinity and its cgroup's quota, not the machine's size.

    A quota of 1.5 cores gives 2: two threads share what the quota allows. root : where /proc and /sys are found.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = quota(root)
    return allowed if limit is None else max(1, min(allowed, math.ceil(limit)))


def quota(root: Path = Path("/")) -> float | None:
    """Return the lowest number of cores that a cgroup (version 1 or 2) of this process allows; None if there is no limit."""
    limits = [limit for folder in _groups(root) if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's CPU cgroups, from its own up to the mount: a limit applies to all groups below it."""
    mount = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        for name in [controllers, "cpu"] if controllers else ["", "unified"]:
            here = mount / name / path.strip("/")
            while here != mount.parent and mount in (here, *here.parents):
                yield here
                here = here.parent


def _limit(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split() or [
        _text(folder / "cpu.cfs_quota_us").strip(),
        _text(folder / "cpu.cfs_period_us").strip(),
    ]
    if len(words) != 2 or not all(word.isdigit() for word in words) or 0 in (amount := [int(word) for word in words]):
        return None  # "max 100000" or -1 is no limit
    return amount[0] / amount[1]


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""


def processor(root: Path = Path("/")) -> tuple[str, tuple[str, ...]]:
    """Return the processor's name and which of `FEATURES` it has; unknown facts are left out."""
    if sys.platform == "darwin":
        settings = dict(line.split(":", 1) for line in _sysctl().splitlines() if ":" in line)
        known = {key.rsplit(".", 1)[-1].lower().removeprefix("feat_"): value.strip() for key, value in settings.items()}
        return known.get("brand_string", platform.machine()), tuple(f for f in FEATURES if known.get(_APPLES.get(f, f)) == "1")
    lines = [line.split(":", 1) for line in _text(root / "proc/cpuinfo").splitlines() if ":" in line]
    first = {key.strip().lower(): value.strip() for key, value in reversed(lines)}
    flags = (first.get("flags") or first.get("features") or "").split()
    name = first.get("model name") or platform.processor() or platform.machine()
    return name, tuple(feature for feature in FEATURES if feature in flags)


_APPLES = {"asimddp": "dotprod"}


def _sysctl() -> str:
    try:
        return subprocess.run(["/usr/sbin/sysctl", "-a"], capture_output=True, text=True, check=False, timeout=5).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def memory(root: Path = Path("/")) -> int | None:
    """Bytes of main memory that programs may still take; None where the system does not say."""
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
