/* Stands where ESP-IDF's second stage bootloader would: real Xtensa code of its size class, never run.
 * A virtual board verifies it as the ROM does, then reads its flash itself. */
#include <stdint.h>

static volatile uint32_t flash_words[16] = {1};

__attribute__((noinline)) uint32_t table_entry(uint32_t index)
{
    return flash_words[index & 15];
}

__attribute__((section(".iram.text"), used)) void call_start_cpu0(void)
{
    for (uint32_t index = 0;; index++) {
        flash_words[0] = table_entry(index);
    }
}
