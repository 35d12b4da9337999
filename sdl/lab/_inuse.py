"""Who has an instrument: a lock for each address, so that two processes never move one device."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping

from sdl.lab._stopfolder import stop_folder
from sdl.model import Fault, SdlError

__all__ = ["instruments_taken"]


@contextlib.contextmanager
def instruments_taken(addresses: Mapping[str, str], lab: str) -> Iterator[None]:
    """Have instruments to oneself for as long as the context lasts, or the process.

    The locks are of the operating system (flock): whatever ends the process lets them go.

    Args:
        addresses: device → address of its real instrument. Two devices may have one, as on a bus.
        lab: name of the lab, for whoever is refused.

    Raises:
        Fault: another process has one of them; it names the process.
        SdlError: the state folder cannot be written to.
    """
    folder = os.path.join(os.path.dirname(stop_folder()), "inuse")
    with contextlib.ExitStack() as stack:
        taken: set[str] = set()
        for device, address in sorted(addresses.items()):
            if address not in taken:
                taken.add(address)
                stack.callback(os.close, _take(folder, device, address, lab))
        yield


def _take(folder: str, device: str, address: str, lab: str) -> int:
    path = os.path.join(folder, hashlib.sha256(address.encode()).hexdigest()[:32])
    try:
        os.makedirs(folder, exist_ok=True)
        # The file stays when the lock is let go: one that is removed could be locked by two.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise SdlError(
            f"the note that {device} ({address}) is in use cannot be written to {folder}: {error.strerror or error}; "
            "make that folder writable, or name another one in SDL_STATE_DIR"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
        os.close(descriptor)
        raise Fault(
            device,
            f"its instrument at {address} is in use by {holder}; wait until that has ended, or give the campaigns of "
            "this lab to one `sdl run`, which shares its stations among them",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} for lab {lab}\n".encode(), 0)
    return descriptor
