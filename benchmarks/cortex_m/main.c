/*
 * The self-test, then recorded events: prints `key number` lines and exits with the status.
 * Instructions are counted by SysTick, which under `-icount shift=0` ticks every 40 of them.
 */
#include "board.h"
/* Made for each estimator: NAME, its header, sizes, z, seen, u, dt, ticks, mean, cov. */
#include "events.h"

#include <stdint.h>

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define CONTROL (*(volatile uint32_t *)0xe000e010u)
#define RELOAD (*(volatile uint32_t *)0xe000e014u)
#define CURRENT (*(volatile uint32_t *)0xe000e018u)
#define PER_TICK 40
#define PAINT 0x5aa55aa5u
#define PAINTED 65536

extern uint32_t stack_end[];

static JOIN(NAME, _state) state;
static JOIN(NAME, _output) output;

static void tell(const char *key, uint32_t number)
{
    char text[12];
    char *at = text + sizeof text - 1;
    *at = 0;
    *--at = '\n';
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    board_print(key);
    board_print(" ");
    board_print(at);
}

static uint32_t since(uint32_t begin) { return PER_TICK * ((begin - CURRENT) & 0xffffffu); }

/* The instructions of a loop of a million rounds of two: shows that the counter counts. */
static uint32_t two_million(void)
{
    uint32_t rounds = 1000000, begin = CURRENT;
    __asm__ volatile("1: subs %0, #1\n\tbne 1b" : "+r"(rounds) : : "cc");
    return since(begin);
}

__attribute__((noinline)) static int step(int e)
{
    return JOIN(NAME, _step)(&state, z + Z * e, seen + S * e, u + K * U * e, dt + K * e, ticks[e],
        &output);
}

/* Bytes of stack that one step has written on; also counts what calls it. */
__attribute__((noinline)) static uint32_t stack_of_step(int e)
{
    uint32_t *here, *low;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    low = here - PAINTED / 4;
    for (volatile uint32_t *at = low; at < (volatile uint32_t *)here - 4; ++at)
        *at = PAINT;
    (void)step(e);
    while (low < here && *(volatile uint32_t *)low == PAINT)
        ++low;
    return (uint32_t)((char *)here - (char *)low);
}

int main(void)
{
    uint32_t all = 0, most = 0;
    int status;
    RELOAD = 0xffffffu;
    CURRENT = 0;
    CONTROL = 5; /* the processor's clock, no interrupt */
    tell("two_million", two_million());
    status = JOIN(NAME, _selftest)();
    tell("selftest", (uint32_t)status);
    if (!status)
        status = JOIN(NAME, _init)(&state, mean, cov);
    for (int e = 0; e < EVENTS && !status; ++e) {
        const uint32_t begin = CURRENT;
        status = step(e);
        const uint32_t took = since(begin);
        all += took;
        most = took > most ? took : most;
    }
    tell("instructions", all / EVENTS);
    tell("most", most);
    tell("stack", stack_of_step(EVENTS - 1));
    return status;
}
