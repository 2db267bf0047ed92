/*
 * mbsync's state. What is believed is in order and names no message twice; printed again it is believed again and says the same; and cut off anywhere it is either not
 * believed or says no more than the whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "mail/flags.h"
#include "store/mbsyncstate.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Stop here, so that the fuzzer keeps the input. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_mbsyncstate: %s\n", what);
	abort();
}

static void must_be_sound(const struct mbsyncstate *s)
{
	must(s->far_validity != 0 && s->near_validity != 0, "no UIDVALIDITY");
	for (size_t i = 0; i < s->entries.n; i++) {
		const struct mbsyncstate_entry *m = &s->entries.a[i];

		must(m->far != 0 || m->near != 0, "no message");
		must(i == 0 || s->entries.a[i - 1].near < m->near || (m->near == 0 && s->entries.a[i - 1].near == 0), "not in order");
		must(!(m->flags & ~(uint32_t)FLAGS_ALL), "flags that are none");
		must(m->near == 0 ? mbsyncstate_find(s, 0) == NULL : mbsyncstate_find(s, m->near) == m, "not found");
	}
}

static void print(const struct mbsyncstate *s, struct strbuf *out)
{
	strbuf_printf(out, "FarUidValidity %u\nNearUidValidity %u\n\n", s->far_validity, s->near_validity);
	for (size_t i = 0; i < s->entries.n; i++) {
		const struct mbsyncstate_entry *m = &s->entries.a[i];
		char letters[8];

		flags_to_letters(m->flags, letters);
		strbuf_printf(out, "%u %u %s%s%s\n", m->far, m->near, m->far_stub ? "<" : m->near_stub ? ">" : "", m->expired ? "~" : "", letters);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct mbsyncstate s, again, part;
	struct strbuf text = STRBUF_INIT(1 << 26);
	struct err e = ERR_INIT;

	if (mbsyncstate_parse(slice_of(p, n), &s, &e) == 0) {
		must_be_sound(&s);
		print(&s, &text);
		must(mbsyncstate_parse(strbuf_slice(&text), &again, &e) == 0, "not believed again");
		must(s.far_validity == again.far_validity && s.near_validity == again.near_validity && s.entries.n == again.entries.n, "something else");
		for (size_t i = 0; i < s.entries.n; i++)
			must(s.entries.a[i].far == again.entries.a[i].far && s.entries.a[i].near == again.entries.a[i].near &&
				     s.entries.a[i].flags == again.entries.a[i].flags, "other messages");
		mbsyncstate_release(&again);
		if (mbsyncstate_parse(slice_of(p, n / 2), &part, &e) == 0)
			must(part.entries.n <= s.entries.n && part.far_validity == s.far_validity, "half says more");
		mbsyncstate_release(&part);
	} else {
		must(e.kind != ERR_NONE && e.text[0] != '\0', "no reason");
	}
	mbsyncstate_release(&s);
	strbuf_release(&text);
	return 0;
}
