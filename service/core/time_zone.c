#include "core/time_zone.h"

#include <stdlib.h>
#include <strings.h>

struct time_zones {
    char *text;          /* every name, NUL-terminated */
    struct slice *names; /* sorted without regard to case */
    size_t count;
};

static int compare_names(const void *a, const void *b)
{
    const struct slice *x = a;
    const struct slice *y = b;
    size_t shorter = x->len < y->len ? x->len : y->len;
    int order = strncasecmp(x->data, y->data, shorter);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* The field-th word (from 0) of a line of words parted by single blanks. */
static struct slice word(struct slice line, int field)
{
    const char *p = line.data;
    const char *end = line.data + line.len;
    for (; field > 0 && p < end; field--) {
        const char *blank = memchr(p, ' ', (size_t)(end - p));
        p = blank == NULL ? end : blank + 1;
    }
    const char *stop = memchr(p, ' ', (size_t)(end - p));
    return (struct slice){p, (size_t)((stop == NULL ? end : stop) - p)};
}

/* The zone or link that a line defines, or an empty slice. "Factory" is the database's word for "not set". */
static struct slice name_in(struct slice line)
{
    struct slice kind = word(line, 0);
    struct slice name = {NULL, 0};
    if (slice_equal(kind, SLICE("Z"))) name = word(line, 1);
    if (slice_equal(kind, SLICE("L"))) name = word(line, 2);
    return slice_equal(name, SLICE("Factory")) ? (struct slice){NULL, 0} : name;
}

/* Cuts the next line off *rest. */
static struct slice next_line(struct slice *rest)
{
    const char *newline = memchr(rest->data, '\n', rest->len);
    struct slice line = {rest->data, newline == NULL ? rest->len : (size_t)(newline - rest->data)};
    size_t used = newline == NULL ? rest->len : line.len + 1;
    *rest = (struct slice){rest->data + used, rest->len - used};
    return line;
}

/* Counts the names, and stores them NUL-terminated where there is a table to store them in. */
static size_t each_name(struct slice text, struct time_zones *into)
{
    size_t count = 0;
    char *to = into == NULL ? NULL : into->text;
    while (text.len > 0) {
        struct slice name = name_in(next_line(&text));
        if (name.len == 0) continue;
        if (into != NULL) {
            memcpy(to, name.data, name.len);
            to[name.len] = '\0';
            into->names[count] = (struct slice){to, name.len};
            to += name.len + 1;
        }
        count++;
    }
    return count;
}

struct time_zones *time_zones_new(struct slice tzdata_zi)
{
    size_t count = each_name(tzdata_zi, NULL);
    struct time_zones *zones = count == 0 ? NULL : calloc(1, sizeof(*zones));
    if (zones == NULL) return NULL;
    zones->text = malloc(tzdata_zi.len + 1);
    zones->names = calloc(count, sizeof(*zones->names));
    if (zones->text == NULL || zones->names == NULL) {
        time_zones_free(zones);
        return NULL;
    }
    zones->count = each_name(tzdata_zi, zones);
    qsort(zones->names, zones->count, sizeof(*zones->names), compare_names);
    return zones;
}

void time_zones_free(struct time_zones *zones)
{
    if (zones == NULL) return;
    free(zones->text);
    free(zones->names);
    free(zones);
}

struct slice time_zone_find(const struct time_zones *zones, struct slice name)
{
    const struct slice *found =
        name.len == 0 ? NULL : bsearch(&name, zones->names, zones->count, sizeof(name), compare_names);
    return found == NULL ? (struct slice){NULL, 0} : *found;
}

size_t time_zones_count(const struct time_zones *zones)
{
    return zones->count;
}
