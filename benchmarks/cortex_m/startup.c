/* From reset to main on a Cortex-M4: memory, the floating point unit, and two semihosting calls. */
#include "board.h"

#include <stdint.h>

extern uint32_t data_begin[], data_end[], data_from[], bss_begin[], bss_end[], stack_end[];
int main(void);

static int call(int what, const void *with)
{
    register int r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = with;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_print(const char *text) { call(0x04, text); }

void board_exit(int status)
{
    const uint32_t with[2] = {0x20026, (uint32_t)status};
    call(0x20, with);
    for (;;) {
    }
}

static void fault(void)
{
    board_print("fault\n");
    board_exit(100);
}

void reset(void)
{
    /* Full access to the floating point unit. */
    *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20;
    __asm__ volatile("dsb\n\tisb");
    for (uint32_t *to = data_begin, *from = data_from; to < data_end;)
        *to++ = *from++;
    for (uint32_t *to = bss_begin; to < bss_end;)
        *to++ = 0;
    board_exit(main());
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    stack_end, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
    (void *)fault,
};
