"""What the columns of the shared collection mean: units and kinds from the READMEs beside the tables. No data."""

from __future__ import annotations

from typing import Any

__all__ = ["KNOWN"]

_FRACTION: dict[str, Any] = {"unit": "1"}

KNOWN: dict[str, dict[str, Any]] = {
    "agnp": {
        "parameters": {
            "QAgNO3": {"column": "QAgNO3(%)", "unit": "percent"},
            "Qpva": {"column": "Qpva(%)", "unit": "percent"},
            "Qtsc": {"column": "Qtsc(%)", "unit": "percent"},
            "Qseed": {"column": "Qseed(%)", "unit": "percent"},
            "Qtot": {"column": "Qtot(uL/min)", "unit": "uL/min"},
        },
        "objective": {"column": "loss", "kind": "minimize"},
    },
    "crossed_barrel": {
        "parameters": {
            "n": {"kind": "integer"},
            "theta": {"unit": "deg"},
            "r": {"unit": "mm"},
            "t": {"unit": "mm"},
        },
        "objective": {"column": "toughness", "kind": "maximize"},
    },
    "direct_arylation": {
        "parameters": {
            "Base": {"kind": "categorical"},
            "Ligand": {"kind": "categorical"},
            "Solvent": {"kind": "categorical"},
            "Concentration": {"unit": "mol/L"},
            "Temp_C": {"unit": "degC"},
        },
        "objective": {"column": "yield", "kind": "maximize", "unit": "percent"},
    },
    "lnp3": {
        "parameters": {
            "drug_input": {"unit": "mg"},
            "solid_lipid": {"kind": "categorical"},
            "solid_lipid_input": {"unit": "mg"},
            "liquid_lipid_input": {"unit": "mg"},
            "surfractant_input": {},
        },
        "objective": {"column": "drug_loading", "kind": "maximize"},
    },
    "oer_plate_3496": {
        "parameters": {f"{metal}_load": _FRACTION for metal in ("ni", "fe", "co", "mn", "ce", "la")},
        "mixtures": {
            "metals": {
                "components": [f"{metal}_load" for metal in ("ni", "fe", "co", "mn", "ce", "la")],
                "max_components": 4,
            }
        },
        "objective": {"column": "overpotential", "kind": "minimize", "unit": "V"},
    },
    "photo_wf3": {
        "parameters": {f"mat_{i}": _FRACTION for i in (1, 2, 3, 4)},
        "mixtures": {"blend": {"components": [f"mat_{i}" for i in (1, 2, 3, 4)]}},
        "objective": {"column": "degradation", "kind": "minimize"},
    },
}
"""Folder name → description, as `bench.yaml` would hold it."""
