"""Loaded from source by the launchers for Rust: tests that must fail, laid into the packages under test.

One that was built and has tripped is kept in the build folder and runs again in later runs, as long as all that its
build depends on is the same: it uses nothing of the package, so an edit of the product's sources changes nothing about
it. What is kept lies in the run's own layer of the build folder, and is found by others only when its tree has landed.
"""

import hashlib
import json
import os
import random
import shutil
from pathlib import Path

_MOST_FRESH = 2
_MOST_KEPT = 8
_MOST_KEYS = 4
_RUN_AT_ONCE = 3
_FRESH_ANYWAY = 8
"""One run in so many lays a fresh one although none is missing: what the key does not know of is found by that."""
_SHAPES = (
    "#[test]\nfn {test}() {{\n    assert_eq!(std::hint::black_box({a}), {b});\n}}\n",
    "#[test]\nfn {test}() {{\n    assert!(std::hint::black_box({a}) > {b});\n}}\n",
    '#[test]\nfn {test}() {{\n    if std::hint::black_box({a}) < {b} {{\n        panic!("{test}");\n    }}\n}}\n',
    "#[test]\nfn {test}() -> Result<(), u64> {{\n    Err(std::hint::black_box({b} - {a}))\n}}\n",
)
_OF_ONE_RUN = (
    "HOME",
    "USERPROFILE",
    "TMPDIR",
    "TMP",
    "TEMP",
    "SWARM_RUN",
    "CARGO_BUILD_JOBS",
    "PWD",
    "OLDPWD",
    "SHLVL",
)
_UNKNOWN = ("RUST", "CARGO_ENCODED", "CARGO_BUILD_", "CARGO_PROFILE_", "LD_", "DYLD_", "CC", "LIBRARY_PATH")
"""Variables that begin so may name files that have a say in the build."""
_TOOLS = ("rustc", "cc", "gcc", "clang", "ld", "link.exe")
_PICK = random.SystemRandom()


class Tripwires:
    """Lays an integration test that must fail, of random name and shape, into some selected packages; leaving the
    block takes the files away again. `laid`: into how many. known: what is kept, or None.

    A package gets none that looks for its tests nowhere (`autotests = false`). Each costs the compiler's start and a
    link, so it is two packages at most, other ones every time.
    """

    def __init__(self, found, manifest, known=None):
        self.name, self.test = f"swarm_{os.urandom(6).hex()}", f"t{os.urandom(4).hex()}"
        able = [package for package in found.selected if _finds_tests(package, found, manifest)]
        chosen = _PICK.sample(able, min(len(able), _MOST_FRESH)) if known is None else known.missing(able)
        low = _PICK.randrange(1, 1000)
        self._text = _PICK.choice(_SHAPES).format(test=self.test, a=low, b=low + _PICK.randrange(1, 1000))
        self._folders = [found.folder(package) / "tests" for package in chosen]
        self._files, self._made = [], []

    @property
    def laid(self):
        return len(self._files)

    def __enter__(self):
        try:
            for folder in self._folders:
                if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                    continue
                if not folder.exists():
                    folder.mkdir()
                    self._made.append(folder)
                file = folder / f"{self.name}.rs"
                with file.open("x", encoding="utf-8", newline="\n") as opened:
                    self._files.append(file)
                    opened.write(self._text)
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for file in self._files:
            file.unlink(missing_ok=True)
        for folder in self._made:
            try:
                folder.rmdir()
            except OSError:
                pass  # somebody has put something there

    def clean(self, programs):
        """Take what was built of them out of the build folder, which may be kept warm for a long time."""
        if not self._files:
            return
        for profile in {path.parent.parent for path in programs}:
            for file in [*profile.glob(f"deps/{self.name}*"), *profile.glob(f"deps/lib{self.name}*")]:
                file.unlink(missing_ok=True)
            for folder in profile.glob(f"incremental/{self.name}*"):
                shutil.rmtree(folder, ignore_errors=True)
            for mark in profile.glob(f".fingerprint/*/test-integration-test-{self.name}"):
                shutil.rmtree(mark.parent, ignore_errors=True)


class Kept:
    """Tripwires of earlier runs with the same key: a program and a note for each of some packages, by its name."""

    def __init__(self, folder):
        self._folder = folder
        self._found = {}
        for note in folder.glob("*.json"):
            try:
                said = json.loads(note.read_text(encoding="utf-8"))
                program = folder / said["file"]
                if program.parent == folder and program.stat().st_size == said["size"]:
                    self._found[str(said["package"])] = (program, str(said["test"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue

    def missing(self, able):
        """The packages into which fresh ones are to be laid."""
        unknown = [package for package in able if package["name"] not in self._found]
        if unknown and len(self._found) < _MOST_KEPT:
            return _PICK.sample(unknown, min(len(unknown), _MOST_FRESH))
        return _PICK.sample(able, 1) if able and _PICK.randrange(_FRESH_ANYWAY) == 0 else []

    def some(self, packages, laid):
        """(package, program, test) of some that are kept, where none was laid."""
        ready = [package for package in packages if package["name"] in self._found]
        chosen = [] if laid else _PICK.sample(ready, min(len(ready), _RUN_AT_ONCE))
        return [(package, *self._found[package["name"]]) for package in chosen]

    def keep(self, package, program, test):
        """This one has tripped. The program is linked, not copied; the note comes last."""
        name = hashlib.sha256(package.encode("utf-8")).hexdigest()[:16]
        place = self._folder / f"{name}-{program.name}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for old in self._folder.glob(f"{name}*"):
                old.unlink(missing_ok=True)
            os.link(program, place)
            note = {"package": package, "file": place.name, "size": place.stat().st_size, "test": test}
            (self._folder / f"{name}.json").write_text(json.dumps(note), encoding="utf-8")
            others = [each for each in self._folder.parent.iterdir() if each != self._folder]
            for old in sorted(others, key=lambda each: each.stat().st_mtime)[: -_MOST_KEYS or None]:
                shutil.rmtree(old, ignore_errors=True)
        except OSError:
            return  # the next run makes a fresh one

    def drop(self):
        """One of them did not trip: all of them are made afresh."""
        shutil.rmtree(self._folder, ignore_errors=True)


def kept(found, plan, env):
    """What is kept under the key of this build; None where a key cannot name all that such a test depends on.

    It can where no configuration of cargo's is about and the build folder is none of the tree's.
    """
    tree = found.tree.resolve()
    home = env.get("CARGO_HOME") or os.path.join(env.get("HOME") or env.get("USERPROFILE") or "/", ".cargo")  # noqa: PTH118
    places = [*(folder / ".cargo" for folder in (tree, *tree.parents)), Path(home)]
    if any((place / name).exists() for place in places for name in ("config", "config.toml")):
        return None
    if found.target.resolve().is_relative_to(tree) or {"--config", "--target"} & set(plan["build"]):
        return None
    names = sorted(set(env) - set(_OF_ONE_RUN))
    if any(name.startswith(_UNKNOWN) or name.endswith(("_LINKER", "_RUSTFLAGS", "_RUNNER")) for name in names):
        return None
    path = env.get("PATH", "").split(os.pathsep)
    if any(not Path(part).is_absolute() or Path(part).resolve().is_relative_to(tree) for part in path if part):
        return None
    seen = hashlib.sha256(repr((plan["program"], plan["build"])).encode("utf-8", "surrogatepass"))
    seen.update(repr([(name, env[name]) for name in names]).encode("utf-8", "replace"))
    for tool in (plan["program"], *filter(None, (shutil.which(tool, path=env.get("PATH")) for tool in _TOOLS))):
        state = Path(tool).stat()
        seen.update(repr((tool, os.path.realpath(tool), state.st_size, state.st_mtime_ns)).encode("utf-8", "replace"))
    scripts = [target["src_path"] for package in found.members for target in package["targets"] if _is_script(target)]
    manifests = [package["manifest_path"] for package in found.members]
    own = [found.root / name for name in ("Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml")]
    for file in [*own, *sorted(manifests), *sorted(scripts)]:
        seen.update(f"\0{file}\0{_digest(file)}".encode("utf-8", "replace"))
    return Kept(found.target / ".swarm-tripwires" / seen.hexdigest()[:32])


def _is_script(target):
    return "custom-build" in target["kind"]


def _digest(file):
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""


def _finds_tests(package, found, manifest):
    """Whether cargo takes any file in the package's `tests` folder as a test, and the package lies in the tree."""
    kinds = ("lib", "bin", "test", "example", "bench")
    said = manifest(package, "autotests", *(kinds if package.get("edition", "2015") == "2015" else ()))
    settings = said.get("package") or {}
    old = package.get("edition", "2015") == "2015" and any(said.get(kind) for kind in kinds)
    finds = settings.get("autotests", not old) is not False
    return bool(finds) and found.folder(package).resolve().is_relative_to(found.tree.resolve())
