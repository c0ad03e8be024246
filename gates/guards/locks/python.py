"""Python: uv.lock, poetry.lock, pdm.lock, pylock.toml, Pipfile(.lock), requirements, pyproject.toml, setup.cfg."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from typing import Any

from gates.guards.locks.package import (
    LOCAL,
    USUAL,
    Listing,
    Package,
    Unreadable,
    beside,
    decode,
    json_table,
    listing,
    local_source,
    name_of,
    origin,
    rows,
    said,
    table,
    text,
    toml,
)

_PUBLIC = frozenset({"https://pypi.org", "https://pypi.python.org", "https://files.pythonhosted.org"})
_REQUIREMENT = re.compile(r"^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(.*)$", re.DOTALL)
_HASH = re.compile(r"--hash[=\s]\s*([a-z0-9]+:[A-Za-z0-9+/=_-]+)")
_COMMENT = re.compile(r"(^|\s)#.*$")
_INSTALLS = ("-e", "--editable")


def normal(name: str) -> str:
    """A package's one spelling (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def uv_lock(path: str, content: bytes) -> Listing:
    data = toml(content)
    found: set[Package] = set()
    for row in map(table, rows(data.get("package"))):
        files = [table(row.get("sdist")), *map(table, rows(row.get("wheels")))]
        source = _with_files(_uv_source(path, table(row.get("source"))), files)
        found.add(Package(normal(name_of(row)), text(row.get("version")), source, _hashes(files)))
    return listing(found, {"options": said(data["options"])} if "index" in table(data.get("options")) else {})


def _uv_source(path: str, source: Mapping[str, Any]) -> str:
    for kind in ("editable", "virtual", "directory", "path"):
        if kind in source:
            return local_source(path, text(source[kind]))
    if "registry" in source:
        return _index(text(source["registry"]))
    return "; ".join(f"{kind}+{text(value)}" for kind, value in sorted(source.items()) if isinstance(value, str))


def poetry_lock(path: str, content: bytes) -> Listing:
    """Also pdm.lock, which has the same shape."""
    data = toml(content)
    old_files = table(table(data.get("metadata")).get("files"))
    found: set[Package] = set()
    for row in map(table, rows(data.get("package"))):
        name = name_of(row)
        files = [table(file) for file in rows(row.get("files", old_files.get(name)))]
        place = table(row.get("source"))
        kind, url = text(place.get("type")), text(place.get("url"))
        if row.get("path") is not None or kind in ("directory", "file"):
            source = local_source(path, text(row.get("path"), url))
        elif kind in ("", "legacy") and "git" not in row and "url" not in row:
            source = _index(url)
        else:
            source = "".join((f"{kind}+", url, text(row.get("git")), text(row.get("url"))))
        found.add(Package(normal(name), text(row.get("version")), _with_files(source, files), _hashes(files)))
    return listing(found)


def pylock(path: str, content: bytes) -> Listing:
    """pylock.toml (PEP 751)."""
    found: set[Package] = set()
    for row in map(table, rows(toml(content).get("packages"))):
        files = [table(row.get("sdist")), table(row.get("archive")), *map(table, rows(row.get("wheels")))]
        if "directory" in row:
            source = local_source(path, text(table(row["directory"]).get("path")))
        elif "vcs" in row:
            source = "vcs+" + said(row["vcs"])
        else:
            source = _index(text(row.get("index")))
        hashes = frozenset(f"{kind}:{said(value)}" for f in files for kind, value in table(f.get("hashes")).items())
        found.add(Package(normal(name_of(row)), text(row.get("version")), _with_files(source, files), hashes))
    return listing(found)


def pipfile_lock(path: str, content: bytes) -> Listing:
    data = json_table(content)
    meta = table(data.get("_meta"))
    found: set[Package] = set()
    for group, members in data.items():
        for name, row in table(members).items() if group != "_meta" else ():
            row = table(row)
            places = [f"{key}+{text(row[key])}" for key in ("git", "ref", "file", "url") if key in row]
            if "path" in row:
                places.append(local_source(path, text(row["path"])))
            hashes = frozenset(map(text, rows(row.get("hashes"))))
            found.add(Package(normal(name), text(row.get("version")).lstrip("="), "; ".join(places), hashes))
    return listing(found, _indexes(meta.get("sources")))


def pipfile(path: str, content: bytes) -> Listing:
    data = toml(content)
    found: set[Package] = set()
    for group, members in data.items():
        if group in ("source", "requires", "scripts", "pipenv"):
            continue
        for name, wanted in table(members).items():
            found.add(_table_wanted(path, name, wanted))
    others = {key: said(data[key]) for key in ("pipenv", "scripts") if key in data}
    return listing(found, {**_indexes(data.get("source")), **others})


def _indexes(sources: object) -> dict[str, str]:
    places = [text(table(source).get("url")) for source in rows(sources)]
    return {f"the index {place}": place for place in places if _index(place)}


def requirements(path: str, content: bytes) -> Listing:
    """A file for `pip install -r`, with or without hashes."""
    found: set[Package] = set()
    redirects: dict[str, str] = {}
    for raw in re.sub(r"\\\r?\n", " ", decode(content)).splitlines():
        line = _COMMENT.sub("", raw).strip()
        if not line:
            continue
        if line.startswith("-") and not line.startswith(_INSTALLS):
            redirects[f"the option {line}"] = line
        elif line.startswith(_INSTALLS):
            target = re.sub(r"^(-e|--editable)[=\s]*", "", line)
            if beside(path, target.partition("[")[0]) is None or "://" in target:
                redirects[f"the option {line}"] = line
        else:
            found.add(_requirement(path, line))
    return listing(found, redirects)


def pyproject(path: str, content: bytes) -> Listing:
    data = toml(content)
    project, tool = table(data.get("project")), table(data.get("tool"))
    uv, poetry, pdm = (table(tool.get(name)) for name in ("uv", "poetry", "pdm"))
    lines = [*rows(project.get("dependencies")), *rows(table(data.get("build-system")).get("requires"))]
    groups = [table(project.get("optional-dependencies")), table(data.get("dependency-groups"))]
    groups.append(table(pdm.get("dev-dependencies")))
    for group in groups:
        lines += [line for members in group.values() for line in rows(members)]
    for key in (
        "dev-dependencies",
        "constraint-dependencies",
        "override-dependencies",
        "build-constraint-dependencies",
    ):
        lines += rows(uv.get(key))
    found = {_requirement(path, text(line)) for line in lines if not isinstance(line, dict)}
    poetry_groups = [table(table(group).get("dependencies")) for group in table(poetry.get("group")).values()]
    for group in (table(poetry.get("dependencies")), table(poetry.get("dev-dependencies")), *poetry_groups):
        for name, wanted in group.items():
            for one in rows(wanted) if isinstance(wanted, list) else [wanted]:
                if name != "python":
                    found.add(_table_wanted(path, name, one))
    return listing(found, {**_redirects(path, uv, poetry, pdm), **_elsewhere(project, tool)})


def _elsewhere(project: Mapping[str, Any], tool: Mapping[str, Any]) -> dict[str, str]:
    """What names packages in places that are not read here: other files, and the tables of other tools."""
    found: dict[str, str] = {}
    dynamic = {"dependencies", "optional-dependencies"} & {text(key) for key in rows(project.get("dynamic"))}
    for key in sorted(dynamic):
        found[f"project.dynamic {key}"] = said(table(table(tool.get("setuptools")).get("dynamic")).get(key))
    keys = {
        "pixi": ("dependencies", "pypi-dependencies", "feature", "target", "channels"),
        "rye": ("dev-dependencies", "sources"),
        "hatch": ("metadata",),
        "flit": ("metadata",),
    }
    for name, parts in keys.items():
        one = table(tool.get(name))
        found |= {f"tool.{name}.{key}": said(one[key]) for key in parts if key in one}
    return found


def _redirects(path: str, uv: Mapping[str, Any], poetry: Mapping[str, Any], pdm: Mapping[str, Any]) -> dict[str, str]:
    keys = ("index", "index-url", "extra-index-url", "find-links", "index-strategy", "pip", "no-index")
    found = {f"tool.uv.{key}": said(uv[key]) for key in keys if key in uv}
    found |= {f"tool.poetry.{key}": said(poetry[key]) for key in ("source",) if key in poetry}
    found |= {f"tool.pdm.{key}": said(pdm[key]) for key in ("source", "resolution") if key in pdm}
    for name, places in table(uv.get("sources")).items():
        for place in map(table, places if isinstance(places, list) else [places]):
            inside = place.get("workspace") is True or (
                "path" in place and beside(path, text(place["path"])) is not None and "git" not in place
            )
            if not inside:
                found[f"tool.uv.sources.{name}"] = said(places)
    return found


def setup_cfg(path: str, content: bytes) -> Listing:
    parser = configparser.RawConfigParser(strict=True)
    try:
        parser.read_string(decode(content))
    except configparser.Error as error:
        raise Unreadable("it is not an INI file") from error
    options = dict(parser.items("options")) if parser.has_section("options") else {}
    values = [options.get(key, "") for key in ("install_requires", "setup_requires", "tests_require")]
    if parser.has_section("options.extras_require"):
        values += dict(parser.items("options.extras_require")).values()
    lines = [line.strip() for value in values for line in value.splitlines()]
    found = {_requirement(path, line) for line in lines if line and not line.startswith("#")}
    redirects = {f"options.{key}": options[key] for key in ("dependency_links",) if key in options}
    if parser.has_section("easy_install"):
        redirects["easy_install"] = said(dict(parser.items("easy_install")))
    return listing(found, redirects)


def _requirement(path: str, line: str) -> Package:
    hashes = frozenset(_HASH.findall(line))
    plain = re.split(r"\s--", line, maxsplit=1)[0].partition(";")[0].strip()
    found = _REQUIREMENT.match(plain)
    if found is None or "://" in plain.partition("@")[0] or "/" in plain.partition("@")[0]:
        return Package(plain, "", local_source(path, plain) if "://" not in plain else plain, hashes)
    name, rest = normal(found[1]), found[2].strip()
    if rest.startswith("@"):
        place = rest[1:].strip()
        return Package(name, "", place, hashes)
    exact = re.fullmatch(r"===?\s*([^,\s*]+)", rest.strip("()"))
    return Package(name, exact[1] if exact else "".join(rest.split()), USUAL, hashes)


def _table_wanted(path: str, name: str, wanted: object) -> Package:
    if isinstance(wanted, str):
        return Package(normal(name), wanted.removeprefix("=="))
    row = table(wanted)
    if "path" in row:
        source = local_source(path, text(row["path"]))
    else:
        keys = ("git", "url", "file", "branch", "ref", "rev", "tag", "source", "index")
        source = "; ".join(
            f"{key}+{said(row[key]) if not isinstance(row[key], str) else row[key]}" for key in keys if key in row
        )
    return Package(normal(name), text(row.get("version")).removeprefix("=="), source)


def _index(url: str) -> str:
    return USUAL if not url or origin(url) in _PUBLIC else url


def _with_files(source: str, files: list[dict[str, Any]]) -> str:
    """The source, or the address of a file that does not come from there."""
    if source == LOCAL:
        return source
    known = _PUBLIC if source == USUAL else {origin(source.partition("+")[2] or source), origin(source)}
    for file in files:
        url = text(file.get("url"))
        if url and source == USUAL and origin(url) not in known:
            return origin(url) or url
    return source


def _hashes(files: list[dict[str, Any]]) -> frozenset[str]:
    return frozenset(text(file["hash"]) for file in files if "hash" in file)
