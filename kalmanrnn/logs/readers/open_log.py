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
# How a file starts, and the suffix that its reader insists on.
MAGIC = {
    b"#ROSBAG V": ".bag",
    b"\x89MCAP": ".mcap",
    b"SQLite format 3\0": ".db3",
    b"ULog\x01\x12\x35": ".ulg",
}


def open_log(path: Path) -> Source:
    """Open a log; the source lists its topics and what had to be repaired."""
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
            why=f"{', '.join(f.name for f in logs[:6])}; a drive is made from one",
            cure=f"choose one: {logs[0]}",
        )
    tables = [f for f in files if f.suffix.lower() in (".csv", ".tsv")]
    if not tables:
        raise UserError(
            f"{folder} holds no log", why=f"readable logs are {KINDS}", cure="give one of these"
        )
    return open_csv(folder, tables)


def _kind_of(path: Path) -> str:
    """Return the suffix that matches a file's content, "" if that is unknown."""
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
            f"{path} is a {kind} file with another suffix",
            why=f"its content is that of a {kind}, and readers insist on the suffix",
            cure=f"mv {path} {path.with_suffix(kind)}",
        )
    if kind:
        return open_bag(path)
    if ending in TEXTS:
        return open_csv(path, [path])
    if ending in MAGIC.values():
        raise UserError(
            f"{path} is not a {ending} file",
            why="it does not start like one: it is damaged or something else",
            cure="copy the whole log from the robot again",
        )
    if ending == ".npz":
        raise UserError(
            f"{path} is not a log",
            why="an .npz is already imported",
            cure="give the log, or use the drive file as it is",
        )
    raise UserError(
        f"{path} is of an unknown kind", why=f"readable logs are {KINDS}", cure="give one of these"
    )


def _checked(source: Source) -> Source:
    """Make the source refuse topics that it does not have."""
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
