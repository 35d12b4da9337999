"""What a coordinator and a worker say to each other: frozen records, one msgpack map a message.

Both sides check all that comes in. A request carries an `id`, and its reply repeats it. Every request but `hello`
carries the `session` that the worker gave in its welcome; a session ends with the next welcome, or when nothing was
heard of it for `SESSION_S`. So nothing that was held up in a network for long is taken for an order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from sdl.journal.actions import ActionState
from sdl.model import Record, Scalar
from sdl.protocols import ActionRecord, Effect, Receipt, Verdict
from sdl.wire import WireError
from sdl.wire.peers import check_json, pack, unpack

__all__ = [
    "BATCH_BYTES",
    "BATCH_ENTRIES",
    "REPLY_BYTES",
    "REQUEST_BYTES",
    "SESSION_S",
    "VERSION",
    "Abort",
    "Answer",
    "AskIdentities",
    "AskReceipt",
    "AskStep",
    "Batch",
    "Block",
    "Bye",
    "Done",
    "Entries",
    "Hello",
    "Identities",
    "MakeSafe",
    "Ping",
    "Pong",
    "ReceiptGiven",
    "Refused",
    "Reply",
    "Request",
    "RunStep",
    "Running",
    "SafeStates",
    "StepKnown",
    "Unblock",
    "Welcome",
    "action_json",
    "action_of",
    "decode_reply",
    "decode_request",
    "encode",
    "receipt_of",
    "record_json",
    "record_of",
    "request_id",
]

VERSION: Final = 1
REQUEST_BYTES: Final = 1024 * 1024
"""Largest request, bytes."""
REPLY_BYTES: Final = 16 * 1024 * 1024
"""Largest reply, bytes."""
BATCH_BYTES: Final = 4 * 1024 * 1024
"""A batch of entries closes once it holds this much, bytes; one entry may be as large as a reply."""
BATCH_ENTRIES: Final = 500
SESSION_S: Final = 5.0
"""Wall seconds without a word after which a session is over."""

Json = dict[str, Any]
_Whole = Annotated[int, Field(ge=0, le=2**63 - 1)]
_Text = Annotated[str, Field(max_length=1000)]
_Known = Annotated[str, Field(pattern=r"^(said|manufacturer|model|serial|firmware)$")]


class _Message(Record):
    model_config = ConfigDict(strict=True)

    v: Literal[1] = VERSION
    id: _Whole
    """Of the request; repeated in its reply."""


# ── requests ──


class Hello(_Message):
    """A coordinator begins, or is back after a cut."""

    kind: Literal["hello"] = "hello"
    station: _Text
    campaign: Annotated[str, Field(min_length=1, max_length=200)]
    holder: _Text
    """Who coordinates, for people."""
    epoch: _Whole
    """Of the coordinator's lease on the campaign."""
    lab_file: _Text
    lab_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    after: _Whole
    """Number of the last entry that the coordinator has; 0 for none."""
    spool: _Text
    """Id of the spool as known from an earlier welcome; empty when not known."""
    doubts: list[Json]
    """Actions of the station that the coordinator knows to be in doubt."""


class _InSession(_Message):
    session: _Text


class Ping(_InSession):
    """A sign of life."""

    kind: Literal["ping"] = "ping"


class Bye(_InSession):
    """The coordinator lets the station go."""

    kind: Literal["bye"] = "bye"


class RunStep(_InSession):
    """Execute a step, or say what became of it."""

    kind: Literal["run_step"] = "run_step"
    campaign: Annotated[str, Field(min_length=1, max_length=200)]
    epoch: _Whole
    trial: _Whole
    step: _Text
    attempt: _Whole
    procedure: _Text
    parameters: dict[str, Scalar]
    """In the order of the problem."""
    handover: dict[str, _Text] = {}
    """`source` and `target`: places between which the step moves the sample."""
    metadata: Json
    actions: list[Json]
    """Actions of the trial as the coordinator knows them."""


class AskStep(_InSession):
    """What became of a step?"""

    kind: Literal["ask_step"] = "ask_step"
    trial: _Whole
    step: _Text
    attempt: _Whole


class Abort(_InSession):
    """Stop the running plan; answered when it has stopped."""

    kind: Literal["abort"] = "abort"
    reason: _Text


class MakeSafe(_InSession):
    """Drive the devices to their safe states."""

    kind: Literal["make_safe"] = "make_safe"


class AskReceipt(_InSession):
    """What became of an action?"""

    kind: Literal["receipt"] = "receipt"
    action: Json


class AskIdentities(_InSession):
    """What do the station's instruments say of themselves?"""

    kind: Literal["identities"] = "identities"


class Block(_InSession):
    """Let nothing act on an action's device until it is settled."""

    kind: Literal["block"] = "block"
    action: Json


class Unblock(_InSession):
    """An action is settled."""

    kind: Literal["unblock"] = "unblock"
    action: _Text


class Entries(_InSession):
    """Entries with a number above `after`; waits for some where there are none."""

    kind: Literal["entries"] = "entries"
    after: _Whole
    wait: Annotated[float, Field(ge=0, le=30)]
    """Wall seconds."""


Request = (
    Hello | Ping | Bye | RunStep | AskStep | Abort | MakeSafe | AskReceipt | AskIdentities | Block | Unblock | Entries
)


# ── replies ──


class Running(Record):
    """A step that a worker is executing."""

    campaign: str
    trial: int
    step: str
    attempt: int


class Answer(Record):
    """How a step ended."""

    model_config = ConfigDict(strict=True)

    trial: int
    step: str
    attempt: int
    outcome: Literal["done", "fault", "infeasible", "aborted", "doubt", "interrupted", "refused"]
    runs: list[str] = []
    """uids of its runs."""
    message: str = ""
    device: str = ""
    action: str = ""
    """The action in doubt."""
    error: str = ""
    """Which fault: Fault, Refusal or UnsafeState."""
    faults: list[list[str | int | None]] = []
    """Of a plan that was refused: message, file, line and path of each."""


class Welcome(_Message):
    """The worker takes the coordinator's orders from here on."""

    kind: Literal["welcome"] = "welcome"
    session: str
    spool: str
    holder: str
    """Host and process of the worker."""
    last: _Whole
    """Number of the last entry."""
    devices: list[str]
    addresses: dict[str, str]
    simulated: list[str]
    running: Running | None


class Pong(_Message):
    """The worker lives."""

    kind: Literal["pong"] = "pong"
    last: _Whole
    running: Running | None
    trouble: str
    """Why it can take no orders; empty while all is well."""


class Done(_Message):
    """It is done."""

    kind: Literal["done"] = "done"


class StepKnown(_Message):
    """What the worker knows of a step."""

    kind: Literal["step_known"] = "step_known"
    state: Literal["unknown", "running", "answered"]
    answer: Answer | None = None
    number: _Whole = 0
    """Of the entry with the answer."""


class SafeStates(_Message):
    """Device → `safe`, or what went wrong."""

    kind: Literal["safe_states"] = "safe_states"
    devices: dict[str, str]


class ReceiptGiven(_Message):
    """What an instrument says about an action."""

    kind: Literal["receipt_given"] = "receipt_given"
    verdict: Literal["done", "not_done", "partial", "unknown"]
    text: str
    evidence: Json


class Identities(_Message):
    """Device → what it says of itself; a device that cannot be asked, or does not answer, is left out."""

    kind: Literal["identities_told"] = "identities_told"
    devices: dict[_Text, dict[_Known, _Text]]


class Batch(_Message):
    """Entries in order: number, seq, at, kind, body (canonical JSON), prev_hash, hash."""

    kind: Literal["batch"] = "batch"
    entries: list[list[Any]]


class Refused(_Message):
    """The worker does not do that."""

    kind: Literal["refused"] = "refused"
    code: str
    message: str


Reply = Welcome | Pong | Done | StepKnown | SafeStates | ReceiptGiven | Identities | Batch | Refused

_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])
_REPLIES: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")])
_ACTION = TypeAdapter(ActionState)
_M = TypeVar("_M")


def encode(message: Request | Reply, limit: int) -> bytes:
    """A message as msgpack.

    Raises:
        WireError: it holds what msgpack cannot, or is longer than `limit` bytes.
    """
    data = pack({name: _plain(getattr(message, name)) for name in type(message).model_fields})
    if len(data) > limit:
        raise WireError(f"a message {message.kind!r} of {len(data)} bytes; the limit is {limit} bytes")
    return data


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Record) else value


def decode_request(data: bytes) -> Request:
    """The request in a frame.

    Raises:
        WireError: malformed, too long, of another version or of an unknown kind.
    """
    return _decoded(data, REQUEST_BYTES, _REQUESTS)


def decode_reply(data: bytes) -> Reply:
    """The reply in a frame; the same checks."""
    return _decoded(data, REPLY_BYTES, _REPLIES)


def _decoded(data: bytes, limit: int, adapter: TypeAdapter[_M]) -> _M:
    value = unpack(data, max_bytes=limit)
    check_json(value)
    if not isinstance(value, dict):
        raise WireError(f"message is a {type(value).__name__}, not a map")
    if value.get("v") != VERSION:
        raise WireError(
            f"message has version {str(value.get('v'))[:20]}; this release speaks {VERSION}: update the older side"
        )
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:100]
        raise WireError(f"message cannot be used: {where or 'kind'}: {first['msg']}"[:500]) from None


def request_id(data: bytes) -> int:
    """The id of a request that could not be decoded, 0 where it has none."""
    try:
        found = unpack(data, max_bytes=REQUEST_BYTES)["id"]
    except (WireError, LookupError, TypeError):
        return 0
    return found if type(found) is int and 0 <= found < 2**63 else 0


# ── actions and receipts ──


def action_json(action: ActionState) -> Json:
    """For the wire."""
    return {**asdict(action), "effect": action.effect.value, "status": action.status.value}


def action_of(data: Mapping[str, Any]) -> ActionState:
    """The action in `data`.

    Raises:
        WireError: malformed.
    """
    try:
        return _ACTION.validate_python(dict(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise WireError(f"action cannot be used: {first['loc']}: {first['msg']}"[:500]) from None


def record_json(action: ActionRecord) -> Json:
    """For the wire."""
    return {**asdict(action), "effect": action.effect.value}


def record_of(data: Mapping[str, Any]) -> ActionRecord:
    """The record in `data`.

    Raises:
        WireError: malformed.
    """
    try:
        return TypeAdapter(ActionRecord).validate_python({**data, "effect": Effect(str(data.get("effect")))})
    except (ValidationError, ValueError) as error:
        raise WireError(f"action cannot be used: {error}"[:500]) from None


def receipt_of(reply: ReceiptGiven) -> Receipt:
    """The receipt in a reply."""
    return Receipt(Verdict(reply.verdict), reply.text, reply.evidence)
