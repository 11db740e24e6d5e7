"""Runs an inspection and writes what it says."""

import os
from collections.abc import Sequence
from typing import Any

from hrnet_tf.inspection.inspection import DOUBTFUL, SHEET, Inspection, Options
from hrnet_tf.inspection.kinds import open_inspection
from hrnet_tf.inspection.report import Report
from hrnet_tf.messages import UserError
from hrnet_tf.output_files import OutputError, check_output, write_json, written_whole
from hrnet_tf.visualization import write_image


def inspect(
    options: Options,
    output_dir: str | None,
    json_file: str | None,
    overwrite: bool,
    strict: bool,
) -> Report:
    """Prints the report, and writes it and the pictures where it is asked for.

    Returns the report. Raises `UserError` if the data cannot be read or, if `strict`,
    look wrong.
    """
    if output_dir:
        check_output(output_dir, overwrite)
    if json_file and os.path.isdir(json_file):
        raise OutputError(f"--json={json_file} is a folder; give a file.")
    inspection = open_inspection(options)
    report = inspection.run()
    print(report)
    if json_file:
        write_json(json_file, report.as_json(), indent=1)
    if output_dir:
        print(f"\n{_advice(output_dir, _write(output_dir, inspection, report))}")
    total = report.findings.counts.total()
    if strict and total:
        things = "1 thing looks" if total == 1 else f"{total} things look"
        raise UserError(f"--strict: {things} wrong in {report.source}; see above.")
    return report


def _advice(folder: str, names: Sequence[str]) -> str:
    """What was written, and which of it to look at."""
    shown = {SHEET: "samples as training sees them", DOUBTFUL: "what looks wrong"}
    pictures = [
        f"{os.path.join(folder, name)} ({what})"
        for name, what in shown.items()
        if name in names
    ]
    look = f" Now look at {' and '.join(pictures)}." if pictures else ""
    return f"Wrote {', '.join(names)} to {folder}.{look}"


def _write(folder: str, inspection: Inspection[Any], report: Report) -> list[str]:
    """Writes a folder of files; returns their names."""
    with written_whole(folder) as partial:
        os.mkdir(partial)
        write_json(os.path.join(partial, "report.json"), report.as_json(), indent=1)
        with open(os.path.join(partial, "report.txt"), "w", encoding="utf-8") as file:
            file.write(f"{report}\n")
        for name, picture in inspection.pictures().items():
            write_image(os.path.join(partial, name), picture)
        return sorted(os.listdir(partial))
