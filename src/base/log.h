/*
 * Diagnostics. Layers below `job` log at debug only: a failure travels in `struct err`. The sink is set once
 * (a worker sends records to its parent; the parent writes the terminal). Texts are escaped here, so that nothing foreign reaches a terminal raw.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_WIRE };

typedef void log_sink(void *arg, enum log_level level, const char *context, const char *text);

void log_set_sink(log_sink *sink, void *arg); /* NULL: drop everything */
void log_set_level(enum log_level level);
bool log_on(enum log_level level);

void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)

/* The context that stands before each text: "isp", "isp/INBOX". Depth 8; deeper pushes are counted but not shown. */
void log_push(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_pop(void);

#endif
