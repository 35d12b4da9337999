"""Campaigns rehearsed on virtual time before they run: how long, how much, what runs out, and how likely it succeeds.

`make_quote` runs a campaign several times as it is, on simulated instruments and virtual time, each time with other
seeds. Every such run gives what its trials do; the times at which they do it are then drawn many times over, from what
the lab's record says of steps (how long they really take, how often they fail), by the same decisions of the scheduler
that a running campaign follows. What comes out is a `Quote`; `score` holds it against what happened.
"""
