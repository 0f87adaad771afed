"""Which code is running, uncommitted work included, kept in git where no branch or log shows it.

The state becomes a commit on top of HEAD under the hidden ref `refs/accel/runs/<commit>`; look at
it with `git show <ref>`, get it back with `git worktree add <folder> <ref>`. It is put together in
a copy of the index, so the user's index, files and branches stay as they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

# In the top folder of a copy without .git: what `git describe --always --dirty` says of the
# checkout, the hash in full. Looked for only where git knows nothing of the folder.
CODE_ID = ".code_id"
_TIMEOUT_S = 30  # for each git command
_MAX_UNTRACKED_BYTES = 10_000_000  # a forgotten data set must not be copied into the repository
_MAX_LISTED = 50
_REDIRECTIONS = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)


class _GitError(Exception):
    """A git command failed; the text is git's own."""


def record_code_state(directory: str | Path) -> dict[str, Any]:
    """Keep the state of the git checkout around `directory` and say where.

    Returns {"available": True, "commit", "head", "dirty", "ref", "changed", "left_out"}: `commit`
    has exactly the files as they are now, `head` is None before the first commit, `changed` names
    files that differ from HEAD, `left_out` untracked ones too large to keep. Without git or a
    checkout, or where git cannot write: {"available": False, "reason"}, and "head" if there is one,
    which a copy of a checkout may have brought along (see `CODE_ID`). Ignored files are never part
    of it. Equal states get equal refs.
    """
    if shutil.which("git") is None:
        return {"available": False, "reason": "git is not installed"} | _carried_id(directory)
    head = None
    directory = Path(directory)
    try:
        git = _Git(directory)
        if git.is_ignored(directory):
            reason = f"{directory} is ignored by the git checkout {git.root}"
            return {"available": False, "reason": reason} | _carried_id(directory)
        head = git.resolve("HEAD^{commit}")
        with tempfile.TemporaryDirectory(prefix="accel-index-") as scratch:
            return _record(git, head, Path(scratch) / "index")
    except (_GitError, OSError) as error:  # a run must not fail for want of its code's history
        state = {"available": False, "reason": str(error), "head": head}
        return state if head else state | _carried_id(directory)


def _carried_id(directory: Path) -> dict[str, Any]:
    """What `CODE_ID` in the folder or the next one above it says; empty without one.

    Beside a .git it may be of another day and does not count.
    """
    top = Path(directory).resolve()
    found = (path for path in (top, *top.parents) if (path / CODE_ID).is_file())
    folder = next(found, None)
    if folder is None or (folder / ".git").exists():
        return {}
    try:
        head, _, changes = (folder / CODE_ID).read_text(encoding="utf-8").strip().partition("-")
    except (OSError, ValueError):
        return {}
    commit = None if changes else head  # with changes these files are no commit's
    return {"head": head, "dirty": bool(changes), "commit": commit, "from": CODE_ID}


def _record(git: _Git, head: str | None, index: Path) -> dict[str, Any]:
    left_out = _fill_index(git, index)
    tree = git.run("write-tree", index=index)
    head_tree = git.resolve("HEAD^{tree}")
    dirty = tree != head_tree
    commit = _commit(git, tree, head) if dirty else head
    ref = f"refs/accel/runs/{commit}"
    git.run("update-ref", ref, commit)  # for a clean state too: a later rebase may drop the commit
    changed = git.run("diff-tree", "-r", "-z", "--name-only", head_tree or git.empty_tree(), tree)
    return {
        "available": True,
        "commit": commit,
        "head": head,
        "dirty": dirty,
        "ref": ref,
        "changed": changed.split("\0")[:-1][:_MAX_LISTED],
        "left_out": left_out[:_MAX_LISTED],
    }


def _fill_index(git: _Git, index: Path) -> list[str]:
    """Bring `index` to the state of the work tree; return the untracked paths left out."""
    users_index = git.root / git.run("rev-parse", "--git-path", "index")
    if users_index.exists():  # a copy knows which files are unchanged, and holds force-added ones
        shutil.copyfile(users_index, index)
    git.run("add", "--update", index=index)
    listing = git.run("ls-files", "--others", "--exclude-standard", "-z", index=index)
    untracked = listing.split("\0")[:-1]
    kept = [name for name in untracked if _is_small_file(git.root / name)]
    names = "".join(f"{name}\0" for name in kept)
    git.run("update-index", "--add", "-z", "--stdin", index=index, text_in=names)
    return sorted(set(untracked) - set(kept))


def _is_small_file(path: Path) -> bool:
    if path.is_symlink():
        return True
    return path.is_file() and path.stat().st_size <= _MAX_UNTRACKED_BYTES


def _commit(git: _Git, tree: str, head: str | None) -> str:
    """A commit that depends on `tree` and `head` alone, so that equal states are one commit."""
    seconds = git.run("show", "--no-patch", "--format=%ct", head) if head else "0"
    identity = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (
            ("NAME", "accel"),
            ("EMAIL", "accel@localhost"),
            ("DATE", f"@{seconds} +0000"),
        )
    }
    parent = ("-p", head) if head else ()
    return git.run("commit-tree", tree, *parent, "-m", "Code state of a run", extra_env=identity)


class _Git:
    """Runs git in the checkout around a directory, whatever git settings the caller's shell has."""

    def __init__(self, directory: Path) -> None:
        self._env = {key: value for key, value in os.environ.items() if key not in _REDIRECTIONS}
        # Optional locks would let a mere status refresh the user's index.
        self._env.update(GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0", LC_ALL="C")
        self.root = directory
        self.root = Path(self.run("rev-parse", "--show-toplevel"))

    def run(
        self,
        *arguments: str,
        index: Path | None = None,
        text_in: str = "",
        extra_env: dict[str, str] | None = None,
    ) -> str:
        """Git's output without the final newline. Raises _GitError."""
        env = self._env | (extra_env or {})
        if index is not None:
            env["GIT_INDEX_FILE"] = str(index)
        try:
            done = subprocess.run(
                ["git", "-c", "core.fsmonitor=false", *arguments],
                cwd=self.root,
                env=env,
                input=os.fsencode(text_in),
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            message = os.fsdecode(error.stderr).strip().removeprefix("fatal: ")
            raise _GitError(f"git {arguments[0]}: {message or error}") from error
        except subprocess.TimeoutExpired as error:
            raise _GitError(f"git {arguments[0]}: no answer in {_TIMEOUT_S} s") from error
        return os.fsdecode(done.stdout).removesuffix("\n")

    def resolve(self, name: str) -> str | None:
        """The object that `name` stands for, None without one."""
        try:
            return self.run("rev-parse", "--verify", "--quiet", name)
        except _GitError:
            return None

    def is_ignored(self, path: Path) -> bool:
        try:
            self.run("check-ignore", "--quiet", str(path.resolve()))
        except _GitError:
            return False
        return True

    def empty_tree(self) -> str:
        return self.run("hash-object", "-t", "tree", "-w", "--stdin")
