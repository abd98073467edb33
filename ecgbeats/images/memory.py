"""How much memory is left, by the machine and by the container that a process is in."""

import os
from pathlib import Path

# Of a container, second and first version of cgroups: the folder, its limit, and what is used.
_CGROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def free_memory() -> int:
    """Return how many bytes this process may still take."""
    free = []
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":") for line in file)
        free.append(int(fields["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):  # no Linux
        free.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    for folder, limit, used in _CGROUPS:
        try:
            in_use = int((folder / used).read_text()) - _file_cache(folder / "memory.stat")
            free.append(int((folder / limit).read_text()) - in_use)
        except (OSError, ValueError):  # not in such a container, or without a limit ("max")
            continue
    return max(0, min(free))


def _file_cache(statistics: Path) -> int:
    """Return the bytes of files that were read or written: the kernel counts them as used, and gives them up at need."""
    try:
        lines = dict(line.split() for line in statistics.read_text().splitlines())
        return int(lines["inactive_file"]) + int(lines["active_file"])
    except (OSError, KeyError, ValueError):
        return 0
