"""Measurements as commands (`wakestorm bench ...`): each takes several runs and reports medians with the machine.

`report` is what they share; each measurement is a file of its own. A benchmark is never a timed test.
"""
