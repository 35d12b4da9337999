"""The twin of the flow synthesis of silver nanoparticles: kinetics, optics, flow, heat, detector."""

from sdl.simulators.silver.twin import FEEDS, SilverFlowOptions, SilverFlowTwin, absorbance_of

__all__ = ["FEEDS", "SilverFlowOptions", "SilverFlowTwin", "absorbance_of"]
