/* Runs a fuzz target over files, without libFuzzer: `replay <file or directory> ...`. Fails when there was nothing to run. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static size_t ran;

/* From memory of exactly the file's size, so that the sanitizer sees any byte read behind it. */
static void run_file(const char *path)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    MUST(file != NULL && fstat(fileno(file), &info) == 0);
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size == 0 ? 1 : size);
    MUST(data != NULL && fread(data, 1, size, file) == size);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    ran++;
}

static void run_directory(const char *path, DIR *directory)
{
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        run_file(name);
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        if (directory == NULL) run_file(argv[i]);
        else run_directory(argv[i], directory);
        if (directory != NULL) closedir(directory);
    }
    printf("%s: %zu inputs\n", strrchr(argv[0], '/') == NULL ? argv[0] : strrchr(argv[0], '/') + 1, ran);
    return ran > 0 ? 0 : 1;
}
