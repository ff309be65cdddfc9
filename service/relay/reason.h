/* Why something did not work: text that travels up to the one place that handles the failure and logs it. */
#ifndef RELAY_REASON_H
#define RELAY_REASON_H

struct reason {
    char text[256];
};

/* Writes the text, cut to its room; line ends become spaces. */
void reason_set(struct reason *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
