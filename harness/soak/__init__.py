"""Soak runs: a fleet lives for days of scenario time under a nemesis, and everything is judged all the time.

Read `order` (what is asked), `days` (how the days pass, in a child process), `daily` (what is checked and measured at
each day's end), `judge` (thresholds), `command` (the parent: progress, files, exit code) and `page` (the HTML report).
The schedule of faults is `harness.nemesis`; `checkpoint` and `bench` are how a killed soak goes on.
"""
