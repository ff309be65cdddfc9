/* What the value of a variable may be, as far as that is known without a server. Each returns what is wrong, to stand behind the
 * variable's name; NULL: nothing. The texts are static and hold nothing of the value, which may be a password. */
#ifndef APP_CONFIG_VALUE_H
#define APP_CONFIG_VALUE_H

/* What libpq reads as a URL or keyword string. A password whose special characters are not written as libpq wants them, so that a part of
 * it would be taken for a host, a port or a database, and be logged as such, is refused too. */
const char *config_database_url_fault(const char *value);

/* "host:port,..." */
const char *config_brokers_fault(const char *value);

/* "host:port", "[::1]:port", ":port" */
const char *config_listen_fault(const char *value);

/* As Kafka allows them. */
const char *config_topic_fault(const char *value);

/* As PostgreSQL allows them. */
const char *config_slot_fault(const char *value);

/* RFC 9110, section 5.6.2: the name of a header. */
const char *config_header_fault(const char *value);

/* Not empty, and without control characters. */
const char *config_text_fault(const char *value);

#endif
