"""Journal entries live over ZeroMQ: msgpack, history for late joiners, CURVE optional, loopback by default.

The feed may lose messages and never holds a campaign up; the journal is the truth, and a `Watcher` fills
every gap from it. Whoever publishes gives `Publisher.publish` to the journal's writer; whoever watches iterates
a `Watcher`. Clients whose key has a role, as in `shared:Hana`, cannot subscribe: they follow at the history desk, which
gives them what the role may see.
"""

from sdl.wire._callers import Page, View, Views
from sdl.wire._codec import MAX_BYTES, WireError, decode_entry, encode_entry, load_document
from sdl.wire._desk import History
from sdl.wire._publisher import Publisher
from sdl.wire._watcher import Status, Watcher, follow
from sdl.wire.keys import ClientKeys, ServerKeys, generate_keys

__all__ = [
    "MAX_BYTES",
    "ClientKeys",
    "History",
    "Page",
    "Publisher",
    "ServerKeys",
    "Status",
    "View",
    "Views",
    "Watcher",
    "WireError",
    "decode_entry",
    "encode_entry",
    "follow",
    "generate_keys",
    "load_document",
]
