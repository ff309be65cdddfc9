/* Secrets that are shown once, when they are made: of API keys and OAuth clients. */
#ifndef APP_COMMANDS_SECRET_H
#define APP_COMMANDS_SECRET_H

#include <stdbool.h>

enum { SECRET_TEXT_SIZE = 65 };

/* 256 random bits in hexadecimal, and the SHA-256 of that text, which is all that is stored; both with a terminator. False
 * after saying that there are no random numbers. Wipe the secret after use. */
bool secret_new(char ret_secret[static SECRET_TEXT_SIZE], char ret_hash[static SECRET_TEXT_SIZE]);

#endif
