/* Diagnostics: see log.h. The sink and its context are the one state that is global. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define LOG_DEPTH 8
#define LOG_CONTEXT 256 /* bytes of one context and of what the sink is given */
#define LOG_TEXT 2048

static struct {
	log_sink *sink;
	void *arg;
	enum log_level level;
	unsigned depth; /* may be above LOG_DEPTH: pushes are counted so that pops match */
	char context[LOG_DEPTH][LOG_CONTEXT];
} logger = { .level = LOG_INFO };

/* Where records go. */
void log_set_sink(log_sink *sink, void *arg)
{
	logger.sink = sink;
	logger.arg = arg;
}

/* The chattiest level that is let through. */
void log_set_level(enum log_level level)
{
	logger.level = level;
}

/* Whether a record of this level would go anywhere. */
bool log_on(enum log_level level)
{
	return logger.sink && level <= logger.level;
}

/* Format and make printable. */
static void __attribute__((format(printf, 3, 0)))
text_format(char *out, size_t size, const char *fmt, va_list ap)
{
	char raw[LOG_TEXT + 64];
	int n = vsnprintf(raw, sizeof(raw), fmt, ap);

	if (n < 0)
		n = 0;
	err_printable(out, size, raw, (size_t)n < sizeof(raw) ? (size_t)n : sizeof(raw) - 1);
}

/* Hand a record to the sink. */
void log_at(enum log_level level, const char *fmt, ...)
{
	char text[LOG_TEXT];
	unsigned depth = logger.depth < LOG_DEPTH ? logger.depth : LOG_DEPTH;
	va_list ap;

	if (!log_on(level))
		return;
	va_start(ap, fmt);
	text_format(text, sizeof(text), fmt, ap);
	va_end(ap);
	logger.sink(logger.arg, level, depth > 0 ? logger.context[depth - 1] : "", text);
}

/* Enter a context: the innermost one is shown, and names its whole path itself. */
void log_push(const char *fmt, ...)
{
	va_list ap;

	if (logger.depth < LOG_DEPTH) {
		va_start(ap, fmt);
		text_format(logger.context[logger.depth], LOG_CONTEXT, fmt, ap);
		va_end(ap);
	}
	logger.depth++;
}

/* Leave the innermost context. */
void log_pop(void)
{
	if (logger.depth > 0)
		logger.depth--;
}
