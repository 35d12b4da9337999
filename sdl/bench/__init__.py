"""Benchmarks of planners: measured pools, synthetic functions, and the time that a proposal takes.

The pool convention is that of Liang et al. (npj Comput. Mater. 7, 188, 2021): two random rows, then one row at a time
among those not measured, until a row of the best 1 % is found. Random search is computed exactly.
"""
