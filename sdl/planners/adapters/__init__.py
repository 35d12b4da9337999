"""Other people's planners as planners of sdl: Ax, BayBE, Optuna, PHYSBO, NIMO, and Blop's optimizer protocol.

Each rebuilds its peer's state from the trials at every call, so that it is the pure function that
`sdl.protocols.Planner` asks for. Their packages come with the extra `peers` and are imported when a proposal is wanted.
"""
