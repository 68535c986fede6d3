"""The test harness: scenarios in, verdicts out.

Read in this order: `scenario*` (the language), `loader` (text to model), `plan*` (model and seed to plan; pure),
`runner` with `expectations` and `rows` (plays a plan), `bench/` and `dut/` (what it plays on), `observe` (looks at the
database), `history`, `ledger`, `evidence`, `checks/` and `verdict` (judgement), `events` and `report/` (what is told),
`suite`, `worker` and `run_one` (many scenarios in many processes), `cli*` (commands).
"""
