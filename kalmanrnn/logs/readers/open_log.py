"""Open a log of any kind: a bag, a ULog, CSV files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kalmanrnn.core.errors import UserError
from kalmanrnn.logs.readers.readings import Readings, Source

KINDS = (
    "a ROS 1 .bag, a ROS 2 bag (its folder, .mcap or .db3), a PX4 .ulg, "
    "a .csv file or a folder of them"
)
TEXTS = (".csv", ".tsv", ".txt")
# What a file starts with, and the ending that its readers insist on.
MAGIC = {
    b"#ROSBAG V": ".bag",
    b"\x89MCAP": ".mcap",
    b"SQLite format 3\0": ".db3",
    b"ULog\x01\x12\x35": ".ulg",
}


def open_log(path: Path) -> Source:
    """Open a log; what it holds and what had to be repaired stands on the source."""
    path = Path(path)
    try:
        source = _open_folder(path) if path.is_dir() else _open_file(path, _kind_of(path))
    except OSError as problem:
        raise UserError(
            f"cannot read {path}",
            why=problem.strerror or str(problem),
            cure=f"check the path and its permissions: ls -l {path}",
        ) from None
    return _checked(source)


def _open_folder(folder: Path) -> Source:
    from kalmanrnn.logs.readers.csv_folder import open_csv
    from kalmanrnn.logs.readers.rosbag import open_bag

    if (folder / "metadata.yaml").exists():
        return open_bag(folder)
    files = [f for f in sorted(folder.iterdir()) if f.is_file()]
    logs = [f for f in files if f.suffix.lower() in MAGIC.values()]
    if len(logs) == 1:
        source = _open_file(logs[0], _kind_of(logs[0]))
        return source._replace(notes=(f"{logs[0].name} is the log in the folder", *source.notes))
    if logs:
        raise UserError(
            f"{folder} holds {len(logs)} logs",
            why=f"{', '.join(f.name for f in logs[:6])}; a drive comes from one",
            cure=f"give one of them: {logs[0]}",
        )
    tables = [f for f in files if f.suffix.lower() in (".csv", ".tsv")]
    if not tables:
        raise UserError(
            f"{folder} holds no log", why=f"what can be read is {KINDS}", cure="give a log"
        )
    return open_csv(folder, tables)


def _kind_of(path: Path) -> str:
    """Return the ending that a file's content asks for, "" where the content does not tell."""
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise UserError(
            f"{path} is empty", why="it has no bytes", cure="copy the log from the robot again"
        )
    return next((ending for magic, ending in MAGIC.items() if start.startswith(magic)), "")


def _open_file(path: Path, kind: str) -> Source:
    from kalmanrnn.logs.readers.csv_folder import open_csv
    from kalmanrnn.logs.readers.rosbag import open_bag
    from kalmanrnn.logs.readers.ulog import open_ulog

    ending = path.suffix.lower()
    if kind == ".ulg":
        return open_ulog(path)
    if kind and path.suffix != kind:
        raise UserError(
            f"{path} is a {kind} file under another name",
            why=f"its content says so, and its readers go by the ending {kind}",
            cure=f"mv {path} {path.with_suffix(kind)}",
        )
    if kind:
        return open_bag(path)
    if ending in TEXTS:
        return open_csv(path, [path])
    if ending in MAGIC.values():
        raise UserError(
            f"{path} is no {ending} file",
            why="it does not start as one: it is damaged, or something else",
            cure="copy the log from the robot again, whole",
        )
    if ending == ".npz":
        raise UserError(
            f"{path} is no log",
            why="an .npz is what an import has made of one already",
            cure="give the log, or use the drive file as it is",
        )
    raise UserError(
        f"{path} is of no known kind", why=f"what can be read is {KINDS}", cure="give such a log"
    )


def _checked(source: Source) -> Source:
    """Let the source refuse a topic that it does not have."""
    names = [topic.name for topic in source.topics]

    def read(asked: Sequence[str], progress: Callable[[int, int], None]) -> list[Readings]:
        for name in asked:
            if name not in names:
                raise UserError(
                    f"{source.path} has no topic {name}",
                    why=f"it has {', '.join(names)}"[:200],
                    cure=f"kalmanrnn inspect {source.path}",
                )
        return source.read(asked, progress)

    return source._replace(read=read)
