"""What ROM loader and stub have in common: one command in, one answer out. Read `rom` and `stub` for the rest. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from simulator.board.flash import FlashRangeError, NorFlash
from simulator.board.flash_write import FlashWrite
from simulator.board.protocol import CHECKED, Answer, CommandFailed, Failure, Op, Request, Then, parse, response
from simulator.board.registers import RegisterEvent, Registers
from simulator.board.slip import checksum

_THEN: Final = {
    RegisterEvent.HOST_WILL_RESET: Then.HOST_WILL_RESET,
    RegisterEvent.WATCHDOG_RESET: Then.WATCHDOG_RESET,
}
_SYNC_REPLIES: Final = 8
_REGISTER_RECORD_BYTES: Final = 16


class Loader:
    """Base of the two. State: the download that is under way."""

    is_stub: ClassVar[bool]
    status_pad: ClassVar[bytes]
    sync_value: ClassVar[int]

    def __init__(self, flash: NorFlash, registers: Registers) -> None:
        self.flash = flash
        self.registers = registers
        self._write: FlashWrite | None = None
        self._handlers = self._commands()

    def handle(self, packet: bytes) -> tuple[int, Answer]:
        """(command, answer) for one packet; (-1, nothing) for one that is no command."""
        request = parse(packet)
        if request is None:
            return -1, Answer()
        try:
            return request.op, self._act(request)
        except CommandFailed as error:
            return request.op, self.refusal(request.op, error.failure)

    def refusal(self, op: int, failure: Failure, code: int | None = None) -> Answer:
        """The answer to a command that failed; `code` instead of the failure's own."""
        shown = failure.value[1 if self.is_stub else 0] if code is None else code
        return Answer(packets=(response(op, status=(1, shown), pad=self.status_pad),))

    def _act(self, request: Request) -> Answer:
        if request.op == -1:
            raise CommandFailed(Failure.INVALID_MESSAGE)
        handler = self._handlers.get(request.op)
        if handler is None:
            raise CommandFailed(Failure.UNKNOWN_COMMAND)
        if request.op in CHECKED and checksum(request.payload()) != request.checksum & 0xFF:
            raise CommandFailed(Failure.BAD_CHECKSUM)
        return handler(request)

    def _commands(self) -> dict[int, Callable[[Request], Answer]]:
        """The table of this loader; subclasses add theirs."""
        return {
            Op.SYNC: self._sync,
            Op.READ_REG: self._read_register,
            Op.WRITE_REG: self._write_registers,
            Op.SPI_SET_PARAMS: self._done,
            Op.CHANGE_BAUDRATE: self._change_baud,
            Op.FLASH_BEGIN: self._flash_begin,
            Op.FLASH_DATA: self._flash_data,
            Op.FLASH_DEFL_BEGIN: self._flash_begin,
            Op.FLASH_DEFL_DATA: self._flash_data,
            Op.SPI_FLASH_MD5: self._md5,
            Op.GET_SECURITY_INFO: self._security_info,
        }

    def _done(self, request: Request) -> Answer:
        return self.reply(request)

    def reply(self, request: Request, value: int = 0, data: bytes = b"", then: Then | None = None) -> Answer:
        """Success."""
        return Answer(packets=(response(request.op, value, data, pad=self.status_pad),), then=then)

    def _sync(self, request: Request) -> Answer:
        packet = response(request.op, self.sync_value, pad=self.status_pad)
        return Answer(packets=(packet,) * _SYNC_REPLIES)

    def _read_register(self, request: Request) -> Answer:
        return self.reply(request, self.registers.read(request.words(1)[0]))

    def _write_registers(self, request: Request) -> Answer:
        """One or more records of (address, value, mask, delay)."""
        count = len(request.body) // _REGISTER_RECORD_BYTES
        then: Then | None = None
        for index in range(max(1, count)):
            address, value, mask, _ = request.words(4 * index + 4)[4 * index :]
            event = self.registers.write(address, value, mask)
            then = _THEN[event] if event is not None else then
        return self.reply(request, then=then)

    def _change_baud(self, request: Request) -> Answer:
        answer = self.reply(request)
        return Answer(packets=answer.packets, baud=request.words(1)[0])

    def _flash_begin(self, request: Request) -> Answer:
        size_bytes, _, _, offset = request.words(4)
        self._write = FlashWrite(
            self.flash,
            offset,
            size_bytes,
            compressed=request.op == Op.FLASH_DEFL_BEGIN,
            erases_ahead=not self.is_stub,
        )
        return self.reply(request)

    def _flash_data(self, request: Request) -> Answer:
        if self._write is None or self._write.is_compressed != (request.op == Op.FLASH_DEFL_DATA):
            raise CommandFailed(Failure.NOT_IN_FLASH_MODE)
        self._write.add(request.payload())
        return self.reply(request)

    def _digest(self, request: Request) -> bytes:
        offset, count = request.words(2)
        try:
            return self.flash.md5(offset, count)
        except FlashRangeError as error:
            raise CommandFailed(Failure.READ_FAILED) from error

    def _md5(self, request: Request) -> Answer:
        raise NotImplementedError

    def _security_info(self, request: Request) -> Answer:
        return self.reply(request, data=self.registers.security_info)
