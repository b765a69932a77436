"""Threads and cores as the system grants them."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from cascaderank.errors import CascadeError


def start_thread(work: Callable[[], None], name: str) -> threading.Thread:
    """A daemon thread that runs. Raises ``CascadeError`` where the system grants no more of them."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        raise CascadeError(
            f"cannot start a thread ({error}): {threading.active_count()} run in this process, and the system's limit "
            "of threads (the container's pids limit, or `ulimit -u`) or of memory is reached; raise it, or use fewer "
            "workers"
        ) from None
    return thread


def available_cores(root: Path = Path("/")) -> int:
    """Cores this process may use: those of its affinity mask, at most as many as its cgroups' CPU quota pays for
    (``limits.cpu`` of Kubernetes, ``--cpus`` of Docker), rounded up. ``root`` is where ``proc`` and ``sys`` lie."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """What the process's cgroup and each one above it may use, in cores, where they say so (Linux, cgroups(7): version
    2 ``cpu.max``, version 1 ``cpu.cfs_quota_us`` by ``cpu.cfs_period_us``)."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            for folder in _upwards(root / "sys/fs/cgroup", path):
                quota, period = [*_read(folder / "cpu.max").split(), "", ""][:2]
                yield from _quota(quota, period)
        elif "cpu" in controllers.split(","):
            for mount in (controllers, "cpu"):
                for folder in _upwards(root / "sys/fs/cgroup" / mount, path):
                    yield from _quota(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _quota(quota: str, period: str) -> Iterator[float]:
    try:
        found = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max", or not there
        return
    if found > 0:  # -1 is none
        yield found


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """The cgroup's folder and those above it up to the mount. A container may be shown the host's path, of which it has
    the last part only, as its mount; or, with a cgroup outside its namespace, one that leads out of the mount."""
    inside = PurePosixPath(path.lstrip("/"))
    for part in (inside, *inside.parents):
        if ".." not in part.parts:
            yield mount / part


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
