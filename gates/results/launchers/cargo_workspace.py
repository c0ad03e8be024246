"""Loaded from source by the launchers for Rust: packages, and what a build made."""

import fnmatch
import json
import os
import sys
from pathlib import Path

KINDS = ("bin", "test", "example", "bench")


def read(plan, tree, env, complete):
    """What `cargo metadata` says; None when it says nothing. complete: as in `watcher`."""
    argv = [plan["program"], "metadata", "--no-deps", "--format-version", "1", *plan["shared"]]
    status, raw = complete(argv, tree, env)
    return Workspace(json.loads(raw), plan, tree) if status == 0 and raw is not None else None


class Workspace:
    """What `cargo metadata` says, and which packages a plan selects. Raises nothing for a strange manifest."""

    def __init__(self, metadata, plan, tree):
        self.tree = tree
        self.root = Path(metadata["workspace_root"])
        self.target = Path(metadata["target_directory"])
        self.packages = {package["id"]: package for package in metadata["packages"]}
        self.members = [self.packages[name] for name in metadata["workspace_members"] if name in self.packages]
        default = [
            self.packages[name] for name in metadata.get("workspace_default_members") or [] if name in self.packages
        ]
        self.selected = _selected(self.members, default or self.members, plan)

    def folder(self, package):
        return Path(package["manifest_path"]).parent

    def profiles(self):
        """The folders of the build profiles that were used, by name."""
        return [folder.parent.name for folder in self.target.glob("*/deps")]

    def has_documentation_tests(self):
        return any(target.get("doctest") for package in self.selected for target in package["targets"])

    def package_of(self, place):
        """The package that a file below the workspace's root belongs to; "workspace" when none."""
        path = self.root / place
        holders = [package for package in self.members if path.is_relative_to(self.folder(package))]
        nearest = max(holders, key=lambda package: len(self.folder(package).parts), default=None)
        return nearest["name"] if nearest else "workspace"


def _selected(members, default, plan):
    if plan["packages"]:
        return [
            package
            for package in members
            if any(fnmatch.fnmatchcase(package["name"], _name_of(spec)) for spec in plan["packages"])
        ]
    if plan["workspace"]:
        return [
            package
            for package in members
            if not any(fnmatch.fnmatchcase(package["name"], pattern) for pattern in plan["excluded"])
        ]
    return default


def _name_of(spec):
    """The name in a package spec such as `name@1.2`, `path+file:///…#name@1.2`."""
    spec = spec.rpartition("#")[2]
    return spec.partition("@")[0].partition(":")[0] if "/" not in spec else spec.rstrip("/").rpartition("/")[2]


def label(package, target):
    """`package::lib`, `package::test/name` and so on: the first part of a test's id."""
    kind = next((kind for kind in target["kind"] if kind in KINDS), "")
    return f"{package['name']}::{kind}/{target['name']}" if kind else f"{package['name']}::lib"


class Program:
    """A test program: `folder` and `env` as cargo would run it. harness: libtest's own main, not the package's."""

    def __init__(self, path, package_label, target, harness, folder, env):
        self.path, self.label, self.target, self.harness = path, package_label, target, harness
        self.folder, self.env = folder, env


class Build:
    """Reads cargo's messages. `broken`: labels of the targets with compile errors."""

    def __init__(self, found, env, say):
        self.broken, self.errors, self.warnings = set(), 0, 0
        self._found, self._env, self._say = found, env, say
        self._tests, self._bins, self._scripts = [], {}, {}

    def take(self, line):
        """One line of standard output. What is no message goes to the log."""
        try:
            message = json.loads(line)
            reason, package = message["reason"], self._found.packages.get(message.get("package_id"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._say(line.decode("utf-8", "backslashreplace"))
            return
        if reason == "compiler-message":
            self._take_diagnostic(message, package)
        elif reason == "build-script-executed":
            self._scripts[message["package_id"]] = message
        elif reason == "compiler-artifact" and message.get("executable") and package is not None:
            if message["profile"]["test"]:
                self._tests.append((package, message["target"], Path(message["executable"])))
            elif "bin" in message["target"]["kind"]:
                self._bins.setdefault(package["id"], {})[message["target"]["name"]] = message["executable"]

    def _take_diagnostic(self, message, package):
        said = message["message"]
        level = str(said.get("level", ""))
        self._say(str(said.get("rendered") or said.get("message", "")).rstrip("\n"))
        if level.startswith("error"):
            self.errors += 1
            name = str(message.get("package_id", "")).rpartition("/")[2]
            self.broken.add(label(package, message["target"]) if package is not None else name)
        elif level == "warning":
            self.warnings += 1

    def programs(self, cargo):
        """The test programs in the order in which cargo would run them."""
        found = [self.program(package, target, path, cargo) for package, target, path in self._tests]
        return sorted(found, key=lambda program: program.label)

    def program(self, package, target, path, cargo):
        """A test program of this build, as cargo would run it."""
        folder = self._found.folder(package)
        script = self._scripts.get(package["id"], {})
        env = {**self._env, **_package_variables(package)}
        env["CARGO"] = str(cargo)
        env.update({str(name): str(value) for name, value in script.get("env", [])})
        if script.get("out_dir"):
            env["OUT_DIR"] = script["out_dir"]
        if "test" in target["kind"] or "bench" in target["kind"]:
            bins = self._bins.get(package["id"], {})
            env.update({f"CARGO_BIN_EXE_{name}": executable for name, executable in bins.items()})
        linked = [part.partition("=")[2] or part for part in script.get("linked_paths", [])]
        toolchain = [str(lib) for lib in sorted(cargo.parent.parent.glob("lib/rustlib/*/lib"))]
        libraries = [*linked, str(path.parent), str(path.parent.parent), *toolchain, str(cargo.parent.parent / "lib")]
        variable = {"win32": "PATH", "darwin": "DYLD_FALLBACK_LIBRARY_PATH"}.get(sys.platform, "LD_LIBRARY_PATH")
        env[variable] = os.pathsep.join([*libraries, *filter(None, [env.get(variable, "")])])
        harness = _has_harness(package, target)
        return Program(path, label(package, target), target["name"], harness, folder, env)


def _package_variables(package):
    """The variables that cargo sets for a package's test programs."""
    version = package["version"]
    numbers, _, pre = version.partition("+")[0].partition("-")
    major, minor, patch = [*numbers.split("."), "", "", ""][:3]
    values = {
        "VERSION": version,
        "VERSION_MAJOR": major,
        "VERSION_MINOR": minor,
        "VERSION_PATCH": patch,
        "VERSION_PRE": pre,
        "AUTHORS": ":".join(package.get("authors") or []),
        **{
            name.upper(): package.get(name) or ""
            for name in (
                "name",
                "description",
                "homepage",
                "repository",
                "license",
                "license_file",
                "rust_version",
                "readme",
            )
        },
    }
    manifest = Path(package["manifest_path"])
    own = {"CARGO_MANIFEST_DIR": str(manifest.parent), "CARGO_MANIFEST_PATH": str(manifest)}
    return {**own, **{f"CARGO_PKG_{name}": value for name, value in values.items()}}


def manifest(package, *words):
    """The package's manifest, parsed; {} where it can have none of these words, which spares the parser's start."""
    try:
        text = Path(package["manifest_path"]).read_text(encoding="utf-8")
        if not any(word in text for word in (*words, "\\")):  # a key may be spelled with escapes
            return {}
        import tomllib

        return tomllib.loads(text)
    except (OSError, ValueError):
        return {}


def _has_harness(package, target):
    found = manifest(package, "harness")
    kind = next((kind for kind in target["kind"] if kind in KINDS), "lib")
    tables = [found.get("lib") or {}] if kind == "lib" else found.get(kind) or []
    named = [table for table in tables if kind == "lib" or table.get("name") == target["name"]]
    return all(table.get("harness", True) is not False for table in named)
