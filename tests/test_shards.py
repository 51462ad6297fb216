"""Every test is in one shard, whatever shards there are."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def collected(*options):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    command += ["-m", "", "tests/test_errors.py", "tests/test_locks.py", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, {line for line in done.stdout.splitlines() if "::" in line}, done.stderr


def test_shards_are_a_partition():
    _, every, _ = collected()
    parts = [collected(f"--shard={k}/3")[1] for k in (1, 2, 3)]
    assert set.union(*parts) == every
    assert sum(map(len, parts)) == len(every) > 6
    assert all(parts)


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b"])
def test_other_shards_are_refused(shard):
    status, _, words = collected(f"--shard={shard}")
    assert status == 4
    assert "allowed: K/N" in words
