import hashlib
import subprocess
from pathlib import Path

import pytest

from accel.runs import code_state
from accel.runs.code_state import record_code_state


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No user name, mail or settings: as in a fresh container."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def _git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=repository, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _make_repository(path: Path, *, commit: bool = True) -> Path:
    path.mkdir()
    _git(path, "init", "--quiet")
    (path / ".gitignore").write_text("ignored/\n*.log\n")
    (path / "train.py").write_text("print(1)\n")
    (path / "gone.py").write_text("print('gone')\n")
    if commit:
        _git(path, "add", ".")
        _git(path, "commit", "--quiet", "-m", "first")
    return path


def _make_dirty(repository: Path) -> None:
    (repository / "train.py").write_text("print(2)\n")  # unstaged
    (repository / "staged.py").write_text("print(3)\n")
    _git(repository, "add", "staged.py")
    (repository / "staged.py").write_text("print(4)\n")  # changed again after staging
    (repository / "gone.py").unlink()
    (repository / "new dir").mkdir()
    (repository / "new dir" / "ünïcode\n.py").write_text("print(5)\n")  # untracked
    (repository / "ignored").mkdir()
    (repository / "ignored" / "data").write_text("x")
    (repository / "out.log").write_text("x")
    (repository / "forced.log").write_text("x")
    _git(repository, "add", "--force", "forced.log")


def _fingerprint(repository: Path) -> dict[str, str]:
    """Everything of the user's that must not change: work tree, index, branches, HEAD, settings."""
    private = ("objects", "refs/accel")
    prints = {}
    for path in sorted(repository.rglob("*")):
        name = str(path.relative_to(repository))
        if not path.is_file() or name.startswith(tuple(f".git/{part}" for part in private)):
            continue
        stat = path.stat()
        prints[name] = f"{hashlib.sha256(path.read_bytes()).hexdigest()} {stat.st_mtime_ns}"
    return prints


def test_uncommitted_and_untracked_work_is_kept_without_touching_anything(tmp_path: Path) -> None:
    repository = _make_repository(tmp_path / "repository")
    _make_dirty(repository)
    before = _fingerprint(repository)
    state = record_code_state(repository)
    assert _fingerprint(repository) == before
    assert state["available"] and state["dirty"] and state["left_out"] == []
    assert state["head"] == _git(repository, "rev-parse", "HEAD") != state["commit"]
    assert state["ref"] == f"refs/accel/runs/{state['commit']}"
    assert _git(repository, "rev-parse", state["ref"]) == state["commit"]
    assert _git(repository, "rev-parse", f"{state['ref']}^") == state["head"]
    names = _git(repository, "ls-tree", "-r", "-z", "--name-only", state["ref"]).split("\0")[:-1]
    assert sorted(names) == [
        ".gitignore",
        "forced.log",
        "new dir/ünïcode\n.py",
        "staged.py",
        "train.py",
    ]
    assert _git(repository, "show", f"{state['ref']}:train.py") == "print(2)"
    assert _git(repository, "show", f"{state['ref']}:staged.py") == "print(4)"
    assert "gone.py" in state["changed"] and "new dir/ünïcode\n.py" in state["changed"]


def test_the_state_can_be_checked_out_again(tmp_path: Path) -> None:
    repository = _make_repository(tmp_path / "repository")
    _make_dirty(repository)
    state = record_code_state(repository)
    _git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "back"), state["ref"])
    assert (tmp_path / "back" / "train.py").read_text() == "print(2)\n"
    assert not (tmp_path / "back" / "gone.py").exists()


def test_the_same_state_is_one_ref_and_another_state_another(tmp_path: Path) -> None:
    repository = _make_repository(tmp_path / "repository")
    _make_dirty(repository)
    first = record_code_state(repository)
    assert record_code_state(repository / "new dir") == first
    (repository / "train.py").write_text("print(6)\n")
    second = record_code_state(repository)
    refs = _git(repository, "for-each-ref", "--format=%(refname)", "refs/accel").splitlines()
    assert sorted(refs) == sorted([first["ref"], second["ref"]])


def test_a_clean_state_is_head_itself_and_survives_an_amended_commit(tmp_path: Path) -> None:
    repository = _make_repository(tmp_path / "repository")
    state = record_code_state(repository)
    assert state["commit"] == state["head"] and not state["dirty"] and state["changed"] == []
    _git(repository, "commit", "--quiet", "--amend", "-m", "second thoughts")
    _git(repository, "reflog", "expire", "--expire=now", "--all")
    _git(repository, "gc", "--quiet", "--prune=now")
    assert _git(repository, "cat-file", "-t", state["commit"]) == "commit"


def test_a_repository_without_commits(tmp_path: Path) -> None:
    repository = _make_repository(tmp_path / "repository", commit=False)
    state = record_code_state(repository)
    assert state["available"] and state["dirty"] and state["head"] is None
    assert _git(repository, "show", f"{state['ref']}:train.py") == "print(1)"
    assert sorted(state["changed"]) == [".gitignore", "gone.py", "train.py"]
    assert record_code_state(repository) == state


def test_large_untracked_files_and_nested_repositories_are_left_out_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_state, "_MAX_UNTRACKED_BYTES", 1000)
    repository = _make_repository(tmp_path / "repository")
    (repository / "data.bin").write_bytes(b"x" * 1001)
    (repository / "link").symlink_to("/nonexistent")
    _make_repository(repository / "nested")
    state = record_code_state(repository)
    assert state["left_out"] == ["data.bin", "nested/"]
    assert state["changed"] == ["link"]


def test_a_linked_worktree_and_a_hooks_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = _make_repository(tmp_path / "repository")
    other = _make_repository(tmp_path / "other")
    _git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    (tmp_path / "linked" / "train.py").write_text("print(7)\n")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    state = record_code_state(tmp_path / "linked")
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert _git(repository, "show", f"{state['ref']}:train.py") == "print(7)"


def test_no_checkout_no_git_and_ignored_installs_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "plain").mkdir()
    state = record_code_state(tmp_path / "plain")
    assert not state["available"] and "not a git repository" in state["reason"]
    assert not record_code_state(tmp_path / "missing")["available"]
    repository = _make_repository(tmp_path / "repository")
    (repository / "ignored").mkdir()
    state = record_code_state(repository / "ignored")
    assert not state["available"] and "ignored" in state["reason"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert record_code_state(repository) == {
        "available": False,
        "reason": "git is not installed",
    }


def test_a_repository_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    repository = _make_repository(tmp_path / "repository")
    (repository / ".git" / "refs" / "accel").write_text("in the way")
    state = record_code_state(repository)
    assert not state["available"] and "git update-ref: " in state["reason"]
    assert state["head"] == _git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ("abc123", {"head": "abc123", "dirty": False, "commit": "abc123"}),
        ("abc123-dirty", {"head": "abc123", "dirty": True, "commit": None}),
    ],
)
def test_a_copy_without_git_has_the_id_that_came_along(
    described: str, told: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    package = tmp_path / "copy" / "accel" / "runners"
    package.mkdir(parents=True)
    assert record_code_state(package)["head"] is None
    (tmp_path / "copy" / ".code_id").write_text(f"{described}\n")
    state = record_code_state(package)
    assert not state.pop("available") and "not a git repository" in state.pop("reason")
    assert state == told | {"from": ".code_id"}
    monkeypatch.setenv("PATH", str(tmp_path))  # without git itself
    assert record_code_state(package)["head"] == "abc123"


def test_where_git_is_its_word_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = _make_repository(tmp_path / "repository")
    (repository / ".code_id").write_text("abc123\n")
    state = record_code_state(repository)
    assert state["head"] == _git(repository, "rev-parse", "HEAD") and "from" not in state
    monkeypatch.setenv("PATH", str(tmp_path))
    assert record_code_state(repository) == {"available": False, "reason": "git is not installed"}
