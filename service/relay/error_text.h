/* Why something did not work: text that travels up to the one place that handles the failure and logs it, and what that is to do. */
#ifndef RELAY_ERROR_TEXT_H
#define RELAY_ERROR_TEXT_H

/* FAILED: start again. WAITS: Kafka answers and does not take what is published; that is for its operator to mend, so ask again now and
 * then. REFUSED: it takes one of the records never, whoever sends it. SETUP: the database lacks what `migrate` makes, or has no slot of that name and never had: look again
 * now and then. */
enum error_kind { ERROR_FAILED, ERROR_WAITS, ERROR_REFUSED, ERROR_SETUP };

struct error_text {
    char text[1024]; /* libpq tells of each address of a host, and the last reason counts too */
    enum error_kind kind;
};

/* Writes the text, cut to its room; line ends become spaces. The kind is FAILED. */
void error_text_set(struct error_text *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
