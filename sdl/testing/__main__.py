"""`python -m sdl.testing LAB.yaml [DEVICE …]`: check the devices of a lab; `sdl devices check` runs this.

It is a process of its own, so that nothing that runs a laboratory needs to import the kits, and a driver that blocks
takes nothing else with it.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from sdl.lab.certificates import certificates_folder, issue, write_certificate
from sdl.lab.labfile import load_lab
from sdl.model import InputError, SdlError
from sdl.testing._case import DeviceCase
from sdl.testing._labcases import cases_of, read_exercises
from sdl.testing.device import DEVICE_CHECKS, DeviceReport, check_case

FAILED = 2


def main(arguments: list[str] | None = None) -> int:
    """Check devices, write their certificates; 2 when a check failed or something cannot be used."""
    given = _arguments().parse_args(arguments)
    if not os.environ.get("SDL_DEBUG"):
        # Libraries log what the report says in plain words.
        logging.getLogger().addHandler(logging.NullHandler())
        logging.disable(logging.CRITICAL)
    try:
        lab = load_lab(given.lab, dict(item.split("=", 1) for item in given.input))
        exercises = read_exercises(given.exercise) if given.exercise else {}
        cases = list(cases_of(lab, given.device, acts=given.acts, exercises=exercises))
        reports = [_checked(case, given) for case in cases]
    except InputError as error:
        for fault in error.faults:
            print(f"sdl: {fault}", file=sys.stderr)
        return FAILED
    except SdlError as error:
        print(f"sdl: {error}", file=sys.stderr)
        return FAILED
    return 0 if all(report.ok for report in reports) else FAILED


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sdl.testing", description="Check the devices of a lab.")
    parser.add_argument("lab", type=Path, help="the lab file")
    parser.add_argument("device", nargs="*", help="names of devices; default: all")
    parser.add_argument("--acts", action="store_true", help="let real instruments act")
    parser.add_argument("--exercise", type=Path, metavar="FILE", help="YAML: what to try with which device")
    parser.add_argument("--only", action="append", choices=DEVICE_CHECKS, help="make this check only; repeatable")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=PATH", help="fill an input of the lab")
    parser.add_argument("--out", type=Path, help="folder of certificates; default: certificates/ beside the lab file")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    return parser


def _checked(case: DeviceCase, given: argparse.Namespace) -> DeviceReport:
    report = check_case(case, only=given.only)
    certificate = issue(report.as_json())
    # A choice of checks certifies nothing.
    path = None
    if not given.only:
        path = write_certificate(certificate, given.out or certificates_folder(given.lab))
    if given.json:
        print(certificate.text if path is not None else _line(report), end="", flush=True)
        return report
    print(report)
    print(f"  certificate {certificate.id[:12]} in {path}\n" if path else "", flush=True)
    return report


def _line(report: DeviceReport) -> str:
    from sdl.journal import canonical

    return canonical(report.as_json()) + "\n"


if __name__ == "__main__":
    sys.exit(main())
