"""Identifiers of campaigns: sortable by time, unique without a server."""

from __future__ import annotations

import secrets
import time

__all__ = ["new_campaign_id"]


def new_campaign_id() -> str:
    """As in `20261121t233102-4f9a1c`: the UTC second and six random hexadecimal digits."""
    return time.strftime("%Y%m%dt%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)
