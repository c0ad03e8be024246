"""`swarm verify`: what a report, a commit or a range of them is worth, and how anyone can see that without us."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.definitions import policy_digest
from engine.errors import UserError
from engine.git.door import UserGit
from engine.host import Site
from engine.loading import FLOWS_FOLDER, ROADMAP_FILE, SETTINGS_FILE, load_definitions, parse_roadmap
from engine.models.report import VerificationReport
from engine.text.sanitise import sanitise_line
from swarm_tui.compose import open_site
from swarm_tui.place import Place, find_place
from swarm_tui.rerunning import Rerun, rerun_report

if TYPE_CHECKING:  # cryptography is slow to import
    from gates.sign import VerifyKey
    from gates.verify import VerifiedCommit

MARKS = {"proved": "✔", "batch": "✔", "unproven": "?", "false": "✘"}
OLDEST_WITH_SSH = 2


def verify_subject(
    repo: Path | None,
    state: Path | None,
    subject: str,
    *,
    as_json: bool,
    rerun: bool = False,
    public_key: Path | None = None,
) -> int:
    """A report file, a commit, or a range. Exit 0 only if everything asked about is proved (a range may hold people's
    commits), and, with `rerun`, if its gates say the same again in a clean clone.

    public_key: of the one who signed, where that is not this repository's own swarm.
    """
    from gates.sign import VerifyKey

    place = find_place(repo, state)
    public = public_key or place.folders.keys / "public.pem"
    if public_key is not None and not public.is_file():
        raise UserError(f"there is no public key at {public}: give the `public_key` of `swarm where`")
    if not public.is_file():
        raise UserError(
            f"there is no public key at {public}: nothing was signed for this repository yet (--key names another)"
        )
    key = VerifyKey.load(public)
    if Path(subject).is_file():
        return _verify_file(place, Path(subject), public, key, rerun=rerun, as_json=as_json)
    return _verify_commits(place, subject, public, key, rerun=rerun, as_json=as_json)


# ---- a report file


def _verify_file(place: Place, file: Path, public: Path, key: VerifyKey, *, rerun: bool, as_json: bool) -> int:
    from gates.verify import recipe, verify_report

    envelope = file.read_bytes()
    found = verify_report(envelope, key)
    report = found.report
    ssh = report is None or report.schema_version >= OLDEST_WITH_SSH
    lines = recipe(file.resolve(), public.resolve(), ssh=ssh)
    again = rerun_report(open_site(place, sole=False), report, _teller(as_json)) if rerun and report else None
    if as_json:
        said: dict[str, Any] = {
            "subject": str(file),
            "ok": found.ok,
            "problems": list(found.problems),
            "tree": report.tree if report else "",
            "result": report.result if report else "",
            "recipe": lines,
        }
        _write_json(said | _rerun_json([again] if again else []))
    else:
        if report is not None and found.ok:
            sys.stdout.write(f"✔ {report.result} report for tree {report.tree}\n{_about(report)}")
        else:
            sys.stdout.write("".join(f"✘ {sanitise_line(problem)}\n" for problem in found.problems))
        sys.stdout.write(_rerun_text(again, report.tree) if again and report else "")
        sys.stdout.write("\n" + _recipe_text(lines, "this file") if b'"payload"' in envelope else "")
    return 0 if found.ok and (again is None or again.same) else 1


def _about(report: VerificationReport) -> str:
    """What the report says, one thing a line."""
    rows = [("kind", report.kind), ("base", report.base), ("policy", report.policy)]
    rows += [("work order", report.work_order)] if report.work_order else []
    rows += [("finished", report.finished_at)] if report.finished_at else []
    rows += [("flags", ", ".join(report.flags))] if report.flags else []
    for gate in report.gates:
        counts = f", {gate.passed} passed, {gate.failed} failed, {gate.skipped} skipped" if gate.executed else ""
        rows.append(("gate", f"{gate.name}: {gate.result}{counts}"))
    return "".join(f"  {name:<11}{sanitise_line(value)[:160]}\n" for name, value in rows)


# ---- commits


def _verify_commits(place: Place, subject: str, public: Path, key: VerifyKey, *, rerun: bool, as_json: bool) -> int:
    from gates.verify import Court

    site = open_site(place, sole=False)
    hub, root = site.hub, place.repository.root
    noted = (hub.git, UserGit(root))
    court = Court(hub, site.artifacts, key, noted, policies(site), orders(site))
    ranged = ".." in subject
    if ranged:
        old, _, new = subject.partition("..")
        rows = court.judge_range(_commit(site, old), _commit(site, new or "HEAD"))
        if not rows:
            raise UserError(f'there is no commit in "{subject}": name the older end first, as in main~20..main')
    else:
        rows = [court.judge(_commit(site, subject))]
    lines, shown = _recipe_for(site, rows, public)
    reruns: dict[str, Rerun] = {}
    for row in rows if rerun else []:
        if row.status == "proved" and row.report is not None:
            reruns[row.commit] = rerun_report(site, row.report, _teller(as_json))
    if as_json:
        commits = [
            {
                "commit": row.commit,
                "subject": row.subject,
                "status": row.status,
                "report": row.digest,
                "problems": list(row.problems),
                "remarks": list(row.remarks),
            }
            for row in rows
        ]
        _write_json({"commits": commits, "recipe": lines} | _rerun_json(list(reruns.values())))
    else:
        sys.stdout.write("".join(_row(row, reruns.get(row.commit)) for row in rows))
        sys.stdout.write(_summary(rows) if ranged else "")
        sys.stdout.write("\n" + _recipe_text(lines, shown[:12]) if lines else "")
    wrong = any(row.status == "false" for row in rows) or not all(again.same for again in reruns.values())
    return 1 if wrong or (not ranged and rows[0].status == "unproven") else 0


def _commit(site: Site, name: str) -> str:
    try:
        return site.hub.fetch_objects(site.repository.root, name or "HEAD")
    except UserError as error:
        told = f'"{name}" is neither a report file nor a commit of {site.repository.root}'
        raise UserError(f"{told}: name a file, a branch, a tag, a commit id, or a range as main~20..main") from error


def policies(site: Site) -> Callable[[str], str]:
    """The policy digest by the definitions that a commit has; "" where it has none, or they cannot be read today."""
    known: dict[tuple[tuple[str, str], ...], str] = {}

    def policy_of(commit: str) -> str:
        ids = tuple(sorted(site.hub.ids_at(commit, (SETTINGS_FILE, FLOWS_FOLDER)).items()))
        if ids not in known:
            known[ids] = _policy_at(site, commit)
        return known[ids]

    return policy_of


def orders(site: Site) -> Callable[[Sequence[str], str], set[str]]:
    """The digests of an order's text in the roadmaps of some commits and of the working copy. What does not read, or
    does not have the order, has none."""
    from gates.report import order_digest

    known: dict[bytes, dict[str, str]] = {}

    def read(content: bytes | None) -> dict[str, str]:
        if content is None:
            return {}
        if content not in known:
            try:
                found = parse_roadmap(content.decode("utf-8")).work_order
            except (UserError, UnicodeDecodeError):
                found = []
            known[content] = {order.id: order_digest(order) for order in found}
        return known[content]

    def orders_of(commits: Sequence[str], order: str) -> set[str]:
        path = site.repository.root / ROADMAP_FILE
        texts = [site.hub.read_file(commit, ROADMAP_FILE) for commit in commits]
        texts += [path.read_bytes()] if path.is_file() else []
        return {said for text in texts if (said := read(text).get(order))}

    return orders_of


def _policy_at(site: Site, commit: str) -> str:
    hub = site.hub
    try:
        committed = load_definitions(
            lambda path: hub.read_file(commit, path), lambda folder: hub.list_files(commit, folder), commit[:12]
        )
    except UserError:
        return ""
    return policy_digest(site.definitions.working.with_definitions_of(committed)) if committed is not None else ""


def _row(row: VerifiedCommit, again: Rerun | None) -> str:
    line = f"{MARKS[row.status]} {row.commit[:12]} {row.status:<9} {sanitise_line(row.subject)[:80]}\n"
    told = [*row.problems, *row.remarks]
    return line + "".join(f"    {sanitise_line(one)}\n" for one in told) + (_rerun_text(again) if again else "")


def _summary(rows: Sequence[VerifiedCommit]) -> str:
    told = {"proved": "proved", "batch": "proved with their batch", "unproven": "unproven", "false": "false"}
    counts = [f"{sum(row.status == status for row in rows)} {words}" for status, words in told.items()]
    return f"{len(rows)} commits: {', '.join(counts)}\n"


def _recipe_for(site: Site, rows: Sequence[VerifiedCommit], public: Path) -> tuple[list[str], str]:
    """The recipe for the first commit whose own report proves it, and that commit; nothing where none does."""
    from gates.verify import recipe

    row = next((row for row in rows if row.status == "proved" and row.report is not None), None)
    if row is None or row.report is None:
        return [], ""
    note = "" if site.artifacts.has(row.digest) else row.commit
    lines = recipe(
        site.artifacts.path(row.digest),
        public.resolve(),
        ssh=row.report.schema_version >= OLDEST_WITH_SSH,
        commit=row.commit,
        repository=site.repository.root,
        note=note,
    )
    return lines, row.commit


# ---- words


def _teller(as_json: bool) -> Callable[[str], None]:
    def tell(text: str) -> None:
        sys.stderr.write(f"{sanitise_line(text)}\n")
        sys.stderr.flush()

    return (lambda _: None) if as_json else tell


def _rerun_json(reruns: Sequence[Rerun]) -> dict[str, Any]:
    rows = [
        {"tree": one.tree, "same": one.same, "result": one.result, "differences": list(one.differences)}
        for one in reruns
    ]
    return {"rerun": rows} if rows else {}


def _rerun_text(again: Rerun, about: str = "") -> str:
    if again.same:
        return f"  ✔ proved again in a clean clone{f': tree {about}' if about else ''}\n"
    rows = "".join(f"      {sanitise_line(difference)[:300]}\n" for difference in again.differences)
    return f"  ✘ it differs in a clean clone:\n{rows}"


def _write_json(data: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(data, indent=2) + "\n")


def _recipe_text(lines: Sequence[str], about: str) -> str:
    told = f"These lines are about {about}; each has to succeed, and the first that does not refutes the report.\n"
    return told + "Check it without us:\n" + "".join(f"  {line}\n" for line in lines)
