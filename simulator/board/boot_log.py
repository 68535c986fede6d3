"""The text of a start: what ROM, second-stage bootloader and ESP-IDF say, with their levels and milliseconds. Pure."""

from __future__ import annotations

from typing import Final, Literal

from simulator.board.efuse import ChipIdentity
from simulator.board.image import AppDescription, Image
from simulator.board.partition import Partition
from simulator.board.resets import ChipReset

Level = Literal["E", "W", "I", "D"]

SPI_MODES: Final = {0: "QIO", 1: "QOUT", 2: "DIO", 3: "DOUT"}
_FIRST_LINE_MS: Final = 24
_LINE_MS: Final = 4
_WATCHDOG_PC: Final = 0x4004_5D14


def log_line(level: Level, ms: int, tag: str, text: str) -> str:
    """One line as ESP_LOG writes it."""
    return f"{level} ({ms}) {tag}: {text}"


class BootLog:
    """Collects lines. State: the chip's milliseconds since the reset."""

    def __init__(self) -> None:
        self.ms = _FIRST_LINE_MS
        self._lines: list[str] = []

    @property
    def text(self) -> bytes:
        """All lines, each with CR LF."""
        return b"".join(line.encode() + b"\r\n" for line in self._lines)

    def raw(self, *lines: str) -> None:
        """Lines without time."""
        self._lines.extend(lines)

    def log(self, tag: str, text: str, level: Level = "I") -> None:
        """One line of ESP_LOG."""
        self._lines.append(log_line(level, self.ms, tag, text))
        self.ms += _LINE_MS


def banner(reset: ChipReset, *, download: bool, saved_pc: int | None = None) -> list[str]:
    """The ROM's first words."""
    where = "boot:0x0 (DOWNLOAD(USB/UART0))" if download else "boot:0x8 (SPI_FAST_FLASH_BOOT)"
    lines = ["ESP-ROM:esp32s3-20210327", "Build:Mar 27 2021", f"rst:0x{reset.number:x} ({reset.text}),{where}"]
    if reset.keeps_program_counter:
        lines.append(f"Saved PC:0x{_WATCHDOG_PC if saved_pc is None else saved_pc:08x}")
    return [*lines, "waiting for download"] if download else lines


def rom_loads(image: Image) -> list[str]:
    """The ROM loads the second stage."""
    mode = SPI_MODES.get(image.spi_mode, "DIO")
    segments = [f"load:0x{segment.address:08x},len:0x{segment.length:x}" for segment in image.segments]
    return ["SPIWP:0xee", f"mode:{mode}, clock div:1", *segments]


def second_stage(log: BootLog, image: Image, chip: ChipIdentity, idf_version: str) -> None:
    """The second stage introduces itself."""
    log.log("boot", f"ESP-IDF {idf_version} 2nd stage bootloader")
    log.log("boot", "Multicore bootloader")
    log.log("boot", f"chip revision: v{chip.revision[0]}.{chip.revision[1]}")
    log.log("boot.esp32s3", "Boot SPI Speed : 80MHz")
    log.log("boot.esp32s3", f"SPI Mode       : {SPI_MODES.get(image.spi_mode, 'DIO')}")
    log.log("boot.esp32s3", f"SPI Flash Size : {image.flash_size_mb}MB")
    log.log("boot", "Enabling RNG early entropy source...")


def partition_list(log: BootLog, partitions: tuple[Partition, ...]) -> None:
    """The table as the second stage lists it."""
    log.log("boot", "Partition Table:")
    log.log("boot", "## Label            Usage          Type ST Offset   Length")
    for number, row in enumerate(partitions):
        log.log(
            "boot",
            f"{number:2d} {row.label:<16} {row.usage:<16} "
            f"{row.type:02x} {row.subtype:02x} {row.offset:08x} {row.size_bytes:08x}",
        )
    log.log("boot", "End of partition table")


def segment_list(log: BootLog, image: Image) -> None:
    """What is mapped and what is loaded of an app."""
    for number, segment in enumerate(image.segments):
        use = "load" if segment.is_loaded else "map" if segment.is_mapped else ""
        log.log(
            "esp_image",
            f"segment {number}: paddr={segment.data_offset:08x} vaddr={segment.address:08x} "
            f"size={segment.length:05x}h ({segment.length:6d}) {use}",
        )


def app_start(
    log: BootLog, image: Image, description: AppDescription | None, chip: ChipIdentity, size_bytes: int
) -> None:
    """ESP-IDF starts the app, up to the call of app_main."""
    log.log("cpu_start", "Multicore app")
    log.log("cpu_start", "Pro cpu start user code")
    log.log("cpu_start", "cpu freq: 240000000 Hz")
    if description is not None:
        log.log("app_init", "Application information:")
        log.log("app_init", f"Project name:     {description.project}")
        log.log("app_init", f"App version:      {description.version}")
        log.log("app_init", f"Compile time:     {description.compile_date} {description.compile_time}")
        log.log("app_init", f"ELF file SHA256:  {description.elf_sha256[:9]}...")
        log.log("app_init", f"ESP-IDF:          {description.idf_version}")
    log.log("efuse_init", f"Chip rev:         v{chip.revision[0]}.{chip.revision[1]}")
    log.log("heap_init", "Initializing. RAM available for dynamic allocation:")
    log.log("heap_init", "At 3FC98A28 len 00050CE8 (323 KiB): RAM")
    log.log("spi_flash", "detected chip: winbond")
    log.log("spi_flash", f"flash io: {SPI_MODES.get(image.spi_mode, 'DIO').lower()}")
    told = image.flash_size_mb << 10
    if size_bytes >> 10 > told:
        log.log(
            "spi_flash",
            f"Detected size({size_bytes >> 10}k) larger than the size in the binary image header({told}k). "
            "Using the size in the binary image header.",
            "W",
        )
    log.log("main_task", "Started on CPU0")
    log.log("main_task", "Calling app_main()")
