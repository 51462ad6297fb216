import importlib.metadata
import subprocess

from cnnjax.analysis.provenance import command_line, commit, hardware, versions


def test_versions_are_those_installed():
    found = versions()
    for package in ("jax", "jaxlib", "flax", "optax", "numpy"):
        assert found[package] == importlib.metadata.version(package)
    assert set(found) == {"python", "cnnjax", "jax", "jaxlib", "flax", "optax", "numpy"}


def git(directory, *arguments):
    name = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", directory, *name, *arguments], check=True, capture_output=True)


def test_commit_of_a_checkout(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert commit(package) is None
    git(tmp_path, "init")
    assert commit(package) is None  # in a checkout, but not of it
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    clean = commit(package)
    assert len(clean["hash"]) == 40
    assert not clean["dirty"]
    (tmp_path / "new.py").write_text("")
    assert commit(package) == {"hash": clean["hash"], "dirty": True}


def test_hardware_is_named():
    found = hardware()
    assert found["cpu"]
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 2**28
    assert len(found["devices"]) == 2  # of tests/conftest.py


def test_command_line_is_quoted_and_without_the_path():
    assert command_line(["/usr/bin/cnnjax", "compare", "a:b=(1, 2)"]) == (
        "cnnjax compare 'a:b=(1, 2)'"
    )
    assert command_line(["experiments/x.py", "--out", "o"]) == "python experiments/x.py --out o"
