#include "app/config_typo.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "app/config.h"
#include "core/smaller.h"

enum { TYPO_LETTERS_MAX = 2, NAME_LEN_MAX = 63 };

/* The letters that were left out, added or exchanged (Levenshtein); more than TYPO_LETTERS_MAX for names that are too long. */
static size_t letters_between(const char *one, size_t one_len, const char *other)
{
    size_t other_len = strlen(other);
    size_t row[NAME_LEN_MAX + 1];
    if (one_len > NAME_LEN_MAX || other_len > NAME_LEN_MAX) return NAME_LEN_MAX;
    for (size_t j = 0; j <= other_len; j++) row[j] = j;
    for (size_t i = 1; i <= one_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= other_len; j++) {
            size_t exchanged = diagonal + (one[i - 1] != other[j - 1]);
            diagonal = row[j];
            row[j] = smaller(exchanged, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[other_len];
}

/* Of an option or its _FILE twin: ret_name is what was meant; the letters between. */
static size_t nearest_option(const char *name, size_t len, char ret_name[NAME_LEN_MAX + 1])
{
    size_t least = SIZE_MAX;
    for (size_t i = 0; config_name(i / 2) != NULL; i++) {
        char candidate[NAME_LEN_MAX + 1];
        snprintf(candidate, sizeof(candidate), "%s%s", config_name(i / 2), i % 2 == 0 ? "" : "_FILE");
        size_t letters = letters_between(name, len, candidate);
        if (letters >= least) continue;
        least = letters;
        memcpy(ret_name, candidate, sizeof(candidate));
    }
    return least;
}

void config_find_typos(void (*found)(void *ctx, const char *name, const char *meant), void *ctx)
{
    for (char **entry = environ; *entry != NULL; entry++) {
        char name[NAME_LEN_MAX + 1];
        char meant[NAME_LEN_MAX + 1];
        size_t len = strcspn(*entry, "=");
        size_t letters = nearest_option(*entry, len, meant);
        if (letters == 0 || letters > TYPO_LETTERS_MAX) continue;
        snprintf(name, sizeof(name), "%.*s", (int)len, *entry);
        found(ctx, name, meant);
    }
}

static void print(void *ctx, const char *name, const char *meant)
{
    fprintf(ctx, "schedule-service: warning: %s is not read; did you mean %s?\n", name, meant);
}

void config_print_typos(FILE *out)
{
    config_find_typos(print, out);
}
