"""Simulated instruments and the twins behind them: servers on loopback that speak their instruments' protocols."""
