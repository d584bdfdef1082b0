"""Scalar functions of generated C: those of the C library, and our own.

`tanh` and `logistic` have no branches, so that compilers vectorise loops over them; they keep
within 4e-7 of the true value over all floats.
"""

from __future__ import annotations

LIBRARY = {
    "floor": "floorf",
    "ceil": "ceilf",
    "round": "rintf",
    "sqrt": "sqrtf",
    "exp": "expf",
    "log": "logf",
    "log1p": "log1pf",
    "expm1": "expm1f",
    "sin": "sinf",
    "cos": "cosf",
    "tan": "tanf",
    "asin": "asinf",
    "acos": "acosf",
    "atan": "atanf",
    "abs": "fabsf",
    "pow": "powf",
    "atan2": "atan2f",
    "rem": "fmodf",
}
OWN = {
    "sign": "static float fsign(float x) { return x > 0.0f ? 1.0f : (x < 0.0f ? -1.0f : x); }",
    "rsqrt": "static float frsqrt(float x) { return 1.0f / sqrtf(x); }",
    # A comparison with NaN is false, and the result must then be NaN, whichever side it is on.
    "max": "static float fmax2(float a, float b) { return (a > b || a != a) ? a : b; }",
    "min": "static float fmin2(float a, float b) { return (a < b || a != a) ? a : b; }",
    "tanh": """static float ftanh(float v)
{
    /* Odd rational of degree 13 over 6; beyond 7.9 the result is 1 to a float. */
    const float low = v < -7.90531111f ? -7.90531111f : v;
    const float x = low > 7.90531111f ? 7.90531111f : low;
    const float s = x * x;
    float p = s * -2.76076852e-16f + 2.00018794e-13f;
    float q = s * 1.19825836e-06f + 1.18534706e-04f;
    p = p * s - 8.60467184e-11f;
    p = p * s + 5.12229725e-08f;
    p = p * s + 1.48572235e-05f;
    p = p * s + 6.37261954e-04f;
    p = p * s + 4.89352457e-03f;
    q = q * s + 2.26843474e-03f;
    q = q * s + 4.89352504e-03f;
    return x * (p / q);
}""",
    "logistic": "static float flogistic(float x) { return 0.5f + 0.5f * ftanh(0.5f * x); }",
    "is_finite": """static int ffinite(float x)
{
    /* By its bits: -ffast-math cannot take this away. */
    uint32_t bits;
    (void)memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7f800000u) != 0x7f800000u;
}""",
    "abs_int": "static int iabs(int x) { return x < 0 ? -x : x; }",
    "sign_int": "static int isign(int x) { return (x > 0) - (x < 0); }",
    "max_int": "static int imax(int a, int b) { return a > b ? a : b; }",
    "min_int": "static int imin(int a, int b) { return a < b ? a : b; }",
    "rem_int": "static int irem(int a, int b) { return b ? a % b : a; }",
}
NEEDS = {"logistic": ("tanh",)}
LINEAR = {
    "to_fixed": """/* Integers of 30 bits, in units of a power of two; returns the unit. */
static float to_fixed(const float *x, int stride, int32_t *q, int n)
{
    float most = 0.0f;
    int fine = 1;
    int e = 0;
    for (int i = 0; i < n; ++i) {
        const float size = fabsf(x[stride * i]);
        fine &= all_finite(x + stride * i, 1);
        most = size > most ? size : most;
    }
    if (fine != 0)
        (void)frexpf(most, &e);
    e = e < -90 ? -90 : e;
    const float up = ldexpf(1.0f, 30 - e);
    for (int i = 0; i < n; ++i)
        q[i] = fine ? (int32_t)(x[stride * i] * up) : 0;
    return fine ? ldexpf(1.0f, e - 30) : NAN;
}""",
    "cholesky": """/* Lower factors of n x n matrices; NaN where one is not positive definite. */
static void cholesky(const float *restrict a, float *restrict l, float *restrict u, int n)
{
    for (int j = 0; j < n; ++j) {
        for (int i = j; i < n; ++i) u[n * j + i] = a[n * i + j];
        for (int k = 0; k < j; ++k) {
            const float s = u[n * k + j];
            for (int i = j; i < n; ++i) u[n * j + i] -= s * u[n * k + i];
        }
        const float inverse = 1.0f / sqrtf(u[n * j + j]);
        for (int i = j; i < n; ++i) u[n * j + i] *= inverse;
    }
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) l[n * i + j] = j > i ? 0.0f : u[n * j + i];
}""",
    "solve_triangular": """/* x with t x = b: t [n, n] by its two strides, b and x [n, m]. */
static void solve_triangular(const float *restrict t, int row, int column, int forward, int unit,
                             const float *restrict b, float *restrict x, int n, int m)
{
    for (int r = 0; r < n; ++r) {
        const int i = forward ? r : n - 1 - r;
        for (int j = 0; j < m; ++j) x[m * i + j] = b[m * i + j];
        for (int s = 0; s < r; ++s) {
            const int k = forward ? s : n - 1 - s;
            const float f = t[row * i + column * k];
            for (int j = 0; j < m; ++j) x[m * i + j] -= f * x[m * k + j];
        }
        if (!unit) {
            const float d = t[row * i + column * i];
            for (int j = 0; j < m; ++j) x[m * i + j] /= d;
        }
    }
}""",
}


def function_name(kind: str) -> str:
    """Return the name of an operation in C."""
    if kind in LIBRARY:
        return LIBRARY[kind]
    head = OWN[kind].split("(", 1)[0]
    return head.split()[-1]


FUNCTIONS = {kind: function_name(kind) for kind in (*LIBRARY, *OWN)}


def helpers(kinds: set[str]) -> str:
    """Return our own functions that these operations need, in a fixed order."""
    wanted = set(kinds)
    for kind in kinds:
        wanted.update(NEEDS.get(kind, ()))
    texts = [text for kind, text in {**OWN, **LINEAR}.items() if kind in wanted]
    return (
        "\n\n".join(texts)
        .replace("static float", "static inline float")
        .replace("static int", "static inline int")
    )
