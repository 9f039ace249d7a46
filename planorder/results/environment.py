"""Where a run ran, without naming a user, a host or a folder."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path, PurePath

PACKAGES = ("planorder", "numpy", "numba", "torch", "safetensors", "pandas", "scipy", "matplotlib")


def environment() -> dict[str, object]:
    """Where a run ran: versions, processor, platform and commit; no names of users, hosts or folders."""
    versions = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "python": platform.python_version(),
        "packages": versions,
        "platform": f"{sys.platform} {platform.machine()}",
        "cpu": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "cpu_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "git_commit": _git_commit(),
    }


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _git_commit() -> str | None:
    """The commit of this source tree, "-dirty" where it was changed; None where it lies in no repository."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)  # a repository around an installed copy is not ours
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def portable(value: object) -> object:
    """JSON-ready; of absolute paths only the last part, since the rest may name people and machines."""
    if isinstance(value, Mapping):
        return {str(key): portable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(entry) for entry in value]
    if isinstance(value, PurePath) or (isinstance(value, str) and value.startswith(("/", "~/"))):
        return PurePath(value).name if str(value).startswith(("/", "~/")) else str(value)
    return value
