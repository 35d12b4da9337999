"""What a twin says when an instrument asks for what cannot be."""

from __future__ import annotations

__all__ = ["PlantError"]


class PlantError(Exception):
    """The physical world does not allow it: the gripper finds nothing, the chuck is taken, the magazine is empty."""
