"""Intervals, paired tests, tie sets, power and luck. Pure: arrays in, numbers out."""
