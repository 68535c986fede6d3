"""Two servers work on the same devices at once."""

from __future__ import annotations

from simulator.catalogue import FaultRow

ROW = FaultRow(
    name="two_servers",
    layer="server",
    does="Several servers share the messages of every device, also those of one image, and one database.",
    example="{servers: 2, steps: [{wake: yard}]}",
    heals="nothing is to be healed: any number of servers is right",
    scenario="scenarios/faults/two-servers.yaml",
    sign="servers:several",
    source="Server: two servers at once",
)
