"""``repair`` mends what is damaged where another copy exists, and names the rest with the one thing to do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.repairs import Finding, repair
from lake_assets.lake.errors import DataCorrupted, LakeUnavailable
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put, read
from lake_assets_tests.lake.damage import DAMAGES, FILES, git_object, object_of, overwrite, published


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def lake(home: Path) -> Iterator[GitLake]:
    lake = published(home)
    yield lake
    lake.close()


@pytest.fixture
def backup(lake: GitLake, tmp_path: Path) -> Path:
    shutil.copytree(lake.repository, tmp_path / "backup", symlinks=True)
    return tmp_path / "backup"


def repaired(home: Path, backup: Path | None = None) -> list[Finding]:
    """Repair a lake, and check that a second repair finds nothing that it could mend, and that Git agrees."""
    found = list(repair(home, backup))
    assert [finding for finding in repair(home, backup) if finding.mended] == []
    if all(finding.mended for finding in found):
        subprocess.run(
            ["git", "-C", str(home / "lake.git"), "fsck", "--strict", "--no-reflogs"], check=True, capture_output=True
        )
    return found


def test_a_sound_lake_is_left_alone(lake: GitLake, home: Path) -> None:
    before = {path: path.lstat().st_mtime_ns for path in home.rglob("*") if path.is_file()}
    lake.collect_garbage(timedelta(0))
    put(lake, "work", "words", {"x": "1"})
    assert repaired(home) == []
    assert {path for path in before if path.is_file()} <= set(home.rglob("*"))


@pytest.mark.parametrize("how", DAMAGES)
def test_data_come_back_from_a_backup(lake: GitLake, home: Path, backup: Path, how: str) -> None:
    DAMAGES[how](object_of(lake, "main", "stocks/a"))
    (found,) = repaired(home, backup)
    assert found.what.startswith(("main:stocks/a: object", "work:stocks/a: object"))
    assert found.mended == "restored from the backup"
    assert read(GitLake(home), "main", "stocks") == FILES


def test_data_come_back_from_a_snapshot_that_has_another_inode(lake: GitLake, home: Path) -> None:
    root = lake.path("main", "stocks").root
    object_of(lake, "main", "stocks/a").unlink()
    (found,) = repaired(home)
    assert f"restored from {Path(root, 'a').relative_to(home)}" == found.mended
    assert list(GitLake(home).verify("main")) == []


def test_a_snapshot_that_shares_the_damaged_bytes_is_no_copy(lake: GitLake, home: Path) -> None:
    lake.path("main", "stocks")
    DAMAGES["flipped"](object_of(lake, "main", "stocks/a"))
    (found,) = repaired(home)
    assert not found.mended
    assert "publish it again from its source" in found.remedy
    for ref in ("main", "work"):
        with pytest.raises(DataCorrupted, match="stocks/a"):
            read(lake, ref, "stocks")
    put(lake, "work", "again", {"x": "11"})
    assert repaired(home) == []
    assert read(lake, "main", "stocks") == FILES


def test_a_damaged_backup_is_no_copy(lake: GitLake, home: Path, backup: Path) -> None:
    for place in (home, backup):
        DAMAGES["flipped"](object_of(GitLake(place), "main", "stocks/a"))
    (found,) = repaired(home, backup)
    assert not found.mended


def test_expired_data_are_not_damage(lake: GitLake, home: Path) -> None:
    put(lake, "work", "stocks", {"a": "33"})
    lake.merge("work", "main", audit=TESTS)
    lake.expire(datetime.now(timezone.utc) + timedelta(seconds=5), yes=True)
    assert repaired(home) == []


@pytest.mark.parametrize("how", DAMAGES)
def test_a_pointer_is_made_anew_from_its_data(lake: GitLake, home: Path, how: str) -> None:
    DAMAGES[how](git_object(lake, lake.fingerprint("main", "stocks/a") or ""))
    (found,) = repaired(home)
    assert found.mended == "made anew from its data"
    assert read(GitLake(home), "main", "stocks") == FILES


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["head", "folder", "root", "history"])
def test_git_objects_come_back_from_a_backup(lake: GitLake, home: Path, backup: Path, kind: str, packed: bool) -> None:
    head = lake.head("main")
    name = {
        "head": head.id,
        "folder": lake.fingerprint("main", "stocks"),
        "root": lake.fingerprint("main", ""),
        "history": head.parents[1],
    }[kind]
    assert name is not None
    if packed:
        GitLake(backup).collect_garbage(timedelta(0))
    DAMAGES["emptied"](git_object(lake, name))
    without = [finding for finding in repair(home) if not finding.mended]
    assert without
    assert all(name in finding.what and "--from BACKUP" in finding.remedy for finding in without)
    found = repaired(home, backup)
    assert GitLake(home).head("main") == head
    assert read(GitLake(home), "main", "stocks") == FILES
    assert len(list(GitLake(home).log("main"))) == 3
    assert all(finding.mended for finding in found)


def test_what_has_no_copy_is_named_by_path(lake: GitLake, home: Path) -> None:
    name = lake.fingerprint("main", "stocks")
    assert name is not None
    DAMAGES["emptied"](git_object(lake, name))
    (found,) = repaired(home)
    assert found.what in (f"Git object {name} ({ref}:stocks) is lost" for ref in ("main", "work"))
    assert "write the same data again" in found.remedy


def test_a_damaged_object_that_a_pack_has_too_goes(lake: GitLake, home: Path) -> None:
    name = lake.head("main").id
    loose = git_object(lake, name)
    kept = loose.read_bytes()
    lake.collect_garbage(timedelta(0))
    loose.parent.mkdir(exist_ok=True)
    loose.write_bytes(kept[:-3])
    (found,) = repaired(home)
    assert found.mended == "a pack has it, too"


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("file", ["pack", "idx"])
def test_packs_come_back(lake: GitLake, home: Path, backup: Path, file: str, how: str) -> None:
    lake.collect_garbage(timedelta(0))
    (path,) = (home / "lake.git" / "objects" / "pack").glob(f"*.{file}")
    DAMAGES[how](path)
    found = repaired(home, backup)
    assert found
    assert all(finding.mended for finding in found), found
    assert read(GitLake(home), "main", "stocks") == FILES


def test_what_can_be_read_of_a_damaged_pack_is_saved(lake: GitLake, home: Path) -> None:
    lake.collect_garbage(timedelta(0))
    (pack,) = (home / "lake.git" / "objects" / "pack").glob("*.pack")
    data = pack.read_bytes()
    overwrite(pack, data[:-24] + bytes(4) + data[-20:])
    found = repaired(home)
    assert "9 of its 10 object(s) were saved" in str(found[0])


# Refs


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, content) for name in ("main", "work") for content in (b"", b"garbage\n", b"1" * 40 + b"\n")]
    + [("main", None)],
)
def test_a_branch_comes_back_from_its_reflog(lake: GitLake, home: Path, name: str, content: bytes | None) -> None:
    head = lake.head(name)
    path = home / "lake.git" / "refs" / "heads" / name
    path.unlink() if content is None else path.write_bytes(content)
    (found,) = repaired(home)
    assert found.mended.startswith(f"it is at {head.id} again, where its reflog saw it at ")
    assert GitLake(home).head(name) == head


def test_main_goes_no_further_back_by_itself(lake: GitLake, home: Path) -> None:
    head = lake.head("main")
    DAMAGES["emptied"](git_object(lake, head.id))
    found = [finding for finding in repaired(home) if finding.what.endswith("of lake.git/refs/heads/main is lost")]
    (command,) = (part for part in found[0].remedy.split("`") if part.startswith("git"))
    subprocess.run(command.split(), cwd=home, check=True)
    assert GitLake(home).head("main").id == head.parents[0]
    assert repaired(home) == []


def test_a_torn_reflog_serves_all_the_same(lake: GitLake, home: Path) -> None:
    head = lake.head("main")
    log = home / "lake.git" / "logs" / "refs" / "heads" / "main"
    log.write_bytes(log.read_bytes() + b"\0\xff" * 40)
    (home / "lake.git" / "refs" / "heads" / "main").write_bytes(b"")
    repaired(home)
    assert GitLake(home).head("main") == head


def test_main_comes_back_without_a_reflog(lake: GitLake, home: Path) -> None:
    put(lake, "work", "words", {"x": "1"})
    head = lake.merge("work", "main", audit=TESTS)
    put(lake, "work", "words", {"x": "2"})
    shutil.rmtree(home / "lake.git" / "logs")
    (home / "lake.git" / "refs" / "heads" / "main").write_bytes(b"")
    (found,) = repaired(home)
    assert "newest commit with an audit" in found.mended
    assert GitLake(home).head("main") == head


def test_main_does_not_come_back_as_a_working_branch(lake: GitLake, home: Path) -> None:
    put(lake, "work", "words", {"x": "1"})
    head = lake.merge("work", "main", audit=TESTS)
    lake.create_branch("dev", "main", protected=True)
    put(lake, "work", "words", {"x": "2"})
    lake.merge("work", "dev", metadata={"branch": "dev"}, audit=TESTS)
    shutil.rmtree(home / "lake.git" / "logs")
    (home / "lake.git" / "refs" / "heads" / "main").write_bytes(b"")
    repaired(home)
    assert GitLake(home).head("main") == head


def test_main_comes_back_from_a_backup(lake: GitLake, home: Path, backup: Path) -> None:
    head = lake.head("main")
    shutil.rmtree(home / "lake.git" / "logs")
    shutil.rmtree(home / "lake.git" / "objects")
    (home / "lake.git" / "refs" / "heads" / "main").write_bytes(b"")
    found = repaired(home, backup)
    assert all(finding.mended for finding in found)
    assert GitLake(home).head("main") == head
    assert read(GitLake(home), "main", "stocks") == FILES


def test_a_branch_that_nothing_tells_of_is_named(lake: GitLake, home: Path) -> None:
    (home / "lake.git" / "logs" / "refs" / "heads" / "work").unlink()
    (home / "lake.git" / "refs" / "heads" / "work").write_bytes(b"")
    (found,) = repaired(home)
    assert not found.mended
    assert "delete the file lake.git/refs/heads/work" in found.remedy
    (home / "lake.git" / "refs" / "heads" / "work").unlink()
    assert repaired(home) == []


@pytest.mark.parametrize("content", [b"", b"\xff\x00[[garbage\n", None])
@pytest.mark.parametrize("name", ["HEAD", "config", "packed-refs"])
def test_gits_small_files_are_mended(lake: GitLake, home: Path, name: str, content: bytes | None) -> None:
    head = lake.head("main")
    if name == "packed-refs":
        subprocess.run(["git", "-C", str(home / "lake.git"), "pack-refs", "--all"], check=True)
    path = home / "lake.git" / name
    path.unlink() if content is None else path.write_bytes(content)
    found = repaired(home)
    assert all(finding.mended for finding in found)
    fresh = GitLake(home)
    assert fresh.head("main") == head
    assert read(fresh, "main", "stocks") == FILES


@pytest.mark.parametrize("name", ["objects", "refs", "refs/heads", "lfs", "lfs/objects"])
def test_folders_come_back_with_a_backup(lake: GitLake, home: Path, backup: Path, name: str) -> None:
    shutil.rmtree(home / "lake.git" / name)
    assert all(finding.mended for finding in repaired(home, backup))
    assert read(GitLake(home), "main", "stocks") == FILES


def test_where_there_is_no_lake_nothing_is_made(tmp_path: Path, lake: GitLake, home: Path) -> None:
    with pytest.raises(LakeUnavailable, match="there is no lake"):
        list(repair(tmp_path / "nowhere"))
    with pytest.raises(LakeUnavailable, match="there is no lake"):
        list(repair(home, tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


# Refs that only a backup, or only a reflog, knows


def lose_packed_refs(home: Path) -> None:
    """Pack all refs, and damage the file, as a power loss may."""
    subprocess.run(["git", "-C", str(home / "lake.git"), "pack-refs", "--all"], check=True)
    (home / "lake.git" / "packed-refs").write_bytes(b"\0" * 200)


def refs(home: Path) -> dict[str, str]:
    answer = subprocess.run(
        ["git", "-C", str(home / "lake.git"), "for-each-ref", "--format=%(refname) %(objectname)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return dict(line.split() for line in answer.splitlines())


@pytest.fixture
def branched(lake: GitLake) -> GitLake:
    """A lake with a working branch that was published to, a tag, and a run that waits."""
    lake.create_branch("dev", "main", protected=True)
    put(lake, "work", "words", {"x": "2"})
    lake.merge("work", "dev", metadata={"branch": "dev"}, audit=TESTS)
    lake.tag("v1", "main")
    lake.create_branch("run-waiting", "dev")
    put(lake, "run-waiting", "words", {"x": "3"})
    return lake


@pytest.mark.parametrize("whole", [False, True], ids=["packed-refs", "all of refs/, reflogs too"])
def test_all_refs_come_back_with_a_backup(branched: GitLake, home: Path, tmp_path: Path, whole: bool) -> None:
    branched.backup(tmp_path / "copy")
    before = refs(home)
    lose_packed_refs(home)
    if whole:
        shutil.rmtree(home / "lake.git" / "refs")
        shutil.rmtree(home / "lake.git" / "logs")
    assert all(finding.mended for finding in repaired(home, tmp_path / "copy"))
    # Without a reflog nobody can tell whether the run's branch was published since.
    expected = before if not whole else {name: before[name] for name in before if "run-" not in name}
    assert refs(home) == expected | ({"refs/heads/work": before["refs/heads/work"]} if whole else {})
    assert GitLake(home).protected_branches() == ("dev", "main")


def test_branches_of_a_lost_file_come_back_from_their_reflogs(branched: GitLake, home: Path) -> None:
    before = {name: commit for name, commit in refs(home).items() if name.startswith("refs/heads/")}
    lose_packed_refs(home)
    assert all(finding.mended for finding in repaired(home))
    assert refs(home) == before


def test_what_was_deleted_on_purpose_does_not_come_back(branched: GitLake, home: Path, tmp_path: Path) -> None:
    branched.backup(tmp_path / "copy")
    branched.merge("run-waiting", "dev", metadata={"branch": "dev"}, audit=TESTS)
    for name in ("run-waiting", "dev", "work"):
        branched.delete_branch(name)
    assert repaired(home, tmp_path / "copy") == []
    assert set(refs(home)) == {"refs/heads/main", "refs/tags/v1"}


def test_data_of_a_branch_that_only_a_backup_has_come_back(branched: GitLake, home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "copy", symlinks=True)
    expected = read(branched, "dev", "words")
    object_of(branched, "main", "stocks/a").unlink()
    lose_packed_refs(home)
    for path in (home / "lake.git" / "logs" / "refs" / "heads").iterdir():
        path.unlink()
    assert all(finding.mended for finding in repaired(home, tmp_path / "copy"))
    assert read(GitLake(home), "dev", "words") == expected
    assert list(GitLake(home).verify("main")) == []


def test_main_says_what_it_may_lack_where_its_reflog_was_cut(lake: GitLake, home: Path) -> None:
    before = lake.head("main").id
    put(lake, "work", "words", {"x": "1"})
    head = lake.merge("work", "main", audit=TESTS)
    log = home / "lake.git" / "logs" / "refs" / "heads" / "main"
    log.write_bytes(log.read_bytes()[:-30])
    (home / "lake.git" / "refs" / "heads" / "main").write_bytes(b"")
    (found,) = repaired(home)
    assert f"it is at {before} again" in found.mended
    assert "may lack what came later" in found.mended
    (command,) = (part for part in found.mended.split("`") if part.startswith("git"))
    subprocess.run(command.split(), cwd=home, check=True)
    assert GitLake(home).head("main") == head


def test_main_comes_from_a_backup_that_is_newer_than_a_cut_reflog(lake: GitLake, home: Path, tmp_path: Path) -> None:
    put(lake, "work", "words", {"x": "1"})
    head = lake.merge("work", "main", audit=TESTS)
    lake.backup(tmp_path / "copy")
    log = home / "lake.git" / "logs" / "refs" / "heads" / "main"
    log.write_bytes(log.read_bytes()[:-30])
    (home / "lake.git" / "refs" / "heads" / "main").write_bytes(b"")
    repaired(home, tmp_path / "copy")
    assert GitLake(home).head("main") == head


# Symbolic refs


@pytest.mark.parametrize("target", ["refs/heads/odd", "refs/heads/even"])
def test_a_symbolic_ref_that_leads_to_itself_has_a_remedy(lake: GitLake, home: Path, target: str) -> None:
    heads = home / "lake.git" / "refs" / "heads"
    (heads / "odd").write_text(f"ref: {target}\n")
    (heads / "even").write_text("ref: refs/heads/odd\n")
    found = repaired(home)
    assert {finding.what.split()[0] for finding in found} == {"lake.git/refs/heads/odd", "lake.git/refs/heads/even"}
    for finding in found:
        (name,) = (word for word in finding.remedy.split() if word.startswith("lake.git/refs/"))
        (home / name).unlink()
    assert repaired(home) == []


@pytest.mark.parametrize("target", ["main", "work", "nowhere"])
def test_a_main_that_refers_to_a_branch_is_put_back(lake: GitLake, home: Path, target: str) -> None:
    head = lake.head("main")
    (home / "lake.git" / "refs" / "heads" / "main").write_text(f"ref: refs/heads/{target}\n")
    (found,) = repaired(home)
    assert found.mended.startswith(f"it is at {head.id} again")
    put(GitLake(home), "work", "words", {"x": "1"})
    assert GitLake(home).head("main") == head


def test_a_sound_symbolic_ref_of_somebody_else_is_left_alone(lake: GitLake, home: Path) -> None:
    (home / "lake.git" / "refs" / "heads" / "latest").write_text("ref: refs/heads/main\n")
    assert repaired(home) == []
