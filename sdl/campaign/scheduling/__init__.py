"""Which step of which trial runs where and when: pure functions of how things stand.

Nothing here waits, reads or writes. `plan_by_rule` and `plan_ahead` make a `Schedule` of a `Situation`, `due` says what
of it to start now and `wake_at` when to look again; the campaign does so, and asks anew whenever something has changed.
"""
