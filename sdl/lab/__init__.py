"""Lab files, devices, stations, and the RunEngine host."""
