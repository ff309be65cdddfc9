/* What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput: libFuzzer gives it bytes, and so does replay.c. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/buf.h"
#include "core/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input; also where assert is compiled out. */
#define MUST(condition_)            \
    do {                            \
        if (!(condition_)) abort(); \
    } while (0)

static inline struct slice slice_of_input(const uint8_t *data, size_t size)
{
    return (struct slice){(const char *)data, size};
}

#define FUZZ_ZONES "Z Europe/Rome 1\nL Europe/Rome Asia/Calcutta\nZ UTC 0\n"

#endif
