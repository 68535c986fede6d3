"""What real firmware says and is made of: golden wire payloads (`wire/`); serial logs and images come beside them.

Nothing here imports server, simulator or harness: it is the second opinion on them.
"""
