"""Cores by affinity and by CPU quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cascaderank.threads import available_cores


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


V1 = {
    "proc/self/cgroup": "5:memory:/box\n4:cpu,cpuacct:/box/inner\n0::/\n",
    "sys/fs/cgroup/cpu,cpuacct/box/inner/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu,cpuacct/box/inner/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "300000\n",
    "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
}


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 32),  # no cgroups at all
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 32),
        # A container: its own cgroup is the root that it sees.
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 32),
        # It is shown the host's path, which does not exist where it looks.
        ({"proc/self/cgroup": "0::/kubepods/pod7/c1\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        # The pod has less than its container asks for; the tightest counts.
        (
            {
                "proc/self/cgroup": "0::/pod/c1\n",
                "sys/fs/cgroup/pod/c1/cpu.max": "800000 100000\n",
                "sys/fs/cgroup/pod/cpu.max": "600000 100000\n",
            },
            6,
        ),
        ({"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/cpu.max": "500000 100000\n"}, 5),
        (V1, 3),
        ({"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "0\n"}, 32),
        ({"proc/self/cgroup": "nonsense\n\n0::/\n", "sys/fs/cgroup/cpu.max": "much of it\n"}, 32),
    ],
)
def test_cores_are_what_the_quota_pays_for(
    files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(32)))
    assert available_cores(write(tmp_path, files)) == cores


def test_affinity_counts_where_it_is_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert available_cores(write(tmp_path, V1)) == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert available_cores(write(tmp_path, V1)) == 1
