/* What tells one command's content from another's. */
#ifndef CODEC_COMMAND_DIGEST_H
#define CODEC_COMMAND_DIGEST_H

#include "core/command.h"

enum { COMMAND_DIGEST_BYTES = 16 };

/* What digests are made with, one after the other. */
struct command_digester;

/* NULL when memory is out. */
struct command_digester *command_digester_new(void);
void command_digester_free(struct command_digester *digester);

/* Sixteen bytes that are equal for two commands only if they ask for the same: of the SHA-256 over all that they ask for. The two
 * lists come as their columns' text, which the caller has at hand. STATUS_NO_MEMORY sets nothing. */
enum status command_digest(struct command_digester *digester, const struct command *command, struct slice availability_json,
                           struct slice overrides_json, uint8_t ret_digest[COMMAND_DIGEST_BYTES]);

#endif
