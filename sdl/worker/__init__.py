"""Stations in processes of their own: the worker that has the cables, and the coordinator's end of the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdl.worker.errors import StepInterrupted, WorkerError, WorkerLost, WorkerRefused

if TYPE_CHECKING:
    from sdl.worker.remote import RemoteStation
    from sdl.worker.service import Serving, serve_station

__all__ = [
    "RemoteStation",
    "Serving",
    "StepInterrupted",
    "WorkerError",
    "WorkerLost",
    "WorkerRefused",
    "serve_station",
]


def __getattr__(name: str) -> Any:
    if name == "RemoteStation":
        from sdl.worker.remote import RemoteStation

        return RemoteStation
    if name in ("Serving", "serve_station"):
        from sdl.worker import service

        return getattr(service, name)
    raise AttributeError(f"module 'sdl.worker' has no attribute {name!r}")
