#include "core/time_zone.h"

#include <stdlib.h>
#include <strings.h>

enum { LINKS_MAX = 8 }; /* one behind the other */

struct entry {
    struct slice name;   /* first: the key of the order */
    struct slice target; /* of a link, as the line has it; else empty */
};

struct time_zones {
    char *text;            /* every name and target, NUL-terminated */
    struct entry *entries; /* sorted without regard to case */
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

/* The zone or link that a line defines, or an empty name. "Factory" is the database's word for "not set". */
static struct entry entry_in(struct slice line)
{
    struct slice kind = word(line, 0);
    struct entry entry = {0};
    if (slice_equal(kind, SLICE("Z"))) entry.name = word(line, 1);
    if (slice_equal(kind, SLICE("L"))) entry = (struct entry){word(line, 2), word(line, 1)};
    return slice_equal(entry.name, SLICE("Factory")) ? (struct entry){0} : entry;
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

/* Copies the word to where *to stands, NUL-terminated, and moves *to behind it. */
static struct slice put(char **to, struct slice word_)
{
    struct slice copy = {*to, word_.len};
    memcpy(*to, word_.data, word_.len);
    (*to)[word_.len] = '\0';
    *to += word_.len + 1;
    return copy;
}

/* Counts the names, and stores them where there is a table to store them in. */
static size_t each_name(struct slice text, struct time_zones *into)
{
    size_t count = 0;
    char *to = into == NULL ? NULL : into->text;
    while (text.len > 0) {
        struct entry entry = entry_in(next_line(&text));
        if (entry.name.len == 0) continue;
        if (into != NULL) {
            into->entries[count].name = put(&to, entry.name);
            if (entry.target.len > 0) into->entries[count].target = put(&to, entry.target);
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
    zones->entries = calloc(count, sizeof(*zones->entries));
    if (zones->text == NULL || zones->entries == NULL) {
        time_zones_free(zones);
        return NULL;
    }
    zones->count = each_name(tzdata_zi, zones);
    qsort(zones->entries, zones->count, sizeof(*zones->entries), compare_names);
    return zones;
}

void time_zones_free(struct time_zones *zones)
{
    if (zones == NULL) return;
    free(zones->text);
    free(zones->entries);
    free(zones);
}

static const struct entry *find(const struct time_zones *zones, struct slice name)
{
    return name.len == 0 ? NULL : bsearch(&name, zones->entries, zones->count, sizeof(*zones->entries), compare_names);
}

struct slice time_zone_find(const struct time_zones *zones, struct slice name)
{
    const struct entry *found = find(zones, name);
    return found == NULL ? (struct slice){NULL, 0} : found->name;
}

struct slice time_zone_target(const struct time_zones *zones, struct slice name)
{
    const struct entry *entry = find(zones, name);
    for (int links = 0; entry != NULL && entry->target.len > 0 && links < LINKS_MAX; links++) {
        const struct entry *target = find(zones, entry->target);
        if (target == NULL) return entry->target;
        entry = target;
    }
    return entry == NULL ? name : entry->name;
}

size_t time_zone_index(const struct time_zones *zones, struct slice name)
{
    const struct entry *found = find(zones, name);
    return found == NULL ? SIZE_MAX : (size_t)(found - zones->entries);
}

size_t time_zones_count(const struct time_zones *zones)
{
    return zones->count;
}
