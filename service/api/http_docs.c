/* The description of the service by itself: GET /openapi.json and, at /docs, a page that shows it with Swagger UI; at /docs/hours a page that
 * draws hours.
 *
 * The files are in the binary as they were when it was built. Those of Swagger UI are gzip'd, which every browser takes; one
 * that could not be fetched for the build is empty and answered 404, and the page says so. */
#include "api/http_exchange.h"

/* The pages ask nobody else for anything: Swagger UI's icons are data of its style sheet. */
#define POLICY "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"

/* The bytes of a file, found in the assembler's include path, from symbol to symbol_end. */
#define EMBED(symbol, file)                                                                                      \
    __asm__(".pushsection .rodata, \"a\"\n" #symbol ":\n.incbin \"" file "\"\n" #symbol "_end:\n.popsection\n"); \
    extern const char /* NOLINT(bugprone-macro-parentheses) */ symbol[] __attribute__((visibility("hidden"))),   \
        symbol##_end[] __attribute__((visibility("hidden")))

EMBED(openapi_json, "openapi.json");
EMBED(page_html, "page/index.html");
EMBED(page_js, "page/start.js");
EMBED(hours_html, "page/hours.html");
EMBED(hours_js, "page/hours.js");
EMBED(hours_css, "page/hours.css");
EMBED(viewer_js, "swagger-ui-bundle.js.gz");
EMBED(viewer_css, "swagger-ui.css.gz");
EMBED(viewer_license, "LICENSE.gz");

struct file {
    const char *name; /* below /docs/ */
    const char *content_type;
    const char *encoding; /* NULL: as it is */
    const char *bytes;
    const char *end;
    char etag[ETAG_SIZE]; /* made when it is first asked for */
};

static struct file openapi = {"openapi.json", JSON_TYPE, NULL, openapi_json, openapi_json_end, ""};
static struct file page = {"index.html", "text/html; charset=utf-8", NULL, page_html, page_html_end, ""};
static struct file hours = {"hours.html", "text/html; charset=utf-8", NULL, hours_html, hours_html_end, ""};
static struct file parts[] = {
    {"start.js", "text/javascript; charset=utf-8", NULL, page_js, page_js_end, ""},
    {"hours.js", "text/javascript; charset=utf-8", NULL, hours_js, hours_js_end, ""},
    {"hours.css", "text/css; charset=utf-8", NULL, hours_css, hours_css_end, ""},
    {"swagger-ui-bundle.js", "text/javascript; charset=utf-8", "gzip", viewer_js, viewer_js_end, ""},
    {"swagger-ui.css", "text/css; charset=utf-8", "gzip", viewer_css, viewer_css_end, ""},
    {"LICENSE", "text/plain; charset=utf-8", "gzip", viewer_license, viewer_license_end, ""},
};

static struct slice bytes_of(const struct file *file)
{
    return (struct slice){file->bytes, (size_t)(file->end - file->bytes)};
}

static const char *etag_of(struct file *file)
{
    if (file->etag[0] == '\0') etag_of_bytes(bytes_of(file), file->etag);
    return file->etag;
}

/* 304 to who has it, as every answer is to be asked for again: another build has other files. */
static void reply_file(struct exchange *exchange, struct file *file)
{
    struct http_request *request = exchange->request;
    const char *held = http_request_header(request, "If-None-Match");
    http_reply_header(request, "ETag", etag_of(file));
    http_reply_header(request, "Cache-Control", "no-cache");
    http_reply_header(request, "X-Content-Type-Options", "nosniff");
    if (if_none_match_has(held, etag_of(file))) {
        reply_bytes(exchange, 304, NULL, SLICE(""));
        return;
    }
    if (file->encoding != NULL) http_reply_header(request, "Content-Encoding", file->encoding);
    reply_bytes(exchange, 200, file->content_type, bytes_of(file));
}

void handle_openapi(struct exchange *exchange)
{
    reply_file(exchange, &openapi);
}

static void reply_page(struct exchange *exchange, struct file *file)
{
    http_reply_header(exchange->request, "Content-Security-Policy", POLICY);
    reply_file(exchange, file);
}

void handle_docs(struct exchange *exchange)
{
    reply_page(exchange, &page);
}

void handle_docs_hours(struct exchange *exchange)
{
    reply_page(exchange, &hours);
}

void handle_docs_file(struct exchange *exchange)
{
    struct slice name = path_param(&exchange->params, "file");
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (slice_equal(name, slice_of(parts[i].name)) && bytes_of(&parts[i]).len > 0) {
            reply_file(exchange, &parts[i]);
            return;
        }
    }
    reply_no_route(exchange);
}
