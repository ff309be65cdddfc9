/* OpenSSL looks an algorithm up by its name, and makes a context, for each SHA256(): that took as long as the hashing. Both are kept. */
#include "codec/command_digest.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct command_digester {
    EVP_MD *sha256;
    EVP_MD_CTX *context;
};

struct command_digester *command_digester_new(void)
{
    struct command_digester *digester = calloc(1, sizeof(*digester));
    if (digester == NULL) return NULL;
    digester->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    digester->context = EVP_MD_CTX_new();
    if (digester->sha256 != NULL && digester->context != NULL) return digester;
    command_digester_free(digester);
    return NULL;
}

void command_digester_free(struct command_digester *digester)
{
    if (digester == NULL) return;
    EVP_MD_CTX_free(digester->context);
    EVP_MD_free(digester->sha256);
    free(digester);
}

static bool add(struct command_digester *digester, const void *data, size_t len)
{
    return EVP_DigestUpdate(digester->context, data, len) == 1;
}

static bool add_slice(struct command_digester *digester, struct slice bytes)
{
    return add(digester, bytes.data, bytes.len);
}

/* A create is identified by what it stores alone: it is compared with digests of former builds. */
static bool add_change(struct command_digester *digester, const struct command *command)
{
    const int64_t numbers[] = {command->kind, command->schedule_id, command->expected_version, command->schedule.fields};
    return command->kind == COMMAND_CREATE || add(digester, numbers, sizeof(numbers));
}

enum status command_digest(struct command_digester *digester, const struct command *command, struct slice availability_json,
                           struct slice overrides_json, uint8_t ret_digest[COMMAND_DIGEST_BYTES])
{
    const struct schedule *schedule = &command->schedule;
    const int64_t numbers[] = {command->org_id, command->user_id, schedule->is_default, (int64_t)schedule->name.len,
                               (int64_t)schedule->time_zone.len};
    uint8_t sha256[EVP_MAX_MD_SIZE];
    bool ok = EVP_DigestInit_ex2(digester->context, digester->sha256, NULL) == 1 && add_change(digester, command) &&
              add(digester, numbers, sizeof(numbers)) && add_slice(digester, schedule->name) &&
              add_slice(digester, schedule->time_zone) && add_slice(digester, availability_json) &&
              add_slice(digester, overrides_json) && EVP_DigestFinal_ex(digester->context, sha256, NULL) == 1;
    if (!ok) return STATUS_NO_MEMORY; /* nothing else can be in the way */
    memcpy(ret_digest, sha256, COMMAND_DIGEST_BYTES);
    return STATUS_OK;
}
