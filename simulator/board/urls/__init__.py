"""pyserial's way to boards in the same process: `vboard://NAME`.

A program adds this package to `serial.protocol_handler_packages` and starts a board with `inprocess.started_board`.
"""
