"""ESP32-S3 firmware without ESP-IDF: image sets that esptool flashes, and sets that are broken in one way each.

Read `build` first: it makes a folder as ESP-IDF's build does (`flasher_args.json`, images, ELF). `elf` writes version
and size into the prebuilt `camera.elf`, `partitions` and `nvs` make the other regions, `damage` breaks a set.

`camera.elf` and `bootloader.elf` are compiled from the C files beside them (see Makefile) for another Xtensa core, so
a real ESP32-S3 could load but not run them; they carry real symbols and line numbers for decoding backtraces.
"""
