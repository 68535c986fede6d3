/* The camera's firmware as the fixtures carry it: real Xtensa code, symbols and line numbers, so that images are
 * loadable and backtraces decode. Nothing runs it: a virtual board reads the description, the configuration in NVS and
 * `backtraces` from its flash, and behaves as simulator/device.py. Built by `make -C firmware_fixtures/esp32s3`. */
#include <stdint.h>

#define SECTION(name) __attribute__((section(name), used))
#define KEEP __attribute__((noinline, used))

struct app_description {
    uint32_t magic, secure_version, reserved[2];
    char version[32], project[32], time[16], date[16], idf[32];
    uint8_t elf_sha256[32]; /* filled by esptool elf2image */
    uint16_t revision_min, revision_max;
    uint8_t mmu_page_size_log2, reserved_bytes[3];
    uint32_t reserved_words[18];
};

/* version and project are written by the builder; see builder.py */
SECTION(".flash.appdesc")
const struct app_description description = {
    0xABCD5432, 0, {0, 0}, "0.0.0", "esp32s3-cam", "09:20:00", "Jan  5 2026", "v5.4.1", {0}, 0, 199, 16, {0}, {0},
};

/* A place in the code that `backtraces` can name; the label stays local to the object file. */
#define PLACE(name) __asm__ volatile(".Lat_" #name ":")
#define PLACE_OF(name) extern const char at_##name[] __asm__(".Lat_" #name)

static volatile uint32_t card[64];
static volatile uint32_t radio[8];
static volatile uint32_t timers[4] = {1};

KEEP uint32_t card_read(uint32_t sector)
{
    return card[sector & 63];
}

KEEP void radio_send(uint32_t word)
{
    radio[0] = word;
    PLACE(radio_count);
    radio[1] = radio[1] + 1;
}

KEEP int chunk_send(uint32_t chunk_index)
{
    uint32_t bytes = card_read(chunk_index);
    PLACE(chunk_send);
    radio_send(bytes);
    return (int)(bytes & 1);
}

KEEP int image_upload(uint32_t first, uint32_t count)
{
    int failed = 0;
    for (uint32_t chunk_index = first; chunk_index < count; chunk_index++) {
        PLACE(image_upload);
        failed += chunk_send(chunk_index);
    }
    return failed;
}

KEEP uint32_t ack_wait(uint32_t limit_ms)
{
    while (timers[0] < limit_ms) {
        PLACE(ack_wait);
        if (radio[2] != 0) {
            return radio[2];
        }
    }
    return 0;
}

KEEP volatile uint32_t *image_buffer(uint32_t bytes)
{
    return bytes > sizeof(card) ? (volatile uint32_t *)0 : card;
}

KEEP int camera_capture(uint32_t bytes)
{
    volatile uint32_t *frame = image_buffer(bytes);
    PLACE(frame_read);
    uint32_t start = frame[0];
    frame[1] = start ^ timers[1];
    PLACE(camera_capture);
    return image_upload(0, bytes / 1024);
}

KEEP void deep_sleep(uint32_t seconds)
{
    timers[3] = seconds;
}

KEEP void wake_cycle(void)
{
    PLACE(wake_capture);
    int failed = camera_capture(10000);
    PLACE(wake_wait);
    uint32_t next_wake = ack_wait(30000);
    deep_sleep(failed ? 60 : next_wake);
}

KEEP void app_main(void)
{
    for (;;) {
        PLACE(app_main);
        wake_cycle();
    }
}

SECTION(".iram0.text")
void call_start_cpu0(void)
{
    PLACE(start);
    app_main();
}

/* Call chains for crashes, innermost first, as a panic handler would find them on the stack. A virtual board finds the
 * table by its magic in the flash, so that the addresses it prints belong to what was really flashed. */
#define DEPTH_MAX 6

PLACE_OF(radio_count);
PLACE_OF(chunk_send);
PLACE_OF(image_upload);
PLACE_OF(ack_wait);
PLACE_OF(frame_read);
PLACE_OF(camera_capture);
PLACE_OF(wake_capture);
PLACE_OF(wake_wait);
PLACE_OF(app_main);
PLACE_OF(start);

struct backtrace {
    char reason[12];
    uint32_t depth;
    const char *pc[DEPTH_MAX]; /* DEPTH_MAX words, of which `depth` count */
};

SECTION(".flash.rodata.backtraces")
const struct {
    char magic[8];
    uint32_t count, depth_max;
    struct backtrace of[3];
} backtraces = {
    "WSTRACE",
    3,
    DEPTH_MAX,
    {
        {"panic", 4, {at_frame_read, at_wake_capture, at_app_main, at_start}},
        {"watchdog", 4, {at_ack_wait, at_wake_wait, at_app_main, at_start}},
        {"abort", 6, {at_radio_count, at_chunk_send, at_image_upload, at_camera_capture, at_wake_capture, at_app_main}},
    },
};

/* The builder swaps this for as many bytes as the image shall have. */
SECTION(".flash.assets")
const uint32_t assets[4] = {0x41535345, 0x54533031, 0, 0};
