"""Files around the C: a C++ wrapper, a CMake file, a section of the folder's README."""

from __future__ import annotations

from kalmanrnn.deploy.c.sizes import carry_of, identifier, sizes_of
from kalmanrnn.deploy.machine.machine import Machine


def render_hpp(machine: Machine, name: str) -> str:
    """Return NAME.hpp: a header-only C++17 class over the C functions."""
    sizes = sizes_of(machine)
    cov = "    const float *cov() const { return output_.cov; }\n" if sizes.cov else ""
    up = name.upper()
    return f"""// {name} as a C++17 class. Written by kalmanrnn; do not edit.
#pragma once

#include <array>

#include "{name}.h"

namespace {name}_cpp {{

class Estimator {{
public:
    static constexpr int state_size = {up}_X;
    static constexpr int tangent_size = {up}_D;
    static constexpr int measurement_size = {up}_Z;
    static constexpr int sensor_count = {up}_SENSORS;
    static constexpr int input_size = {up}_U;
    static constexpr int max_ticks = {up}_MAX_TICKS;
    using Mean = std::array<float, state_size>;
    using Measurement = std::array<float, measurement_size>;
    using Seen = std::array<unsigned char, sensor_count>;

    // All return a status of {name}.h; the state changes only if it is {up}_OK.
    [[nodiscard]] int init(const Mean &mean, const float *cov = nullptr)
    {{
        return {name}_init(&state_, mean.data(), cov);
    }}
    [[nodiscard]] int step(const Measurement &z, const Seen &seen, const float *u,
        const float *dt, int n_ticks)
    {{
        return {name}_step(&state_, z.data(), seen.data(), u, dt, n_ticks, &output_);
    }}
    const float *mean() const {{ return output_.mean; }}
{cov}    const {name}_state &state() const {{ return state_; }}
    [[nodiscard]] static int selftest() {{ return {name}_selftest(); }}

private:
    {name}_state state_{{}};
    {name}_output output_{{}};
}};

}} // namespace {name}_cpp
"""


def render_cmake(name: str, *, selftest: bool) -> str:
    """Return CMakeLists.txt: a static library, and the self-test where there is one."""
    test = f"""
if(CMAKE_PROJECT_NAME STREQUAL PROJECT_NAME)
  enable_testing()
  file(WRITE ${{CMAKE_CURRENT_BINARY_DIR}}/selftest_main.c
    "#include \\"{name}.h\\"\\nint main(void) {{ return {name}_selftest(); }}\\n")
  add_executable({name}_selftest ${{CMAKE_CURRENT_BINARY_DIR}}/selftest_main.c)
  target_link_libraries({name}_selftest PRIVATE {name})
  add_test(NAME {name}_selftest COMMAND {name}_selftest)
endif()
"""
    recorded = f" {name}_selftest.c" if selftest else ""
    return f"""# Written by kalmanrnn: add_subdirectory() this folder, link to {name}.
cmake_minimum_required(VERSION 3.13)
project({name} C)
if(NOT CMAKE_BUILD_TYPE AND CMAKE_PROJECT_NAME STREQUAL PROJECT_NAME)
  set(CMAKE_BUILD_TYPE Release)
endif()
add_library({name} STATIC {name}.c {name}_weights.c{recorded})
set_target_properties({name} PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF)
target_include_directories({name} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
if(UNIX)
  target_link_libraries({name} PUBLIC m)
endif()
if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
  # Allow fused multiply-adds, which -std=c99 forbids; no flag that hides NaN.
  target_compile_options({name} PRIVATE -ffp-contract=fast -fno-math-errno -fno-trapping-math)
endif()
{test if selftest else ""}"""


def render_readme(machine: Machine) -> str:
    """Return the README's section on the C files."""
    name = identifier(machine.name)
    up, sizes = name.upper(), sizes_of(machine)
    state_bytes = 4 * sum(size for _, size in carry_of(machine))
    u = f"float u[{up}_MAX_TICKS * {up}_U]; " if sizes.u else ""
    return f"""## C and C++

A robot needs `{name}.h`, `{name}.c` and `{name}_weights.c`: C99, float32, `math.h`, no heap, no
mutable globals. The caller owns the state ({state_bytes} bytes), so one program can run several.
`{name}.hpp` is the same as a C++17 class; `{name}_selftest.c` replays recorded events.

    cc -std=c99 -O3 -c {name}.c {name}_weights.c {name}_selftest.c

    {name}_state state;
    {name}_output output;
    float z[{up}_Z]; unsigned char seen[{up}_SENSORS]; {u}float dt[{up}_MAX_TICKS];
    if ({name}_selftest() != {up}_OK) stop();
    {name}_init(&state, mean, NULL);
    /* at each event, once the inputs up to the next one have arrived */
    status = {name}_step(&state, z, seen, {"u" if sizes.u else "NULL"}, dt, n_ticks, &output);

Every function returns a status listed in the header. Inputs and results that are not finite are
refused and leave the state unchanged. `{name}.h` lists names, units, frames and order.
`-O3 -march=native` (or your processor) makes the network's loops several times faster;
`-ffp-contract=fast -fno-math-errno -fno-trapping-math` allow fused multiply-adds.
"""
