/* Why something did not work: text that travels up to the one place that handles the failure and logs it, and what that is to do. */
#ifndef RELAY_REASON_H
#define RELAY_REASON_H

/* FAILED: begin anew. WAITS: Kafka answers and does not take what is published; that is for its operator to mend, so ask again now and
 * then. REFUSED: it takes one of the records never, whoever sends it. */
enum reason_kind { REASON_FAILED, REASON_WAITS, REASON_REFUSED };

struct reason {
    char text[256];
    enum reason_kind kind;
};

/* Writes the text, cut to its room; line ends become spaces. The kind is FAILED. */
void reason_set(struct reason *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
