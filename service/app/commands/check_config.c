#include "app/commands/handlers.h"
#include "driver/http/tls.h"

/* What http_server_new will make of the files. */
static bool has_usable_tls(const struct config *config)
{
    struct buf reason;
    if (config->http_tls_certificate[0] == '\0') return true;
    buf_init(&reason, 1 << 13);
    SSL_CTX *context = tls_context_new(config->http_tls_certificate, config->http_tls_key, &reason);
    if (context == NULL) fprintf(stderr, "schedule-service: %.*s\n", (int)reason.len, reason.data);
    tls_context_free(context);
    buf_done(&reason);
    return context != NULL;
}

int check_config_command(const struct command_call *call)
{
    if (!has_usable_tls(call->config)) return 2;
    if (call->values[OPT_TABLE] != NULL) config_print_table(stdout);
    else config_print(call->config, stdout);
    return 0;
}
