/* The least program with an estimator, and without one: their difference is what it takes. */
#ifdef WITHOUT
int main(void) { return 0; }
#else
#include "events.h"

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)

static JOIN(NAME, _state) state;
static JOIN(NAME, _output) output;
static volatile float from[K * U + K + Z + X + D * D + 1];
static volatile unsigned char said[S + 1];

int main(void)
{
    const float *in = (const float *)from;
    return JOIN(NAME, _init)(&state, in, in)
        | JOIN(NAME, _step)(&state, in, (const unsigned char *)said, in, in, (int)from[0], &output);
}
#endif
